//! API names, families, and the operator's own host.

use testbed::root_test;
use testbed::site::{Directory, NameServer, Says, with_etc};

use testbed::site::binary;

use crate::machine::{
    Explained, addressed, assert_address, assert_refused, explain, prepared, two_nics, url,
};

const NAMED: [&str; 2] = ["--ironic.api-url", "http://ironic.test:6385"];

#[test]
fn a_dual_stack_name_gives_the_same_answer_every_time() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    etc.write("resolv.conf", "nameserver 127.0.0.53\n");
    // RFC 6724 prefers IPv4 to a ULA, and a global IPv6 whose source is a ULA has another label.
    for (hosts, address) in [
        ("10.1.0.9 ironic.test\nfd00::9 ironic.test\n", "10.1.0.2"),
        ("fd00::9 ironic.test\n10.1.0.9 ironic.test\n", "10.1.0.2"),
    ] {
        etc.write("hosts", hosts);
        for _ in 0..10 {
            let explained = Explained::by(with_etc(&netns, etc.path()), &NAMED);
            assert_address(&explained, address, Some("m0"));
            let resolved = explained.answer["api_urls"][0]["resolved"].as_array().unwrap();
            let order: Vec<_> = resolved.iter().map(|one| one["ip"].as_str().unwrap()).collect();
            assert_eq!(order, ["10.1.0.9", "fd00::9"]);
        }
    }
    for (family, address, device) in [("inet", "10.1.0.2", "m0"), ("inet6", "fd00::2", "n0")] {
        let flags = [NAMED[0], NAMED[1], "--advertise.family", family];
        let explained = Explained::by(with_etc(&netns, etc.path()), &flags);
        assert_address(&explained, address, Some(device));
        assert_eq!(explained.text("family"), Some(family));
    }
}

#[test]
fn an_ipv6_only_node_takes_the_ipv6_address_of_a_dual_stack_name() {
    root_test!();
    let netns = prepared(
        two_nics(),
        "addr add fd00::2/64 dev n0 nodad
             -6 route add default via fd00::1 dev n0",
    );
    let etc = Directory::new("watch");
    etc.write("resolv.conf", "nameserver ::1\n");
    etc.write("hosts", "203.0.113.1 ironic.test\n2001:db8::1 ironic.test\n");
    let explained = Explained::by(with_etc(&netns, etc.path()), &NAMED);
    assert_address(&explained, "fd00::2", Some("n0"));
    let resolved = explained.answer["api_urls"][0]["resolved"].as_array().unwrap();
    assert_eq!(resolved.len(), 2, "the IPv4 address stays in the trace");
    assert_eq!(resolved[1]["reason"], "no_route");
    let flags = [NAMED[0], NAMED[1], "--advertise.family", "inet"];
    assert_refused(&Explained::by(with_etc(&netns, etc.path()), &flags), "no_route");
}

#[test]
fn a_name_that_does_not_resolve() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    // No resolv.conf at all, one without a server behind it, and one that says nothing.
    for resolv_conf in [None, Some("nameserver 127.0.0.53\n"), Some("")] {
        if let Some(text) = resolv_conf {
            etc.write("resolv.conf", text);
        }
        let started = std::time::Instant::now();
        let explained = Explained::by(with_etc(&netns, etc.path()), &NAMED);
        println!("{resolv_conf:?}: refused after {} ms", started.elapsed().as_millis());
        assert_refused(&explained, "name_unresolved");
    }
    // A literal beside it still counts.
    let both = format!("{},{}", NAMED[1], url("10.1.0.9", 6385));
    let explained = Explained::by(with_etc(&netns, etc.path()), &[NAMED[0], &both]);
    assert_address(&explained, "10.1.0.2", Some("m0"));
}

#[test]
fn the_hosts_file_needs_no_resolv_conf() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    etc.write("hosts", "10.1.0.9 ironic.test\nfd01::9 ironic.test\n");
    for resolv_conf in [None, Some(""), Some("search example\n")] {
        if let Some(text) = resolv_conf {
            etc.write("resolv.conf", text);
        }
        let explained = Explained::by(with_etc(&netns, etc.path()), &NAMED);
        assert_address(&explained, "10.1.0.2", Some("m0"));
        let resolved = explained.answer["api_urls"][0]["resolved"].as_array().unwrap();
        assert_eq!(resolved.len(), 2, "both families: {resolved:#?}");
    }
}

