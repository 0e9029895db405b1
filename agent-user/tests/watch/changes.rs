//! One change at a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::root_test;

use crate::machine::{
    addressed, addressed_without_ipv6, prepared, run, start, start_at, two_nics, unprivileged,
};
use crate::{SOON, follow, print_decision_seconds};

const API: [&str; 2] = ["--ironic.api-url", "http://203.0.113.1:6385"];
const ON_LINK: [&str; 2] = ["--ironic.api-url", "http://10.0.0.9:6385"];

#[test]
fn late_dhcp() {
    root_test!();
    let netns = two_nics();
    let daemon = start(&netns, &API);
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "no_route");
    netns.ip("addr add 10.0.0.2/24 dev n0").unwrap();
    follow(
        &daemon,
        &netns,
        "address and default route by DHCP",
        Some("10.0.0.2"),
        "route add default via 10.0.0.1 dev n0",
    );
    follow(&daemon, &netns, "lease lost", None, "addr del 10.0.0.2/24 dev n0");
    print_decision_seconds(&daemon, "late DHCP");
}

#[test]
fn carrier_comes_late_and_goes() {
    root_test!();
    let netns = addressed();
    netns.ip("link set n1 down").unwrap();
    let daemon = start(&netns, &API);
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "no_carrier");
    follow(&daemon, &netns, "carrier comes", Some("10.0.0.2"), "link set n1 up");
    follow(&daemon, &netns, "carrier goes", None, "link set n1 down");
    assert_eq!(daemon.state().unwrap()["reason"], "no_carrier");
}

#[test]
fn the_primary_address_takes_the_secondaries_along() {
    root_test!();
    let netns = two_nics();
    for scope in ["all", "n0"] {
        netns.sysctl(&format!("net/ipv4/conf/{scope}/promote_secondaries"), "0").unwrap();
    }
    netns
        .ip_lines(
            "addr add 10.0.0.2/24 dev n0
             addr add 10.0.0.3/24 dev n0",
        )
        .unwrap();
    let daemon = start_at(&netns, &ON_LINK, Some("10.0.0.2"));
    follow(&daemon, &netns, "primary deleted, secondary with it", None, "addr del 10.0.0.2/24 dev n0");
    let left = netns.ip("-4 addr show dev n0").unwrap();
    assert!(!left.contains("10.0.0.3"), "{left}");
    follow(&daemon, &netns, "the new address", Some("10.0.0.4"), "addr add 10.0.0.4/24 dev n0");
}

#[test]
fn a_replaced_nexthop_without_any_route_message() {
    root_test!();
    let netns = addressed_without_ipv6();
    netns.sysctl("net/ipv4/nexthop_compat_mode", "0").unwrap();
    netns
        .ip_lines(
            "nexthop add id 7 via 10.0.0.1 dev n0
             route add 203.0.113.0/24 nhid 7",
        )
        .unwrap();
    let daemon = start_at(&netns, &API, Some("10.0.0.2"));
    let messages = |kind: &str| {
        let sample = format!("netlink_messages_total{{type=\"{kind}\"}}");
        daemon.metric(&sample).unwrap().unwrap()
    };
    let before = (messages("nexthop"), messages("route"));
    follow(&daemon, &netns, "nexthop replaced", Some("10.1.0.2"), "nexthop replace id 7 via 10.1.0.1 dev m0");
    let after = (messages("nexthop"), messages("route"));
    println!("nexthop and route messages: before {before:?}, after {after:?}");
    assert_eq!(after, (before.0 + 1.0, before.1), "the nexthop message alone changed it");
}

#[test]
fn rules_come_and_go() {
    root_test!();
    let netns = addressed();
    netns.ip("route add default via 10.1.0.1 dev m0 table 100").unwrap();
    let daemon = start_at(&netns, &API, Some("10.0.0.2"));
    follow(&daemon, &netns, "rule added", Some("10.1.0.2"), "rule add to 203.0.113.0/24 lookup 100");
    follow(&daemon, &netns, "rule removed", Some("10.0.0.2"), "rule del to 203.0.113.0/24 lookup 100");
    follow(&daemon, &netns, "source prohibited", None, "rule add from 10.0.0.2 prohibit");
    assert_eq!(daemon.state().unwrap()["reason"], "source_route_refused");
    follow(&daemon, &netns, "source allowed again", Some("10.0.0.2"), "rule del from 10.0.0.2 prohibit");
}

#[test]
fn a_route_with_a_better_metric() {
    root_test!();
    let netns = prepared(
        addressed(),
        "route del default
             route add default via 10.0.0.1 dev n0 metric 100",
    );
    let daemon = start_at(&netns, &API, Some("10.0.0.2"));
    follow(
        &daemon,
        &netns,
        "better metric",
        Some("10.1.0.2"),
        "route add default via 10.1.0.1 dev m0 metric 50",
    );
    follow(&daemon, &netns, "that route gone", Some("10.0.0.2"), "route del default metric 50");
}

#[test]
fn the_end_of_duplicate_address_detection_is_seen_by_itself() {
    root_test!();
    let netns = two_nics();
    for (name, value) in [("accept_dad", "1"), ("dad_transmits", "1")] {
        netns.sysctl(&format!("net/ipv6/conf/n0/{name}"), value).unwrap();
    }
    let daemon = start_at(&netns, &["--ironic.api-url", "http://[fd00::9]:6385"], None);
    netns.ip("addr add fd00::2/64 dev n0").unwrap();
    daemon.wait_state("tentative", SOON, |state| state["reason"] == "tentative").unwrap();
    let tentative = || netns.ip("-6 addr show dev n0 tentative").unwrap().contains("fd00::2");
    let limit = Instant::now() + Duration::from_secs(10);
    while tentative() {
        assert!(Instant::now() < limit, "DAD does not end");
        sleep(Duration::from_millis(5));
    }
    let ended = Instant::now();
    daemon.wait_address(Some("fd00::2"), SOON).unwrap();
    println!("end of DAD: seen after {} ms", ended.elapsed().as_millis());
}

#[test]
fn nobody_without_capabilities_follows_changes_too() {
    root_test!();
    let netns = addressed();
    let daemon = run(&netns, unprivileged(&netns), &API);
    daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "65534 65534 65534 65534");
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    follow(&daemon, &netns, "as nobody: address lost", None, "addr del 10.0.0.2/24 dev n0");
    follow(
        &daemon,
        &netns,
        "as nobody: route over the other NIC",
        Some("10.1.0.2"),
        "route add default via 10.1.0.1 dev m0",
    );
    follow(&daemon, &netns, "as nobody: carrier lost", None, "link set m1 down");
    print_decision_seconds(&daemon, "as nobody");
}
