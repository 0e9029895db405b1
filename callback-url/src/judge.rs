//! The judgement of one callback URL, and the URL that would be right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::api_url::is_numeric;
use crate::{DEFAULT_PORT, Host, Reason, Scheme, Warning, build};

/// What is known beside the URL itself.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Ironic takes https only (`[agent]require_tls`).
    pub require_tls: bool,
    /// This machine's addresses, where the URL is to be one of its own.
    pub local: Option<Local>,
    /// An address from a range that no network routes is bad.
    pub must_be_routable: bool,
}

/// This machine, as far as a URL can contradict it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Local {
    /// Addresses that are assigned and usable.
    pub assigned: Vec<IpAddr>,
    /// Addresses that are assigned and not usable yet.
    pub tentative: Vec<IpAddr>,
    /// Those of `assigned` whose preferred lifetime is over.
    pub deprecated: Vec<IpAddr>,
    /// Those of `assigned` that are privacy addresses.
    pub temporary: Vec<IpAddr>,
    /// The advertise address that was decided on.
    pub decided: Option<Host>,
}

/// Good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The conductor can use it.
    Good,
    /// It cannot, or not safely.
    Bad,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Bad where there is a reason.
    pub verdict: Verdict,
    /// Everything that is wrong, in the order of [`Reason::ALL`].
    pub reasons: Vec<Reason>,
    /// What is doubtful and may be right, in the order of [`Warning::ALL`]; a good URL can have some.
    pub warnings: Vec<Warning>,
    /// The URL that would be right, where a bad one still tells it; always judged good itself.
    pub suggestion: Option<String>,
}

/// Judges `url` as it stands.
pub fn judge(url: &str, context: &Context) -> Judgement {
    let mut reasons = find_reasons(url, context);
    reasons.sort_unstable();
    reasons.dedup();
    let warnings = find_warnings(url, context);
    if reasons.is_empty() {
        return Judgement { verdict: Verdict::Good, reasons, warnings, suggestion: None };
    }
    let suggestion = suggest(url, context).filter(|url| find_reasons(url, context).is_empty());
    Judgement { verdict: Verdict::Bad, reasons, warnings, suggestion }
}

fn find_warnings(url: &str, context: &Context) -> Vec<Warning> {
    let (Some(Host::Ip(ip)), Some(local)) = (host(url), &context.local) else { return Vec::new() };
    let ip = ip.to_canonical();
    if !local.assigned.contains(&ip) {
        return Vec::new();
    }
    let another_is_decided = local.decided.as_ref().is_some_and(|decided| *decided != Host::Ip(ip));
    [
        (another_is_decided, Warning::RouteMismatch),
        (local.deprecated.contains(&ip), Warning::Deprecated),
        (local.temporary.contains(&ip), Warning::Temporary),
    ]
    .into_iter()
    .filter_map(|(is, warning)| is.then_some(warning))
    .collect()
}

/// The pieces of `scheme://authority` + the rest, without any check of them.
struct Pieces<'a> {
    scheme: &'a str,
    user_info: bool,
    host: &'a str,
    /// The text behind the host's colon; `None` without a colon.
    port: Option<&'a str>,
    /// What begins with `/`, `?` or `#`.
    tail: &'a str,
}

fn split(url: &str) -> Option<Pieces<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user_info, host_port) = match authority.rsplit_once('@') {
        Some((_, host_port)) => (true, host_port),
        None => (false, authority),
    };
    let (host, port) = if host_port.starts_with('[') {
        let end = host_port.find(']')? + 1;
        match host_port.split_at(end) {
            (host, "") => (host, None),
            (host, port) => (host, Some(port.strip_prefix(':')?)),
        }
    } else {
        match host_port.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host_port, None),
        }
    };
    Some(Pieces { scheme, user_info, host, port, tail })
}

/// The host of a callback URL, where it is an address or a name as it stands.
pub fn host(url: &str) -> Option<Host> {
    read_host(&split(url)?).ok()
}

/// The port of a callback URL, where it is one as it stands.
pub fn port(url: &str) -> Option<u16> {
    read_port(split(url)?.port?)
}

