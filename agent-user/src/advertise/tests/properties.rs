//! What must hold for any facts.

use std::net::{Ipv4Addr, Ipv6Addr};

use callback_url::{Context, Verdict, judge};
use proptest::prelude::*;

use super::*;

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        // Ranges that random bits hardly ever hit.
        (0u128..8).prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_ipv6_mapped().into()),
        any::<u64>().prop_map(|bits| Ipv6Addr::from_bits((0xfe80_u128 << 112) | u128::from(bits)).into()),
        any::<u64>().prop_map(|bits| Ipv6Addr::from_bits((0xfd00_u128 << 112) | u128::from(bits)).into()),
        (0u8..4, any::<u8>()).prop_map(|(a, b)| IpAddr::from([
            [10, 127, 169, 224][usize::from(a)],
            254,
            0,
            b
        ])),
    ]
}

prop_compose! {
    fn any_address()(ip in any_ip(), flags in any::<[bool; 5]>()) -> Address {
        Address {
            ip,
            device: 2,
            link_scope: flags[0],
            tentative: flags[1] && flags[2],
            dad_failed: flags[1] && !flags[2],
            deprecated: flags[3],
            temporary: flags[4],
        }
    }
}

prop_compose! {
    fn any_candidate()(
        address in any_address(),
        assigned in prop::bool::weighted(0.8),
        beside in prop::collection::vec(any_address(), 0..2),
        by_interface in any::<bool>(),
        errno in prop::option::weighted(0.2, 1i32..120),
        up in prop::bool::weighted(0.9),
        carrier in prop::bool::weighted(0.9),
    ) -> Candidate {
        let route = Route { source: Some(address.ip), device: Some(2), table: Some(254) };
        Candidate {
            source: address.ip,
            chosen_by_kernel: true,
            by_interface,
            address: assigned.then_some(address),
            beside: beside.into(),
            route: errno.map_or(Ok(route), |errno| Err(Errno(errno))),
            link: Some(Link { up, carrier, ..link("eth0") }),
        }
    }
}

fn any_destinations() -> impl Strategy<Value = Vec<Destination>> {
    let candidates = prop_oneof![
        4 => prop::collection::vec(any_candidate(), 1..4).prop_map(Ok),
        1 => (1i32..120).prop_map(|errno| Err(RouteFailure::Kernel(Errno(errno)))),
    ];
    // An API's addresses are distinct: the watch sees to that.
    prop::collection::btree_map(any_ip(), candidates, 0..5)
        .prop_map(|all| all.into_iter().map(|(ip, candidates)| Destination { ip, candidates }).collect())
}

fn any_pinned() -> impl Strategy<Value = Option<Pinned>> {
    let one = (any_address(), any::<bool>(), 9998u16..10000, "(|/| uid 0)", any::<bool>());
    prop::option::of(one.prop_map(|(address, assigned, port, tail, carrier)| Pinned {
        url: format!("{}{tail}", callback_url::build(Scheme::Http, &Host::Ip(address.ip), port)),
        ip: Some(address.ip),
        address: assigned.then_some(address),
        link: Some(Link { carrier, ..link("eth0") }),
        unanswered: None,
    }))
}

fn any_committed() -> impl Strategy<Value = Option<Committed>> {
    let one = (any_address(), any::<bool>(), any::<bool>());
    prop::option::of(one.prop_map(|(address, assigned, carrier)| Committed {
        ip: address.ip,
        address: assigned.then_some(address),
        link: Some(Link { carrier, ..link("eth0") }),
        unanswered: None,
    }))
}

fn any_answered() -> impl Strategy<Value = Option<Answered>> {
    let one = (any_address(), any::<bool>(), any::<bool>());
    prop::option::of(one.prop_map(|(address, assigned, carrier)| Answered {
        ip: address.ip,
        url: ApiUrl::parse(API).unwrap(),
        address: assigned.then_some(address),
        link: Some(Link { carrier, ..link("eth0") }),
        unanswered: None,
    }))
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let targets = prop::collection::vec(any_destinations(), 0..3);
    (targets, any_pinned(), any_committed(), any_answered()).prop_map(
        |(targets, pinned, committed, answered)| {
            let targets = targets.into_iter().map(|one| target("http://ironic:6385", one)).collect();
            Facts { targets, pinned, committed, answered }
        },
    )
}

