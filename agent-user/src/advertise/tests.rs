//! The decision from facts that are written by hand: no kernel, no DNS.

use std::collections::HashSet;
use std::net::IpAddr;

use callback_url::{Host, Scheme};
use fib::{Address, Errno, Link, Route};

use super::*;
use crate::params::{AdvertiseParameters, FamilyChoice, Parameters};

mod properties;

const API: &str = "http://192.0.2.1:6385";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn wanted() -> AdvertiseParameters {
    Parameters::default().advertise
}

fn address(text: &str) -> Address {
    Address {
        ip: ip(text),
        device: 2,
        link_scope: false,
        tentative: false,
        dad_failed: false,
        deprecated: false,
        temporary: false,
    }
}

fn link(name: &str) -> Link {
    Link {
        index: 2,
        name: name.into(),
        alternative_names: Vec::new(),
        up: true,
        carrier: true,
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    }
}

/// A good candidate: assigned, routed, its device `eth0` up with carrier.
fn candidate(source: &str) -> Candidate {
    Candidate {
        source: ip(source),
        chosen_by_kernel: true,
        by_interface: false,
        address: Some(address(source)),
        beside: [address(source)].into(),
        route: Ok(Route { source: Some(ip(source)), device: Some(2), table: Some(254) }),
        link: Some(link("eth0")),
    }
}

fn deprecated(source: &str) -> Candidate {
    let mut candidate = candidate(source);
    candidate.address.as_mut().unwrap().deprecated = true;
    candidate
}

fn destination(to: &str, candidates: Vec<Candidate>) -> Destination {
    Destination { ip: ip(to), candidates: Ok(candidates) }
}

fn failing(to: &str, failure: RouteFailure) -> Destination {
    Destination { ip: ip(to), candidates: Err(failure) }
}

fn target(url: &str, destinations: Vec<Destination>) -> Target {
    Target { url: ApiUrl::parse(url).unwrap(), resolution: Ok(destinations) }
}

fn facts(targets: Vec<Target>) -> Facts {
    Facts { targets, ..Facts::default() }
}

/// One URL, one address, one candidate.
fn one(candidate: Candidate) -> Facts {
    facts(vec![target(API, vec![destination("192.0.2.1", vec![candidate])])])
}

/// A good candidate after `change`.
fn one_with(source: &str, change: impl FnOnce(&mut Candidate)) -> Facts {
    let mut candidate = candidate(source);
    change(&mut candidate);
    one(candidate)
}

fn one_failing(failure: RouteFailure) -> Facts {
    facts(vec![target(API, vec![failing("192.0.2.1", failure)])])
}

fn host(decision: &Decision) -> Option<String> {
    decision.address.as_ref().map(ToString::to_string)
}

fn pinned(url: &str, address_text: &str) -> Pinned {
    Pinned {
        url: url.to_owned(),
        ip: Some(ip(address_text)),
        address: Some(address(address_text)),
        link: Some(link("eth0")),
        unanswered: None,
    }
}

/// The route says 10.0.0.2, Ironic holds `pinned`.
fn beside_route(pinned: Pinned) -> Facts {
    Facts { pinned: Some(pinned), ..one(candidate("10.0.0.2")) }
}