fn find_reasons(url: &str, context: &Context) -> Vec<Reason> {
    if url.is_empty() {
        return vec![Reason::Empty];
    }
    let mut found = Vec::new();
    if url.chars().any(char::is_control) {
        found.push(Reason::ControlCharacter);
    }
    if url.chars().any(|c| c.is_whitespace() && !c.is_control()) {
        found.push(Reason::Whitespace);
    }
    let Some(pieces) = split(url) else {
        found.push(Reason::Unparseable);
        return found;
    };
    if read_scheme(pieces.scheme).is_none() {
        found.push(Reason::Scheme);
    }
    // The literal prefix, as ironic's ramdisk.py asks for it.
    if context.require_tls && !url.starts_with("https://") {
        found.push(Reason::NotTls);
    }
    if pieces.user_info {
        found.push(Reason::UserInfo);
    }
    if unbracketed(&pieces).is_some() {
        found.push(Reason::UnbracketedIpv6);
    } else {
        match pieces.port {
            None | Some("") => found.push(Reason::PortMissing),
            Some(port) if read_port(port).is_none() => found.push(Reason::PortInvalid),
            Some(_) => {}
        }
    }
    let host = match read_host(&pieces) {
        Ok(host) => Some(host),
        Err(reason) => {
            found.extend(reason);
            zoned(&pieces).filter(|_| reason == Some(Reason::ZoneId))
        }
    };
    if let Some(host) = host {
        found.extend(host_class(&host));
        found.extend(context.local.as_ref().and_then(|local| contradiction(&host, local)));
        found.extend((context.must_be_routable && is_nowhere_routed(&host)).then_some(Reason::NotRoutable));
    }
    let (before_fragment, fragment) = split_at_mark(pieces.tail, '#');
    let (path, query) = split_at_mark(before_fragment, '?');
    for (present, reason) in
        [(!path.is_empty(), Reason::Path), (query, Reason::Query), (fragment, Reason::Fragment)]
    {
        found.extend(present.then_some(reason));
    }
    found
}

fn split_at_mark(text: &str, mark: char) -> (&str, bool) {
    text.split_once(mark).map_or((text, false), |(before, _)| (before, true))
}

fn read_scheme(text: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
}

/// A port in its one canonical form.
fn read_port(text: &str) -> Option<u16> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| canonical)
}

/// The address in `http://fd00::1:9999`, where the last group can be nothing but the port, or the whole where it
/// cannot be known.
fn unbracketed(pieces: &Pieces<'_>) -> Option<Ipv6Addr> {
    if pieces.host.starts_with('[') || !pieces.host.contains(':') {
        return None;
    }
    let ends = |c: char| c == '%' || c.is_whitespace();
    let without_zone = |text: &str| text.split(ends).next().unwrap_or_default().parse().ok();
    let whole = || format!("{}:{}", pieces.host, pieces.port.unwrap_or_default()).parse().ok();
    without_zone(pieces.host).or_else(whole)
}

/// The host, or what is wrong with its text; nothing where the blanks and control characters already tell.
fn read_host(pieces: &Pieces<'_>) -> Result<Host, Option<Reason>> {
    let text = pieces.host;
    if let Some(ip) = unbracketed(pieces) {
        if text.contains(char::is_whitespace) {
            return Err(None); // The blanks tell.
        }
        let Some((_, zone)) = text.split_once('%') else { return Ok(Host::Ip(ip.into())) };
        // The seed's ` uid 0` behind an IPv6 address is no zone: blanks are none of its characters (RFC 6874).
        let is_text = percent_decode(&format!("%{zone}")).is_some_and(|text| text.starts_with([' ', '%']));
        return Err(Some(if is_text { Reason::PercentEncodedHost } else { Reason::ZoneId }));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inside.split_once('%') {
            Some(_) => Err(Some(Reason::ZoneId)),
            None => inside
                .parse::<Ipv6Addr>()
                .map(|ip| Host::Ip(ip.into()))
                .map_err(|_| Some(Reason::Unparseable)),
        };
    }
    if text.is_empty() {
        return Err(Some(Reason::HostMissing));
    }
    if !text.is_ascii() {
        return Err(Some(Reason::NonAsciiHost));
    }
    if text.contains('%') {
        return Err(Some(Reason::PercentEncodedHost));
    }
    if ["none", "null", "undefined"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return Err(Some(Reason::PlaceholderHost));
    }
    if let Some(host) = Host::parse(text) {
        return Ok(host);
    }
    if looks_like_a_number(text) {
        return Err(Some(Reason::AmbiguousIpv4));
    }
    let already_reported = text.chars().any(|c| c.is_whitespace() || c.is_control());
    Err((!already_reported).then_some(Reason::Unparseable))
}

