//! The set-ups: hosts, resolv.conf, and name servers that answer, refuse, fail by half or keep silent.

/// One set-up.
pub struct Row {
    pub what: &'static str,
    /// What is resolved.
    pub name: &'static str,
    pub hosts: Vec<u8>,
    /// `None`: there is no such file.
    pub resolv_conf: Option<Vec<u8>>,
    /// Addresses and rules.
    pub servers: Vec<(&'static str, &'static [&'static str])>,
    /// Commands of `ip`.
    pub devices: &'static str,
    /// `multi on` in host.conf, as distributions have it.
    pub multi: bool,
    /// Why both sides differ.
    pub differs: Option<&'static str>,
}

const LOCAL: &str = "127.0.0.53";
const OTHER: &str = "127.0.0.54";
const THIRD: &str = "127.0.0.55";
const ONE: &str = "nameserver 127.0.0.53\n";
const TWO: &str = "nameserver 127.0.0.53\nnameserver 127.0.0.54\n";
const QUICK: &str = "options timeout:2 attempts:1\n";
const FOUR: &[&str] = &["* A 192.0.2.1", "* * NODATA"];
const BOTH: &[&str] = &["* * 192.0.2.1 192.0.2.2 2001:db8::1"];
const SILENT: &[&str] = &["* * silent"];
const RETURN: &str = "a carriage return is no part of an address";
const MORE: &str = "more patient: the other family is asked for elsewhere, or again";

fn row(what: &'static str, name: &'static str) -> Row {
    Row {
        what,
        name,
        hosts: b"127.0.0.1 localhost\n".to_vec(),
        resolv_conf: Some(ONE.into()),
        servers: Vec::new(),
        devices: "",
        multi: true,
        differs: None,
    }
}

impl Row {
    fn hosts(mut self, text: impl AsRef<[u8]>) -> Self {
        self.hosts.extend(text.as_ref());
        self
    }

    fn conf(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.resolv_conf = Some(text.into());
        self
    }

    /// On the addresses of this file, one after the other.
    fn servers(mut self, rules: &[&'static [&'static str]]) -> Self {
        self.servers.extend([LOCAL, OTHER, THIRD].into_iter().zip(rules.iter().copied()));
        self
    }

    fn at(mut self, address: &'static str, rules: &'static [&'static str]) -> Self {
        self.servers.push((address, rules));
        self
    }

    fn devices(mut self, lines: &'static str) -> Self {
        self.devices = lines;
        self
    }

    fn differs(mut self, reason: &'static str) -> Self {
        self.differs = Some(reason);
        self
    }
}

pub fn all() -> Vec<Row> {
    [hosts(), names(), resolv_conf(), zones(), refusing(), half(), silent(), tcp(), aliases(), search()]
        .into_iter()
        .flatten()
        .collect()
}

fn hosts() -> Vec<Row> {
    vec![
        row("hosts: IPv4 only, DNS silent", "api").hosts("192.0.2.1 api\n").servers(&[SILENT]),
        row("hosts: IPv4 only, search and two silent servers", "api")
            .hosts("192.0.2.1 api\n")
            .conf(format!("search lab.example\n{TWO}"))
            .servers(&[SILENT, SILENT]),
        row("hosts: IPv6 only, DNS has IPv4", "api").hosts("2001:db8::7 api\n").servers(&[FOUR]),
        row("hosts: several lines, both families", "api")
            .hosts("192.0.2.1 api\n2001:db8::7 api\n192.0.2.2 other api\n"),
        row("hosts: the same without `multi on`", "api")
            .hosts("192.0.2.1 api\n2001:db8::7 api\n")
            .without_multi()
            .differs("host.conf is not read: distributions have `multi on`"),
        row("hosts: aliases, tabs, comments", "api.lab")
            .hosts("\t192.0.2.1\tx y\tapi.lab#z\n#192.0.2.2 api.lab\n"),
        row("hosts: mixed case", "api.lab").hosts("192.0.2.1 API.Lab\n"),
        row("hosts: a dot at the end is another name", "api.lab")
            .hosts("192.0.2.1 api.lab.\n")
            .servers(&[FOUR]),
        row("hosts: CRLF", "api").hosts("192.0.2.1 api\r\n2001:db8::7 api\r\n"),
        row("hosts: an address with a zone is no address", "api").hosts("fe80::1%lo api\n192.0.2.1 api\n"),
        row("hosts: bad lines among good ones", "api")
            .hosts("192.0.2.256 api\n192.0.2 api\nx api\n192.0.2.010 api\n192.0.2.1\n192.0.2.2 api\n"),
        row("hosts: bytes that are no UTF-8", "api")
            .hosts(b"\xff\xfe api\n192.0.2.1 \xff api\n192.0.2.2 api \xfe\n"),
        row("hosts: no newline at the end", "api").hosts("192.0.2.1 api"),
        row("hosts: an IPv4-mapped address", "api").hosts("::ffff:192.0.2.1 api\n"),
        row("hosts: 900 KB before the line", "api")
            .hosts("192.0.2.9 other.example another.example\n".repeat(22_000))
            .hosts("192.0.2.1 api\n"),
        row("hosts: no such name, DNS has it", "api").servers(&[BOTH]),
        row("hosts: the name, and no resolv.conf", "api").hosts("192.0.2.1 api\n").no_conf(),
    ]
}

fn names() -> Vec<Row> {
    vec![
        row("an inner underscore, hosts", "ironic_api").hosts("192.0.2.1 ironic_api\n"),
        row("an inner underscore, DNS", "ironic_api.lab").servers(&[BOTH]),
        row("an underscore at the beginning, DNS", "_api.lab").servers(&[BOTH]),
        row("`xn--a`, hosts", "xn--a").hosts("192.0.2.1 xn--a\n"),
        row("`xn--a`, DNS", "xn--a.xn--b-").servers(&[BOTH]),
        row("a label that ends in a hyphen, DNS", "api-.lab").servers(&[BOTH]),
        row("a label of 63, DNS", "a23456789-123456789-123456789-123456789-123456789-123456789-123.lab")
            .servers(&[BOTH]),
        row("upper case, DNS", "API.Lab").servers(&[&["api.lab * 192.0.2.1"]]),
        row("a dot at the end, hosts", "api.lab.").hosts("192.0.2.1 api.lab.\n192.0.2.2 api.lab\n"),
        row("digits and hyphens, DNS", "10-0-0-1.lab").servers(&[BOTH]),
    ]
}

fn resolv_conf() -> Vec<Row> {
    vec![
        row("no resolv.conf: this host", "api.lab").no_conf().at("127.0.0.1", BOTH),
        row("an empty resolv.conf: this host", "api.lab").conf("").at("127.0.0.1", BOTH),
        row("no resolv.conf, nobody listens", "api.lab").no_conf(),
        row("nameserver 0.0.0.0: this host", "api.lab").conf("nameserver 0.0.0.0\n").at("127.0.0.1", BOTH),
        row("nameserver ::: this host", "api.lab").conf("nameserver ::\n").at("::1", BOTH),
        row("an IPv6 server", "api.lab").conf("nameserver ::1\n").at("::1", BOTH),
        row("short and hexadecimal addresses", "api.lab").conf("nameserver 127.53\n").at("127.0.0.53", BOTH),
        row("comments, tabs, blanks at the end", "api.lab")
            .conf("# x\n; y\nnameserver\t127.0.0.53 \t# z\n")
            .servers(&[BOTH]),
        row("a blank before the keyword", "api.lab")
            .conf(format!(" nameserver {OTHER}\n{ONE}"))
            .servers(&[FOUR, BOTH]),
        row("bad lines among good ones", "api.lab")
            .conf(format!("nameserver\nnameserver x\nnameserver 127.0.0.54#5\nfoo bar\n{ONE}"))
            .servers(&[FOUR, BOTH]),
        row("CRLF, IPv4", "api.lab").conf("nameserver 127.0.0.53\r\n").servers(&[BOTH]).differs(RETURN),
        row("CRLF, IPv6", "api.lab").conf("nameserver ::1\r\n").at("::1", BOTH).differs(RETURN),
        row("bytes that are no UTF-8", "api.lab")
            .conf([b"\xff\xfe\0\nsearch \xff\n", ONE.as_bytes()].concat())
            .servers(&[BOTH]),
        row("900 KB before the line", "api.lab")
            .conf(format!("{}{ONE}", "# nothing here\n".repeat(60_000)))
            .servers(&[BOTH]),
        row("the fourth server is not asked", "api.lab")
            .conf(format!("{TWO}nameserver {THIRD}\nnameserver 127.0.0.56\n"))
            .servers(&[&["* * REFUSED"], &["* * REFUSED"], &["* * REFUSED"]])
            .at("127.0.0.56", BOTH),
        row("rotate, single-request, trust-ad, inet6", "api.lab")
            .conf(format!("{ONE}options rotate single-request trust-ad inet6 unknown\n"))
            .servers(&[BOTH]),
        row("edns0", "api.lab").conf(format!("{ONE}options edns0\n")).servers(&[BOTH]),
        row("no-aaaa", "api.lab").conf(format!("{ONE}options no-aaaa\n")).servers(&[BOTH]),
        row("use-vc", "api.lab").conf(format!("{ONE}options use-vc\n")).servers(&[BOTH]),
        row("attempts:0", "api.lab")
            .conf(format!("{ONE}options attempts:0\n"))
            .servers(&[BOTH])
            .differs("more patient: each server is asked once at least"),
    ]
}

fn zones() -> Vec<Row> {
    let zone = |what, conf: &str, devices, address| {
        row(what, "api.lab").conf(conf).devices(devices).at(address, BOTH)
    };
    vec![
        zone("nameserver fe80::53%bond0.100", "nameserver fe80::53%bond0.100\n", BOND, "fe80::53%bond0.100"),
        zone("nameserver fe80::53%br-ex", "nameserver fe80::53%br-ex\n", BRIDGE, "fe80::53%br-ex"),
        zone("nameserver fe80::53%p1p1_1", "nameserver fe80::53%p1p1_1\n", SLOT, "fe80::53%p1p1_1"),
        zone("a zone by its number", "nameserver fe80::53%77\n", BRIDGE, "fe80::53%br-ex"),
        zone(
            "a device that is not there, then a good server",
            "nameserver fe80::53%gone0.1\nnameserver 127.0.0.53\n",
            "",
            LOCAL,
        ),
        zone("link-local without a zone", "nameserver fe80::53\n", BRIDGE, "fe80::53%br-ex"),
        zone("a zone behind an address that needs none", "nameserver ::1%br-ex\n", BRIDGE, "::1"),
    ]
}

const BOND: &str = "link add bond0.100 type veth peer name peer
    link set bond0.100 up\nlink set peer up\naddr add fe80::53/64 dev bond0.100 nodad";
const BRIDGE: &str = "link add br-ex index 77 type veth peer name peer
    link set br-ex up\nlink set peer up\naddr add fe80::53/64 dev br-ex nodad";
const SLOT: &str = "link add p1p1_1 type veth peer name peer
    link set p1p1_1 up\nlink set peer up\naddr add fe80::53/64 dev p1p1_1 nodad";

fn refusing() -> Vec<Row> {
    let first = |what, rules| row(what, "api.lab").conf(TWO).servers(&[rules, BOTH]);
    vec![
        first("REFUSED, then a good server", &["* * REFUSED"]),
        first("SERVFAIL, then a good server", &["* * SERVFAIL"]),
        first("NOTIMP, then a good server", &["* * NOTIMP"]),
        first("a referral, then a good server", &["* * referral"]),
        first("NXDOMAIN counts, whatever the next one says", &["* * NXDOMAIN"]),
        first("NODATA counts, whatever the next one says", &["* * NODATA"]),
        first("FORMERR counts, whatever the next one says", &["* * FORMERR"]),
        first("NOTAUTH counts, whatever the next one says", &["* * NOTAUTH"]),
        row("nobody listens, then a good server", "api.lab").conf(TWO).at(OTHER, BOTH),
        row("REFUSED only", "api.lab").servers(&[&["* * REFUSED"]]),
        row("SERVFAIL only", "api.lab").servers(&[&["* * SERVFAIL"]]),
        row("nobody listens at all", "api.lab"),
    ]
}

fn half() -> Vec<Row> {
    let one = |what, rules| row(what, "api.lab").servers(&[rules]);
    let quick = |what, rules| row(what, "api.lab").conf(format!("{ONE}{QUICK}")).servers(&[rules]);
    let two = |what, rules: &[_]| row(what, "api.lab").conf(TWO).servers(rules);
    vec![
        one("A and no AAAA", &["* A 192.0.2.1", "* * NODATA"]),
        one("AAAA and no A", &["* AAAA 2001:db8::1", "* * NODATA"]),
        one("A, and NXDOMAIN for AAAA", &["* A 192.0.2.1", "* * NXDOMAIN"]),
        one("A, and SERVFAIL for AAAA", &["* A 192.0.2.1", "* * SERVFAIL"]),
        one("AAAA, and SERVFAIL for A", &["* AAAA 2001:db8::1", "* * SERVFAIL"]),
        one("A, and REFUSED for AAAA", &["* A 192.0.2.1", "* * REFUSED"]),
        one("A, and NOTIMP for AAAA", &["* A 192.0.2.1", "* * NOTIMP"]),
        one("A, and FORMERR for AAAA", &["* A 192.0.2.1", "* * FORMERR"]),
        quick("A, and silence for AAAA", &["* A 192.0.2.1", "* * silent"]),
        quick("AAAA, and silence for A", &["* AAAA 2001:db8::1", "* * silent"])
            .differs("more patient: the C library asks again, for A first, and gives up"),
        two("A and SERVFAIL for AAAA, then a good server", &[&["* A 192.0.2.1", "* * SERVFAIL"], BOTH])
            .differs(MORE),
        two("SERVFAIL for A and AAAA, then a good server", &[&["* AAAA 2001:db8::1", "* * SERVFAIL"], BOTH])
            .differs(MORE),
        two("NODATA and SERVFAIL, then a good server", &[&["* A NODATA", "* * SERVFAIL"], BOTH])
            .differs(MORE),
    ]
}

fn silent() -> Vec<Row> {
    let late: &[&str] = &["* * late 192.0.2.1 2001:db8::1"];
    vec![
        row("silent only", "api.lab").conf(format!("{ONE}{QUICK}")).servers(&[SILENT]),
        row("silent, then a good server", "api.lab").conf(format!("{TWO}{QUICK}")).servers(&[SILENT, BOTH]),
        row("two silent, then a good server", "api.lab")
            .conf(format!("{TWO}nameserver {THIRD}\n{QUICK}"))
            .servers(&[SILENT, SILENT, BOTH]),
        row("silent, then NXDOMAIN", "api.lab").conf(format!("{TWO}{QUICK}")).servers(&[SILENT, &[]]),
        row("late, within the time of the server", "api.lab").servers(&[late]),
        row("late, and a quicker server behind it", "api.lab").conf(TWO).servers(&[late, &["* * 192.0.2.9"]]),
        row("the first datagram is lost", "api.lab")
            .conf(format!("{ONE}options timeout:2 attempts:2\n"))
            .servers(&[&["* * lost 192.0.2.1 2001:db8::1"]]),
        row("a forged answer before the right one", "api.lab").servers(&[&["* * forged 192.0.2.1"]]),
    ]
}

fn tcp() -> Vec<Row> {
    vec![
        row("truncated: TCP has the rest", "api.lab").servers(&[&["* * truncated 192.0.2.1 2001:db8::1"]]),
        row("one family truncated", "api.lab").servers(&[&["* A truncated 192.0.2.1", "* * 2001:db8::1"]]),
        row("truncated, nobody on TCP", "api.lab").servers(&[&["* * truncated 192.0.2.1", "no tcp"]]),
        row("truncated and nobody on TCP, then a good server", "api.lab")
            .conf(TWO)
            .servers(&[&["* * truncated 192.0.2.9", "no tcp"], BOTH]),
    ]
}

fn aliases() -> Vec<Row> {
    let one = |what, rules| row(what, "api.lab").servers(&[rules]);
    vec![
        one("an alias", &["* * alias real.lab 192.0.2.1 2001:db8::1"]),
        one("an alias of odd letters", &["* * alias real_1.-x.xn--a 192.0.2.1"]),
        one("a chain of aliases", &["* * aliases 192.0.2.1 2001:db8::1"]),
        one("an alias with no address", &["* * alias real.lab"]),
        one("other records beside the address", &["* * text 192.0.2.1 2001:db8::1"]),
        one("a damaged record behind the answer", &["* * damaged 192.0.2.1 2001:db8::1"]),
    ]
}

fn search() -> Vec<Row> {
    let with =
        |what, name, text: &str, rules| row(what, name).conf(format!("{ONE}{text}\n")).servers(&[rules]);
    const LISTED: &[&str] = &[
        "api.one A 192.0.2.1",
        "api.two * 192.0.2.2 2001:db8::2",
        "api A 192.0.2.3",
        "api.lab A 192.0.2.4",
        "api.lab.one A 192.0.2.5",
    ];
    const SPLIT: &[&str] =
        &["api.one A 192.0.2.1", "api.one * NODATA", "api.two AAAA 2001:db8::2", "api.two * NODATA"];
    vec![
        with("search: the first name that has an address", "api", "search one two", LISTED),
        with("search: the second one", "api", "search none two", LISTED),
        with("search: one name has A and another AAAA", "api", "search one two", SPLIT),
        with("search: as it stands at last", "api", "search none", LISTED),
        with("search: with a dot as it stands first", "api.lab", "search one", LISTED),
        with("ndots:2: the list first", "api.lab", "search one\noptions ndots:2", LISTED),
        with("ndots:0: as it stands first", "api", "search one\noptions ndots:0", LISTED),
        with("a dot at the end: as it stands only", "api.", "search one", LISTED),
        with("a dot at the end, no such name", "other.", "search one", &["other.one * 192.0.2.1"]),
        with("domain behind search", "api", "search one\ndomain two", LISTED),
        with("search behind domain", "api", "domain one\nsearch two", LISTED),
        with("an empty search changes nothing", "api", "search two\nsearch", LISTED),
        with("search: the root", "api", "search .", LISTED),
        with("search: dots around a domain", "api", "search .two.", LISTED),
        with(
            "search: NODATA goes on",
            "api",
            "search none two",
            &["api.none * NODATA", "api.two * 192.0.2.2"],
        ),
        with(
            "search: SERVFAIL goes on",
            "api",
            "search none two",
            &["api.none * SERVFAIL", "api.two * 192.0.2.2"],
        ),
        with(
            "search: REFUSED ends the list",
            "api",
            "search none two",
            &["api.none * REFUSED", "api.two * 192.0.2.2", "api A 192.0.2.3"],
        ),
        with(
            "search: FORMERR ends the list",
            "api",
            "search none two",
            &["api.none * FORMERR", "api.two * 192.0.2.2", "api A 192.0.2.3"],
        ),
        with(
            "search: silence ends the list",
            "api",
            "search none two\noptions timeout:2 attempts:1",
            &["api.none * silent", "api.two * 192.0.2.2", "api A 192.0.2.3"],
        ),
        with(
            "search: other records end it",
            "api",
            "search one two",
            &["api.one * alias elsewhere.lab", "api.two * 192.0.2.2"],
        ),
        with("no-tld-query", "api", "search none\noptions no-tld-query", LISTED),
    ]
}

impl Row {
    fn no_conf(mut self) -> Self {
        self.resolv_conf = None;
        self
    }

    fn without_multi(mut self) -> Self {
        self.multi = false;
        self
    }
}