prop_compose! {
    fn any_wanted()(
        host in prop::option::weighted(0.2, any_ip()),
        port in prop_oneof![Just(9999u16), 1u16..],
        https in any::<bool>(),
        family in prop_oneof![Just(FamilyChoice::Auto), Just(FamilyChoice::Inet), Just(FamilyChoice::Inet6)],
    ) -> AdvertiseParameters {
        AdvertiseParameters {
            host: host.map(Host::Ip),
            port,
            protocol: if https { Scheme::Https } else { Scheme::Http },
            family,
            ..wanted()
        }
    }
}

/// Scheme, host and port of a callback URL, read without the code that wrote it.
fn parse_back(url: &str) -> (&str, IpAddr, u16) {
    let (scheme, rest) = url.split_once("://").unwrap();
    let address: std::net::SocketAddr = rest.parse().unwrap();
    (scheme, address.ip(), address.port())
}

proptest! {
    #[test]
    fn an_address_parses_back_from_its_url_and_is_good(facts in any_facts(), wanted in any_wanted()) {
        let decision = decide(&facts, &wanted);
        prop_assert_eq!(decision.address.is_some(), decision.callback_url.is_some());
        prop_assert_eq!(decision.address.is_some(), decision.origin.is_some());
        prop_assert!(decision.address.is_some() || (decision.refusal.is_some() && !decision.valid));
        prop_assert!(decision.valid == decision.refusal.is_none());
        if let (Some(Host::Ip(ip)), Some(url)) = (&decision.address, &decision.callback_url) {
            prop_assert_eq!(parse_back(url), (wanted.protocol.as_str(), *ip, wanted.port));
            let judgement = judge(url, &Context::default());
            prop_assert!(
                judgement.verdict == Verdict::Good || decision.origin == Some(Origin::Operator),
                "{} {:?}", url, judgement
            );
        }
    }

    #[test]
    fn an_advertised_address_is_assigned_and_usable(facts in any_facts(), wanted in any_wanted()) {
        let decision = decide(&facts, &wanted);
        let Some(Host::Ip(ip)) = decision.address else { return Ok(()) };
        let candidates = facts.targets.iter()
            .filter_map(|target| target.resolution.as_ref().ok())
            .flatten()
            .filter_map(|destination| destination.candidates.as_ref().ok())
            .flatten()
            .filter_map(|candidate| candidate.address);
        let pinned = facts.pinned.iter().filter_map(|pinned| pinned.address);
        let committed = facts.committed.iter().filter_map(|committed| committed.address);
        let answered = facts.answered.iter().filter_map(|answered| answered.address);
        let mut all = candidates.chain(pinned).chain(committed).chain(answered);
        let usable = all.any(|one| one.ip == ip && !one.tentative && !one.dad_failed);
        prop_assert!(usable || decision.origin == Some(Origin::Operator), "{:?}", decision);
    }

    /// A better route, another address, another answer: none moves the choice from what is pinned or committed.
    #[test]
    fn only_its_loss_moves_a_pinned_or_committed_address(
        facts in any_facts(), other in any_facts(), wanted in any_wanted(),
    ) {
        let before = decide(&facts, &wanted);
        if matches!(before.origin, Some(Origin::Pinned | Origin::Committed)) {
            let Facts { pinned, committed, .. } = facts;
            let after = decide(&Facts { pinned, committed, ..other }, &wanted);
            prop_assert_eq!((before.address, before.origin, before.callback_url, before.valid),
                (after.address, after.origin, after.callback_url, after.valid));
        }
    }

    #[test]
    fn the_order_of_dns_does_not_matter(facts in any_facts(), wanted in any_wanted(), turn in 0usize..5) {
        let mut other = facts.clone();
        for target in &mut other.targets {
            if let Ok(destinations) = &mut target.resolution {
                destinations.reverse();
                let length = destinations.len().max(1);
                destinations.rotate_left(turn % length);
            }
        }
        prop_assert_eq!(decide(&facts, &wanted), decide(&other, &wanted));
    }
}