#[test]
fn the_plain_case_says_everything() {
    let decision = decide(&one(candidate("10.0.0.2")), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"));
    assert_eq!(decision.device.as_deref(), Some("eth0"));
    assert_eq!(decision.family, Some(Family::Inet));
    assert_eq!(decision.origin, Some(Origin::Route));
    assert_eq!(decision.api_url.as_ref().map(ToString::to_string).as_deref(), Some(API));
    assert_eq!(decision.callback_url.as_deref(), Some("http://10.0.0.2:9999"));
    assert!(decision.valid);
    assert_eq!(decision.refusal, None);
    assert_eq!(decision.trace[0].resolved[0].table, Some(254));
}

/// Facts that end in no address, and the refusal that must be reported.
fn refused() -> Vec<(Refusal, Facts)> {
    let kernel = |errno| one_failing(RouteFailure::Kernel(errno));
    vec![
        (Refusal::Loopback, one(candidate("127.0.0.1"))),
        (Refusal::Loopback, one(candidate("::1"))),
        (Refusal::Loopback, one(candidate("::ffff:127.0.0.1"))),
        (Refusal::LinkLocal, one(candidate("169.254.7.7"))),
        (Refusal::LinkLocal, one(candidate("fe80::7"))),
        (Refusal::Unspecified, one(candidate("0.0.0.0"))),
        (Refusal::Unspecified, one(candidate("::"))),
        (Refusal::Multicast, one(candidate("224.0.0.1"))),
        (Refusal::Multicast, one(candidate("ff02::1"))),
        (Refusal::Multicast, one(candidate("255.255.255.255"))),
        (Refusal::Tentative, one_with("fd00::2", |c| c.address.as_mut().unwrap().tentative = true)),
        // What the kernel answers while the only global address is tentative.
        (
            Refusal::Tentative,
            one_with("::1", |c| {
                c.beside = [Address { tentative: true, ..address("fd00::2") }].into();
            }),
        ),
        (
            Refusal::DadFailed,
            one_with("fe80::7", |c| {
                c.beside = [Address { tentative: true, dad_failed: true, ..address("fd00::2") }].into();
            }),
        ),
        (
            Refusal::DadFailed,
            one_with("fd00::2", |c| {
                let address = c.address.as_mut().unwrap();
                (address.dad_failed, address.tentative) = (true, true);
            }),
        ),
        (Refusal::NotAssigned, one_with("10.0.0.2", |c| c.address = None)),
        (Refusal::DeviceDown, one_with("10.0.0.2", |c| c.link.as_mut().unwrap().up = false)),
        (Refusal::DeviceDown, one_with("10.0.0.2", |c| c.link = None)),
        (Refusal::DeviceDown, kernel(Errno::NETDOWN)),
        (Refusal::NoCarrier, one_with("10.0.0.2", |c| c.link.as_mut().unwrap().carrier = false)),
        (Refusal::NoRoute, kernel(Errno::NETUNREACH)),
        (Refusal::NoRoute, kernel(Errno(95))),
        (Refusal::NoRoute, one_failing(RouteFailure::NoSource)),
        (Refusal::NoRoute, one_failing(RouteFailure::NoAddressOnDevice("eth0".to_owned()))),
        (Refusal::NoRoute, one_failing(RouteFailure::Question("socket".to_owned()))),
        (Refusal::Unreachable, kernel(Errno::HOSTUNREACH)),
        (Refusal::Prohibit, kernel(Errno::ACCES)),
        (Refusal::Blackhole, kernel(Errno::INVAL)),
        (Refusal::SourceRouteRefused, one_with("10.0.0.2", |c| c.route = Err(Errno::ACCES))),
        (Refusal::WrongDevice, kernel(Errno::NODEV)),
        (Refusal::WrongDevice, one_failing(RouteFailure::NoSuchDevice("eth9".to_owned()))),
        (
            Refusal::NameUnresolved,
            facts(vec![Target {
                url: ApiUrl::parse("http://ironic.example:6385").unwrap(),
                resolution: Err("ironic.example does not resolve: NXDOMAIN".to_owned()),
            }]),
        ),
        (Refusal::NameUnresolved, facts(vec![target(API, Vec::new())])),
        (Refusal::NoApiUrl, Facts::default()),
    ]
}

#[test]
fn every_refusal_is_reached_and_has_a_sentence() {
    let mut reached = HashSet::new();
    for (refusal, facts) in refused() {
        let decision = decide(&facts, &wanted());
        assert_eq!(decision.refusal, Some(refusal), "{facts:#?}");
        assert_eq!((&decision.address, &decision.callback_url), (&None, &None));
        assert!(!decision.valid);
        let detail = decision.detail.unwrap_or_default();
        assert!(detail.len() > 5, "{refusal:?} without words: {detail:?}");
        for candidate in decision.trace.iter().flat_map(|target| &target.resolved) {
            assert!(!candidate.accepted);
            assert_eq!(candidate.reason, Some(refusal.as_str()));
        }
        reached.insert(refusal);
    }
    let missing: Vec<_> = Refusal::ALL.iter().filter(|one| !reached.contains(one)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn an_interface_that_is_not_the_route_s_is_the_wrong_device() {
    let mut wanted = wanted();
    wanted.interface = Some("eth1".to_owned());
    let decision = decide(&one(candidate("10.0.0.2")), &wanted);
    assert_eq!(decision.refusal, Some(Refusal::WrongDevice));
    wanted.interface = Some("eth0".to_owned());
    let decision = decide(&one_with("10.0.0.2", |c| c.by_interface = true), &wanted);
    assert_eq!(decision.origin, Some(Origin::Interface));
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"));
}

#[test]
fn the_operator_s_word_beats_the_pin_and_the_route_and_needs_neither() {
    let mut wanted = wanted();
    for (text, url, family) in [
        ("203.0.113.9", "https://203.0.113.9:9998", Some(Family::Inet)),
        ("fd00::9", "https://[fd00::9]:9998", Some(Family::Inet6)),
        ("node7.example", "https://node7.example:9998", None),
        ("127.0.0.1", "https://127.0.0.1:9998", Some(Family::Inet)),
    ] {
        wanted.host = Host::parse(text);
        (wanted.port, wanted.protocol) = (9998, Scheme::Https);
        let mut all = refused();
        all.push((Refusal::NoRoute, beside_route(pinned("https://10.0.0.5:9998", "10.0.0.5"))));
        for (_, facts) in all {
            let decision = decide(&facts, &wanted);
            assert_eq!(decision.origin, Some(Origin::Operator));
            assert_eq!(decision.callback_url.as_deref(), Some(url));
            assert_eq!(decision.family, family);
            assert!(decision.valid && decision.refusal.is_none());
        }
    }
}

#[test]
fn an_expected_scheme_gives_way_to_the_one_that_ironic_holds() {
    let held = || beside_route(pinned("http://10.0.0.5:9999", "10.0.0.5"));
    let mut wanted = AdvertiseParameters { protocol: Scheme::Https, protocol_is_expected: true, ..wanted() };
    assert_eq!(decide(&held(), &wanted).callback_url.as_deref(), Some("http://10.0.0.5:9999"));
    assert_eq!(
        decide(&one(candidate("10.0.0.2")), &wanted).callback_url.as_deref(),
        Some("https://10.0.0.2:9999")
    );
    wanted.protocol_is_expected = false;
    let given = decide(&held(), &wanted);
    assert_eq!(
        given.callback_url.as_deref(),
        Some("https://10.0.0.2:9999"),
        "the operator's scheme does not"
    );
}

#[test]
fn the_pinned_address_stays_while_it_is_ours() {
    let decision = decide(&beside_route(pinned("http://10.0.0.5:9999", "10.0.0.5")), &wanted());
    assert_eq!(decision.origin, Some(Origin::Pinned));
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.5"));
    assert_eq!(decision.callback_url.as_deref(), Some("http://10.0.0.5:9999"));
    assert!(decision.valid);
    // Where nothing else is left, too.
    let decision = decide(
        &Facts {
            pinned: Some(pinned("http://10.0.0.5:9999", "10.0.0.5")),
            ..one_failing(RouteFailure::NoSource)
        },
        &wanted(),
    );
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.5"));
}

#[test]
fn a_loss_of_carrier_keeps_the_pinned_address_and_makes_it_invalid() {
    let mut pinned = pinned("http://10.0.0.5:9999", "10.0.0.5");
    pinned.link.as_mut().unwrap().carrier = false;
    let decision = decide(&beside_route(pinned), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.5"));
    assert_eq!(decision.origin, Some(Origin::Pinned));
    assert!(!decision.valid);
    assert_eq!(decision.refusal, Some(Refusal::NoCarrier));
}

#[test]
fn a_pinned_address_that_is_not_usable_here_gives_way_to_the_route() {
    let good = || pinned("http://10.0.0.5:9999", "10.0.0.5");
    let changes: [fn(&mut Pinned); 7] = [
        |p| p.address = None,
        |p| p.link = None,
        |p| p.link.as_mut().unwrap().up = false,
        |p| p.address.as_mut().unwrap().tentative = true,
        |p| p.address.as_mut().unwrap().dad_failed = true,
        |p| p.ip = None,
        |p| {
            p.url = "http://127.0.0.1:9999".to_owned();
            p.ip = Some(ip("127.0.0.1"));
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut pinned = good();
        change(&mut pinned);
        let decision = decide(&beside_route(pinned), &wanted());
        assert_eq!(decision.origin, Some(Origin::Route), "change {at}");
        assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"), "change {at}");
        assert!(decision.valid);
    }
}

#[test]
fn a_pinned_url_that_we_would_not_write_gives_way_to_the_route() {
    for url in [
        "http://10.0.0.5:9998",
        "ftp://10.0.0.5:9999",
        "http://10.0.0.5",
        "http://10.0.0.5:9999/",
        "http://10.0.0.5:9999?x",
        "http://u@10.0.0.5:9999",
        "http://10.0.0.5 uid 0:9999",
        "http://[::ffff:10.0.0.5]:9999",
    ] {
        let decision = decide(&beside_route(pinned(url, "10.0.0.5")), &wanted());
        assert_eq!(decision.origin, Some(Origin::Route), "{url}");
        assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"), "{url}");
    }
    // To Ironic these are the same text as what the daemon writes; it keeps sending its own.
    for url in ["HTTP://10.0.0.5:9999", " http://10.0.0.5:9999", "http://10.0.0.5:9999?"] {
        let decision = decide(&beside_route(pinned(url, "10.0.0.5")), &wanted());
        assert_eq!(decision.origin, Some(Origin::Pinned), "{url}");
        assert_eq!(decision.callback_url.as_deref(), Some("http://10.0.0.5:9999"), "{url}");
    }
}

#[test]
fn with_auto_tls_the_pinned_url_of_an_ipa_with_http_set_is_https() {
    let decision = decide(&beside_route(pinned("https://10.0.0.5:9999", "10.0.0.5")), &wanted());
    assert_eq!(decision.origin, Some(Origin::Pinned));
    assert_eq!(decision.callback_url.as_deref(), Some("https://10.0.0.5:9999"));
}

fn committed(at: &str) -> Committed {
    Committed { ip: ip(at), address: Some(address(at)), link: Some(link("eth0")), unanswered: None }
}

fn answered(at: &str) -> Answered {
    Answered {
        ip: ip(at),
        url: ApiUrl::parse(API).unwrap(),
        address: Some(address(at)),
        link: Some(link("eth0")),
        unanswered: None,
    }
}

/// The order: operator, pinned, committed, answered, route. Each of them gives way to the next where its address is lost.
#[test]
fn each_origin_gives_way_to_the_next_only_when_its_address_is_lost() {
    let mut facts = Facts {
        pinned: Some(pinned("http://10.0.0.5:9999", "10.0.0.5")),
        committed: Some(committed("10.0.0.6")),
        answered: Some(answered("10.0.0.7")),
        ..one(candidate("10.0.0.2"))
    };
    let mut given = wanted();
    given.host = Host::parse("203.0.113.9");
    assert_eq!(decide(&facts, &given).origin, Some(Origin::Operator));
    let chosen = |facts: &Facts| {
        let decision = decide(facts, &wanted());
        assert!(decision.valid && decision.callback_url.is_some(), "{decision:?}");
        (decision.origin, host(&decision).unwrap_or_default())
    };
    assert_eq!(chosen(&facts), (Some(Origin::Pinned), "10.0.0.5".to_owned()));
    facts.pinned.as_mut().unwrap().address = None;
    assert_eq!(chosen(&facts), (Some(Origin::Committed), "10.0.0.6".to_owned()));
    facts.committed.as_mut().unwrap().link.as_mut().unwrap().up = false;
    assert_eq!(chosen(&facts), (Some(Origin::Answered), "10.0.0.7".to_owned()));
    facts.answered.as_mut().unwrap().address = None;
    assert_eq!(chosen(&facts), (Some(Origin::Route), "10.0.0.2".to_owned()));
}

#[test]
fn a_loss_of_carrier_keeps_the_committed_address_and_makes_it_invalid() {
    let mut committed = committed("10.0.0.6");
    committed.link.as_mut().unwrap().carrier = false;
    let decision = decide(&Facts { committed: Some(committed), ..one(candidate("10.0.0.2")) }, &wanted());
    assert_eq!((host(&decision).as_deref(), decision.origin), (Some("10.0.0.6"), Some(Origin::Committed)));
    assert_eq!((decision.valid, decision.refusal), (false, Some(Refusal::NoCarrier)));
    assert!(decision.to_string().contains("has started"), "{decision}");
}

#[test]
fn what_is_refused_for_a_route_is_refused_for_an_answer() {
    let changes: [fn(&mut Answered); 7] = [
        |a| a.address.as_mut().unwrap().tentative = true,
        |a| a.address.as_mut().unwrap().dad_failed = true,
        |a| a.link = None,
        |a| a.link.as_mut().unwrap().carrier = false,
        |a| a.address.as_mut().unwrap().deprecated = true, // The route's source lasts.
        |a| *a = answered("127.0.0.1"),
        |a| *a = answered("fe80::7"),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut answered = answered("fd00::7");
        change(&mut answered);
        let decision = decide(&Facts { answered: Some(answered), ..one(candidate("10.0.0.2")) }, &wanted());
        assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"), "change {at}");
    }
    let across = Facts { answered: Some(answered("fd00::7")), ..one(candidate("10.0.0.2")) };
    let decision = decide(&across, &wanted());
    assert_eq!((host(&decision).as_deref(), decision.origin), (Some("[fd00::7]"), Some(Origin::Answered)));
    assert_eq!(
        decision.to_string(),
        format!("advertise [fd00::7] on eth0, the source of a connection that {API} answered")
    );
    let mut only_inet = wanted();
    only_inet.family = FamilyChoice::Inet;
    assert_eq!(decide(&across, &only_inet).origin, Some(Origin::Route));
    let mut other_device = wanted();
    other_device.interface = Some("eth1".to_owned());
    assert_ne!(decide(&across, &other_device).origin, Some(Origin::Answered));
}

#[test]
fn the_first_url_with_a_source_wins_and_the_next_one_helps_out() {
    let second = "http://198.51.100.1:6385";
    let two = |first: Destination| {
        facts(vec![
            target(API, vec![first]),
            target(second, vec![destination("198.51.100.1", vec![candidate("10.0.0.3")])]),
        ])
    };
    let decision = decide(&two(destination("192.0.2.1", vec![candidate("10.0.0.2")])), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"));
    let decision = decide(&two(failing("192.0.2.1", RouteFailure::NoSource)), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("10.0.0.3"));
    assert_eq!(decision.api_url.map(|url| url.to_string()).as_deref(), Some(second));
    assert_eq!(decision.trace.len(), 2, "the refused URL stays in the trace");
    // Without any, the first URL's refusal is reported.
    let decision = decide(
        &facts(vec![
            target(API, vec![failing("192.0.2.1", RouteFailure::Kernel(Errno::ACCES))]),
            target(second, vec![failing("198.51.100.1", RouteFailure::NoSource)]),
        ]),
        &wanted(),
    );
    assert_eq!(decision.refusal, Some(Refusal::Prohibit));
}

#[test]
fn dual_stack_follows_rfc_6724_and_the_family_choice() {
    let v6 = || destination("2001:db8::1", vec![candidate("2001:db8::2")]);
    let ula = || destination("fd00::1", vec![candidate("fd00::2")]);
    let v4 = || destination("192.0.2.1", vec![candidate("10.0.0.2")]);
    let answer = |destinations: Vec<Destination>, family: FamilyChoice| {
        let mut wanted = wanted();
        wanted.family = family;
        decide(&facts(vec![target("http://ironic:6385", destinations)]), &wanted)
    };
    let address = |destinations, family| host(&answer(destinations, family));
    assert_eq!(address(vec![v4(), v6()], FamilyChoice::Auto).as_deref(), Some("[2001:db8::2]"));
    assert_eq!(address(vec![ula(), v4()], FamilyChoice::Auto).as_deref(), Some("10.0.0.2"));
    assert_eq!(address(vec![v4(), v6()], FamilyChoice::Inet).as_deref(), Some("10.0.0.2"));
    assert_eq!(address(vec![v4(), ula()], FamilyChoice::Inet6).as_deref(), Some("[fd00::2]"));
    let unusable = failing("2001:db8::1", RouteFailure::Kernel(Errno::NETUNREACH));
    assert_eq!(address(vec![unusable, v4()], FamilyChoice::Auto).as_deref(), Some("10.0.0.2"));
    let none = answer(vec![v4()], FamilyChoice::Inet6);
    assert_eq!(none.refusal, Some(Refusal::NameUnresolved));
    assert!(none.detail.unwrap_or_default().contains("of family inet6"));
}

#[test]
fn an_address_that_will_not_last_is_only_a_last_resort() {
    let temporary = {
        let mut candidate = candidate("fd00::7");
        candidate.address.as_mut().unwrap().temporary = true;
        candidate
    };
    // Alone it is taken, and said so.
    let poor = [
        (deprecated("fd00::6"), "deprecated"),
        (temporary.clone(), "temporary"),
        (candidate("192.0.0.1"), "clat"),
    ];
    for (poor, reason) in poor {
        let decision = decide(&one(poor), &wanted());
        assert!(decision.valid && decision.refusal.is_none());
        assert!(decision.detail.unwrap_or_default().contains("last resort"));
        let candidate = &decision.trace[0].resolved[0];
        assert_eq!((candidate.accepted, candidate.reason), (true, Some(reason)));
    }
    // Beside a better one of the same device, towards the same address.
    let both = facts(vec![target(API, vec![destination("fd00::1", vec![temporary, candidate("fd00::2")])])]);
    let decision = decide(&both, &wanted());
    assert_eq!(host(&decision).as_deref(), Some("[fd00::2]"));
    assert_eq!(decision.detail, None);
    assert!(!decision.trace[0].resolved[0].accepted);
    // Beside a better one towards the API's other address, or towards the next URL.
    let poor = || destination("2001:db8::1", vec![deprecated("2001:db8::2")]);
    let better = || destination("192.0.2.1", vec![candidate("10.0.0.2")]);
    for facts in [
        facts(vec![target("http://ironic:6385", vec![poor(), better()])]),
        facts(vec![target("http://[2001:db8::1]:6385", vec![poor()]), target(API, vec![better()])]),
    ] {
        let decision = decide(&facts, &wanted());
        assert_eq!(host(&decision).as_deref(), Some("10.0.0.2"));
        assert_eq!(decision.detail, None);
    }
    // IPv4 by translation to IPv6, beside IPv6 itself.
    let clat = destination("192.0.2.1", vec![candidate("192.0.0.7")]);
    let plain = destination("fd00::1", vec![candidate("fd00::2")]);
    let decision = decide(&facts(vec![target("http://ironic:6385", vec![clat, plain])]), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("[fd00::2]"));
    let beside = destination("192.0.2.1", vec![candidate("192.0.0.8")]);
    let decision = decide(&facts(vec![target("http://ironic:6385", vec![beside])]), &wanted());
    assert_eq!(decision.trace[0].resolved[0].reason, None, "beyond the prefix");
    // A refused one is no better one.
    let refused = failing("192.0.2.1", RouteFailure::NoSource);
    let decision = decide(&facts(vec![target("http://ironic:6385", vec![poor(), refused])]), &wanted());
    assert_eq!(host(&decision).as_deref(), Some("[2001:db8::2]"));
}

#[test]
fn an_unanswered_question_is_distinguished_from_a_refusal() {
    for (refusal, facts) in refused() {
        let candidates = facts.targets.iter().flat_map(|one| one.resolution.iter().flatten());
        let question =
            candidates.filter(|one| matches!(one.candidates, Err(RouteFailure::Question(_)))).count();
        assert_eq!(facts.unanswered().is_some(), question > 0, "{refusal:?}");
    }
    let mut pinned = pinned("http://10.0.0.5:9999", "10.0.0.5");
    pinned.unanswered = Some("interrupted".to_owned());
    assert_eq!(beside_route(pinned).unanswered(), Some("interrupted"));
}
