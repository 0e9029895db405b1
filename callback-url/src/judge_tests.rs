//! Every reason by example, and what holds for any text.

use Reason::*;
use proptest::prelude::*;

use super::*;

fn reasons(url: &str) -> Vec<Reason> {
    judge(url, &Context::default()).reasons
}

fn suggestion(url: &str) -> Option<String> {
    judge(url, &Context::default()).suggestion
}

#[test]
fn what_ironic_stores_without_a_word_is_judged() {
    // The list of URLs that a real Ironic 39.0.0 took and pinned.
    for (url, expected, suggested) in [
        ("http://172.25.134.128 uid 0:9999", vec![Whitespace], Some("http://172.25.134.128:9999")),
        (
            "http://172.25.134.128%20uid%200:9999",
            vec![PercentEncodedHost],
            Some("http://172.25.134.128:9999"),
        ),
        (
            "http://172.25.134.128%2520uid%25200:9999",
            vec![PercentEncodedHost],
            Some("http://172.25.134.128:9999"),
        ),
        (
            "http://2001:db8::7%20uid%200:9999",
            vec![PercentEncodedHost, UnbracketedIpv6],
            Some("http://[2001:db8::7]:9999"),
        ),
        (
            "http://2001:db8::7 uid 0:9999",
            vec![Whitespace, UnbracketedIpv6],
            Some("http://[2001:db8::7]:9999"),
        ),
        ("http://x y:1", vec![Whitespace], None),
        ("http://None:9999", vec![PlaceholderHost], None),
        ("http://:9999", vec![HostMissing], None),
        ("http://", vec![HostMissing, PortMissing], None),
        ("http://fd00::1:9999", vec![UnbracketedIpv6], Some("http://[fd00::1]:9999")),
        ("http://[fe80::1%25eth0]:9999", vec![ZoneId, LinkLocal], None),
        ("http://127.0.0.1:9999", vec![Loopback], None),
        ("http://0.0.0.0:9999", vec![Unspecified], None),
        ("http://10.0.0.1:99999", vec![PortInvalid], None),
        ("http://10.0.0.1:abc", vec![PortInvalid], None),
        ("http://user:pw@10.0.0.1:9999", vec![UserInfo], Some("http://10.0.0.1:9999")),
        ("nothttp://x", vec![Scheme, PortMissing], None),
        ("", vec![Empty], None),
    ] {
        assert_eq!(reasons(url), expected, "{url}");
        assert_eq!(suggestion(url).as_deref(), suggested, "{url}");
    }
}

#[test]
fn every_form_of_a_host() {
    for (host, expected) in [
        ("10.0.0.1", vec![]),
        ("ironic-node-7.example.com", vec![]),
        ("node_7", vec![]),
        ("[2001:db8::1]", vec![]),
        ("[::ffff:10.0.0.1]", vec![]),
        ("[::ffff:127.0.0.1]", vec![Loopback]),
        ("[::1]", vec![Loopback]),
        ("localhost", vec![Loopback]),
        ("LOCALHOST", vec![Loopback]),
        ("[::]", vec![Unspecified]),
        ("0.1.2.3", vec![Unspecified]),
        ("169.254.1.1", vec![LinkLocal]),
        ("[fe80::1]", vec![LinkLocal]),
        ("[fe80::1%eth0]", vec![ZoneId, LinkLocal]),
        ("[2001:db8::1%25eth0]", vec![ZoneId]),
        ("224.0.0.1", vec![Multicast]),
        ("[ff02::1]", vec![Multicast]),
        ("255.255.255.255", vec![Broadcast]),
        ("0x7f000001", vec![AmbiguousIpv4]),
        ("0X7F000001", vec![AmbiguousIpv4]),
        ("0X7", vec![AmbiguousIpv4]),
        ("127.0.0.0X1", vec![AmbiguousIpv4]),
        ("0xnode", vec![]),
        ("2130706433", vec![AmbiguousIpv4]),
        ("010.0.0.1", vec![AmbiguousIpv4]),
        ("10.1", vec![AmbiguousIpv4]),
        ("10.0.0.256", vec![AmbiguousIpv4]),
        ("1.2.3.4.5", vec![AmbiguousIpv4]),
        ("nöde", vec![NonAsciiHost]),
        ("null", vec![PlaceholderHost]),
        ("undefined", vec![PlaceholderHost]),
        ("a..b", vec![Unparseable]),
        ("[10.0.0.1]", vec![Unparseable]),
        ("10.0.0.1,10.0.0.2", vec![Unparseable]),
        ("10.0.0.1\n", vec![ControlCharacter]),
        ("10.0.0.1\u{a0}", vec![Whitespace, NonAsciiHost]),
    ] {
        assert_eq!(reasons(&format!("http://{host}:9999")), expected, "{host}");
    }
}

#[test]
fn what_stands_around_the_host() {
    for (url, expected, suggested) in [
        ("http://10.0.0.1", vec![PortMissing], Some("http://10.0.0.1:9999")),
        ("http://10.0.0.1:", vec![PortMissing], Some("http://10.0.0.1:9999")),
        ("http://10.0.0.1:0", vec![PortInvalid], None),
        ("http://10.0.0.1:09999", vec![PortInvalid], None),
        ("http://10.0.0.1:9999/", vec![Path], Some("http://10.0.0.1:9999")),
        ("http://10.0.0.1:9999/v1?a=b#c", vec![Path, Query, Fragment], Some("http://10.0.0.1:9999")),
        (" http://10.0.0.1:9999", vec![Scheme, Whitespace], Some("http://10.0.0.1:9999")),
        ("10.0.0.1:9999", vec![Unparseable], None),
        ("http://[fd00::1:9999", vec![Unparseable], None),
        ("http://[fd00::1]9999", vec![Unparseable], None),
        ("ftp://10.0.0.1:9999", vec![Scheme], None),
        ("HTTP://10.0.0.1:9999", vec![], None),
    ] {
        assert_eq!(reasons(url), expected, "{url}");
        assert_eq!(suggestion(url).as_deref(), suggested, "{url}");
    }
}