/// The address before a zone: that has a class of its own.
fn zoned(pieces: &Pieces<'_>) -> Option<Host> {
    let inside = pieces.host.strip_prefix('[').unwrap_or(pieces.host);
    inside.split('%').next()?.parse::<Ipv6Addr>().ok().map(|ip| Host::Ip(ip.into()))
}

/// What `inet_aton` and WHATWG parsers would take for an IPv4 address, or try to: nothing but labels of digits, the
/// last one decimal or `0x` and hexadecimal.
fn looks_like_a_number(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b'x' | b'X')) {
        return false;
    }
    let last = text.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && is_numeric(last)
}

fn host_class(host: &Host) -> Option<Reason> {
    match host {
        Host::Ip(ip) => address_class(*ip),
        Host::Name(name) => (name == "localhost" || name.ends_with(".localhost")).then_some(Reason::Loopback),
    }
}

/// Why nobody else could connect to an address, by its class; an IPv4-mapped one is judged as its IPv4.
pub fn address_class(ip: IpAddr) -> Option<Reason> {
    let (unspecified, link_local, broadcast) = match ip.to_canonical() {
        // The whole of 0.0.0.0/8 is no destination (RFC 1122, 3.2.1.3).
        IpAddr::V4(ip) => (ip.octets()[0] == 0, ip.is_link_local(), ip == Ipv4Addr::BROADCAST),
        IpAddr::V6(ip) => (ip.is_unspecified(), ip.is_unicast_link_local(), false),
    };
    let ip = ip.to_canonical();
    [
        (unspecified, Reason::Unspecified),
        (ip.is_loopback(), Reason::Loopback),
        (link_local, Reason::LinkLocal),
        (ip.is_multicast(), Reason::Multicast),
        (broadcast, Reason::Broadcast),
    ]
    .into_iter()
    .find_map(|(is, reason)| is.then_some(reason))
}

/// Whether no network routes to an address: the IPv4 service continuity prefix (RFC 7335), class E (RFC 1112), and the
/// ranges for documentation (RFC 5737, RFC 3849, RFC 9637).
fn is_nowhere_routed(host: &Host) -> bool {
    let Host::Ip(ip) = host else { return false };
    match ip.to_canonical() {
        IpAddr::V4(ip) => match ip.octets() {
            [192, 0, 0, last] => last < 8,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true,
            [first, ..] => first >= 240 && ip != Ipv4Addr::BROADCAST,
        },
        IpAddr::V6(ip) => match ip.segments() {
            [0x2001, 0x0db8, ..] => true,
            [0x3fff, second, ..] => second < 0x1000,
            _ => false,
        },
    }
}

/// Where the URL contradicts what this machine knows of itself.
fn contradiction(host: &Host, local: &Local) -> Option<Reason> {
    let Host::Ip(ip) = host else { return None };
    let ip = ip.to_canonical();
    if local.decided == Some(Host::Ip(ip)) || local.assigned.contains(&ip) {
        return None;
    }
    Some(if local.tentative.contains(&ip) { Reason::Tentative } else { Reason::NotAssigned })
}

/// The URL that a bad one was meant to be: its host is the first word of the (percent-decoded) host text, and that
/// word is an address or name as it stands.
fn suggest(url: &str, context: &Context) -> Option<String> {
    let pieces = split(url.trim_matches(|c: char| c.is_whitespace() || c.is_control()))?;
    let scheme = match read_scheme(pieces.scheme)? {
        _ if context.require_tls => Scheme::Https,
        scheme => scheme,
    };
    let port = match pieces.port {
        None | Some("") => DEFAULT_PORT,
        Some(port) => read_port(port.trim())?,
    };
    // `http://10.0.0.1 uid 0:9999` and the same percent-encoded, once or twice.
    let decoded = percent_decode(&percent_decode(pieces.host)?)?;
    let mut words = decoded.split_whitespace();
    let mut host = words.next().and_then(Host::parse)?;
    if words.next().is_some() && matches!(host, Host::Name(_)) {
        return None; // An address is one by itself; which word is a name, nobody knows.
    }
    if let Some(local @ Local { decided: Some(decided), .. }) = &context.local
        && contradiction(&host, local).is_some()
    {
        host = decided.clone();
    }
    Some(build(scheme, &host, port))
}

/// Decodes `%XX`; `None` where the result is no UTF-8 or an escape is cut short.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