/// As the C library does: the file is asked first, and where it has the name, nobody else is.
#[test]
fn the_hosts_file_needs_no_answer_from_dns() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    etc.write("hosts", "127.0.0.1 localhost\n10.1.0.9 controller\n");
    etc.write("resolv.conf", "search lab.example\nnameserver 127.0.0.53\nnameserver 127.0.0.54\n");
    let _silent = ["127.0.0.53", "127.0.0.54"].map(|at| NameServer::start(&netns, at, Says::Nothing));
    let flags = ["--ironic.api-url", "http://controller:6385"];
    assert_address(&Explained::by(with_etc(&netns, etc.path()), &flags), "10.1.0.2", Some("m0"));
}

#[test]
fn one_family_s_failure_takes_nothing_from_the_other() {
    root_test!();
    const SERVFAIL: u8 = 2;
    let netns = addressed();
    let etc = Directory::new("watch");
    for search in ["", "search lab.example\n"] {
        etc.write("resolv.conf", format!("{search}nameserver 127.0.0.53\n"));
        for (says, address, device) in [
            (Says::Families(Ok([10, 1, 0, 9].into()), Err(SERVFAIL)), "10.1.0.2", "m0"),
            (Says::Families(Err(SERVFAIL), Ok("fd00::9".parse().unwrap())), "fd00::2", "n0"),
        ] {
            let _dns = NameServer::start(&netns, "127.0.0.53", says);
            let explained = Explained::by(with_etc(&netns, etc.path()), &NAMED);
            assert_address(&explained, address, Some(device));
        }
    }
}

/// As NetworkManager writes the router's link-local address; a device name can have a dot in it.
#[test]
fn a_name_server_with_a_zone_breaks_nothing() {
    root_test!();
    let netns =
        prepared(addressed(), "link set m1 down\n link set m1 name bond0.100\n link set bond0.100 up");
    netns.ip("addr add fe80::53/64 dev bond0.100 nodad").unwrap();
    let etc = Directory::new("watch");
    etc.write("resolv.conf", "nameserver fe80::53%bond0.100\n");
    let _dns = NameServer::start(&netns, "fe80::53%bond0.100", Says::Address([10, 1, 0, 9].into()));
    assert_address(&Explained::by(with_etc(&netns, etc.path()), &NAMED), "10.1.0.2", Some("m0"));
    // And one that is not there leaves the next one usable.
    etc.write("resolv.conf", "nameserver fe80::99%gone0.1\nnameserver 127.0.0.53\n");
    let _other = NameServer::start(&netns, "127.0.0.53", Says::Address([10, 1, 0, 9].into()));
    assert_address(&Explained::by(with_etc(&netns, etc.path()), &NAMED), "10.1.0.2", Some("m0"));
}

#[test]
fn the_wanted_family_must_be_there() {
    root_test!();
    let netns = addressed();
    for (api, family) in [("203.0.113.1", "inet6"), ("2001:db8::1", "inet")] {
        let flags = ["--ironic.api-url", &url(api, 6385), "--advertise.family", family];
        assert_refused(&explain(&netns, &flags), "name_unresolved");
    }
}

#[test]
fn the_operators_host_needs_no_route() {
    root_test!();
    let netns = two_nics();
    for host in ["192.0.2.77", "2001:db8::77"] {
        let flags = ["--ironic.api-url", "http://203.0.113.1:6385", "--advertise.host", host];
        let explained = explain(&netns, &flags);
        assert_address(&explained, host, None);
        assert_eq!(explained.candidate("reason"), "no_route", "the trace still tells");
    }
    // What nobody could connect to is a usage error that says what would be right.
    for host in [
        "None",
        "null",
        "undefined",
        "0.0.0.0",
        "127.0.0.1",
        "169.254.0.7",
        "fe80::7",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
    ] {
        let mut command = netns.command(binary());
        let flags = ["explain", "--ironic.api-url=http://203.0.113.1:6385", "--advertise.host", host];
        let output = command.args(flags).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{host}: {words}");
        for part in [host, "advertise.host", "that Ironic can connect to"] {
            assert!(words.contains(part), "{host}: {words}");
        }
    }
    let flags = ["--ironic.api-url", "http://127.0.0.1:6385", "--advertise.host", "127.0.0.1"];
    assert_address(&explain(&netns, &flags), "127.0.0.1", None);
    let flags = ["--advertise.host", "node7.example", "--advertise.port", "9998"];
    let explained = explain(&netns, &flags);
    assert_eq!(explained.text("callback_url"), Some("http://node7.example:9998"));
    assert_eq!(explained.code, 0);
}