#[test]
fn tls_where_ironic_wants_it() {
    let context = Context { require_tls: true, ..Context::default() };
    let judgement = judge("http://10.0.0.1:9999", &context);
    assert_eq!(judgement.reasons, [NotTls]);
    assert_eq!(judgement.suggestion.as_deref(), Some("https://10.0.0.1:9999"));
    assert_eq!(
        judge("HTTPS://10.0.0.1:9999", &context).reasons,
        [NotTls],
        "Ironic asks for the literal prefix"
    );
    assert_eq!(judge("https://10.0.0.1:9999", &context).verdict, Verdict::Good);
}

#[test]
fn this_machine_contradicts() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let local = Local {
        assigned: vec![ip("10.0.0.1"), ip("10.0.0.2")],
        tentative: vec![ip("fd00::7")],
        decided: Some(Host::Ip(ip("10.0.0.1"))),
        ..Local::default()
    };
    let context = Context { local: Some(local), ..Context::default() };
    for (url, expected) in [
        ("http://10.0.0.1:9999", None),
        ("http://10.0.0.2:9999", None),
        ("http://[::ffff:10.0.0.2]:9999", None),
        ("http://10.0.0.3:9999", Some(NotAssigned)),
        ("http://[fd00::7]:9999", Some(Tentative)),
    ] {
        let judgement = judge(url, &context);
        assert_eq!(judgement.reasons, Vec::from_iter(expected), "{url}");
        assert_eq!(judgement.suggestion.is_some(), expected.is_some(), "{url}");
    }
}

#[test]
fn what_may_be_right_is_only_a_warning() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let local = Local {
        assigned: ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"].map(ip).to_vec(),
        deprecated: vec![ip("fd00::1")],
        temporary: vec![ip("fd00::1"), ip("fd00::2")],
        decided: Some(Host::Ip(ip("fd00::2"))),
        ..Local::default()
    };
    let context = Context { local: Some(local), ..Context::default() };
    for (url, expected) in [
        ("http://10.0.0.1:9999", vec![Warning::RouteMismatch]),
        ("http://[::ffff:10.0.0.1]:9999", vec![Warning::RouteMismatch]),
        ("http://[fd00::1]:9999", vec![Warning::RouteMismatch, Warning::Deprecated, Warning::Temporary]),
        ("http://[fd00::2]:9999", vec![Warning::Temporary]),
        ("http://node7:9999", vec![]),
    ] {
        let judgement = judge(url, &context);
        assert_eq!((judgement.verdict, judgement.warnings), (Verdict::Good, expected), "{url}");
    }
    // A bad URL of an address that is here is put right with that address.
    let judgement = judge("http://10.0.0.2:9999/", &context);
    assert_eq!(judgement.reasons, [Path]);
    assert_eq!(judgement.suggestion.as_deref(), Some("http://10.0.0.2:9999"));
}

#[test]
fn ranges_that_no_network_routes_count_where_they_are_asked_about() {
    let context = Context { must_be_routable: true, ..Context::default() };
    for (host, expected) in [
        ("192.0.0.7", vec![NotRoutable]),
        ("192.0.0.8", vec![]),
        ("192.0.2.1", vec![NotRoutable]),
        ("198.51.100.1", vec![NotRoutable]),
        ("203.0.113.1", vec![NotRoutable]),
        ("240.0.0.1", vec![NotRoutable]),
        ("255.255.255.255", vec![Broadcast]),
        ("[2001:db8::1]", vec![NotRoutable]),
        ("[3fff:fff::1]", vec![NotRoutable]),
        ("[3fff:1000::1]", vec![]),
        ("[::ffff:192.0.2.1]", vec![NotRoutable]),
        ("10.0.0.1", vec![]),
        ("[fd00::1]", vec![]),
    ] {
        let url = format!("http://{host}:9999");
        assert_eq!(judge(&url, &context).reasons, expected, "{host}");
        let without = judge(&url, &Context::default()).reasons;
        assert!(!without.contains(&NotRoutable), "{host}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_and_a_suggestion_is_good(url in ".{0,60}", tls in any::<bool>()) {
        let context = Context { require_tls: tls, ..Context::default() };
        let judgement = judge(&url, &context);
        prop_assert_eq!(judgement.reasons.is_empty(), judgement.verdict == Verdict::Good);
        if let Some(suggested) = judgement.suggestion {
            prop_assert_eq!(judge(&suggested, &context).reasons, vec![]);
        }
    }

    #[test]
    fn near_urls_too(
        scheme in "http|https|HTTP|ftp|",
        host in "[0-9a-fxA-F:.\\[\\]%@ ]{0,24}|10\\.0\\.0\\.[0-9]{1,3}( uid 0|%20uid%200)?",
        port in "(:[0-9]{0,6})?",
        tail in "[/?#a ]{0,3}",
    ) {
        let url = format!("{scheme}://{host}{port}{tail}");
        let judgement = judge(&url, &Context::default());
        if let Some(suggested) = judgement.suggestion {
            prop_assert_eq!(judge(&suggested, &Context::default()).reasons, vec![], "{} gave {}", url, suggested);
        }
        if judgement.verdict == Verdict::Good {
            // Good means: hyper's strict parser agrees, and nothing but scheme, host and port is there.
            let uri: http::Uri = url.parse().unwrap();
            prop_assert!(uri.port_u16().is_some() && uri.query().is_none() && uri.path() == "/");
        }
    }
}
