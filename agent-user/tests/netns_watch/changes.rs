//! One change at a time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::needs_root;

use crate::netns_setup::{addressed, addressed_without_ipv6, run, start, two_nics, unprivileged};
use crate::{SOON, follow, print_decision_seconds};

const API: [&str; 2] = ["--ironic.api-url", "http://203.0.113.1:6385"];
const ON_LINK: [&str; 2] = ["--ironic.api-url", "http://10.0.0.9:6385"];

#[test]
fn late_dhcp() {
    if !needs_root("late DHCP") {
        return;
    }
    let netns = two_nics();
    let daemon = start(&netns, &API);
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "no_route");
    netns.ip("addr add 10.0.0.2/24 dev n0").unwrap();
    follow(&daemon, "address and default route by DHCP", Some("10.0.0.2"), || {
        netns.ip("route add default via 10.0.0.1 dev n0").unwrap();
    });
    follow(&daemon, "lease lost", None, || {
        netns.ip("addr del 10.0.0.2/24 dev n0").unwrap();
    });
    print_decision_seconds(&daemon, "late DHCP");
}

#[test]
fn carrier_comes_late_and_goes() {
    if !needs_root("carrier") {
        return;
    }
    let netns = addressed();
    netns.ip("link set n1 down").unwrap();
    let daemon = start(&netns, &API);
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "no_carrier");
    follow(&daemon, "carrier comes", Some("10.0.0.2"), || {
        netns.ip("link set n1 up").unwrap();
    });
    follow(&daemon, "carrier goes", None, || {
        netns.ip("link set n1 down").unwrap();
    });
    assert_eq!(daemon.state().unwrap()["reason"], "no_carrier");
}

#[test]
fn the_primary_address_takes_the_secondaries_along() {
    if !needs_root("secondaries") {
        return;
    }
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
    let daemon = start(&netns, &ON_LINK);
    daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    follow(&daemon, "primary deleted, secondary with it", None, || {
        netns.ip("addr del 10.0.0.2/24 dev n0").unwrap();
    });
    let left = netns.ip("-4 addr show dev n0").unwrap();
    assert!(!left.contains("10.0.0.3"), "{left}");
    follow(&daemon, "the new address", Some("10.0.0.4"), || {
        netns.ip("addr add 10.0.0.4/24 dev n0").unwrap();
    });
}

#[test]
fn a_replaced_nexthop_without_any_route_message() {
    if !needs_root("nexthop objects") {
        return;
    }
    let netns = addressed_without_ipv6();
    netns.sysctl("net/ipv4/nexthop_compat_mode", "0").unwrap();
    netns
        .ip_lines(
            "nexthop add id 7 via 10.0.0.1 dev n0
             route add 203.0.113.0/24 nhid 7",
        )
        .unwrap();
    let daemon = start(&netns, &API);
    daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    let messages = |kind: &str| {
        let sample = format!("netlink_messages_total{{type=\"{kind}\"}}");
        daemon.metric(&sample).unwrap().unwrap()
    };
    let before = (messages("nexthop"), messages("route"));
    follow(&daemon, "nexthop replaced", Some("10.1.0.2"), || {
        netns.ip("nexthop replace id 7 via 10.1.0.1 dev m0").unwrap();
    });
    let after = (messages("nexthop"), messages("route"));
    println!("nexthop and route messages: before {before:?}, after {after:?}");
    assert_eq!(after, (before.0 + 1.0, before.1), "the nexthop message alone told");
}

#[test]
fn rules_come_and_go() {
    if !needs_root("rules") {
        return;
    }
    let netns = addressed();
    netns.ip("route add default via 10.1.0.1 dev m0 table 100").unwrap();
    let daemon = start(&netns, &API);
    daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    follow(&daemon, "rule added", Some("10.1.0.2"), || {
        netns.ip("rule add to 203.0.113.0/24 lookup 100").unwrap();
    });
    follow(&daemon, "rule removed", Some("10.0.0.2"), || {
        netns.ip("rule del to 203.0.113.0/24 lookup 100").unwrap();
    });
    follow(&daemon, "source prohibited", None, || {
        netns.ip("rule add from 10.0.0.2 prohibit").unwrap();
    });
    assert_eq!(daemon.state().unwrap()["reason"], "source_route_refused");
    follow(&daemon, "source allowed again", Some("10.0.0.2"), || {
        netns.ip("rule del from 10.0.0.2 prohibit").unwrap();
    });
}

#[test]
fn a_route_with_a_better_metric() {
    if !needs_root("metrics of routes") {
        return;
    }
    let netns = addressed();
    netns
        .ip_lines(
            "route del default
             route add default via 10.0.0.1 dev n0 metric 100",
        )
        .unwrap();
    let daemon = start(&netns, &API);
    daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    follow(&daemon, "better metric", Some("10.1.0.2"), || {
        netns.ip("route add default via 10.1.0.1 dev m0 metric 50").unwrap();
    });
    follow(&daemon, "that route gone", Some("10.0.0.2"), || {
        netns.ip("route del default metric 50").unwrap();
    });
}

#[test]
fn the_end_of_duplicate_address_detection_is_seen_by_itself() {
    if !needs_root("DAD") {
        return;
    }
    let netns = two_nics();
    for (name, value) in [("accept_dad", "1"), ("dad_transmits", "1")] {
        netns.sysctl(&format!("net/ipv6/conf/n0/{name}"), value).unwrap();
    }
    let daemon = start(&netns, &["--ironic.api-url", "http://[fd00::9]:6385"]);
    daemon.wait_address(None, Duration::from_secs(5)).unwrap();
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
    if !needs_root("setpriv") {
        return;
    }
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
    follow(&daemon, "as nobody: address lost", None, || {
        netns.ip("addr del 10.0.0.2/24 dev n0").unwrap();
    });
    follow(&daemon, "as nobody: route over the other NIC", Some("10.1.0.2"), || {
        netns.ip("route add default via 10.1.0.1 dev m0").unwrap();
    });
    follow(&daemon, "as nobody: carrier lost", None, || {
        netns.ip("link set m1 down").unwrap();
    });
    print_decision_seconds(&daemon, "as nobody");
}
