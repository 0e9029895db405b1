//! Addresses as the kernel announced them: they equal what it has, and it is not asked for all of them at each change.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use fib::Kernel;
use ipa_sidecar::inside::WINDOW;
use testbed::netns::Netns;
use testbed::root_test;

use crate::SOON;
use crate::in_process::{Setup, Watched, watching};
use crate::machine::addressed;

/// Questions for all addresses of a family.
fn dumps(watched: &Watched) -> u64 {
    let text = watched.metrics.render().unwrap().0;
    let text = String::from_utf8(text).unwrap();
    let prefix = "ipa_sidecar_netlink_queries_total{query=\"address\"";
    let values = text.lines().filter(|line| line.starts_with(prefix));
    values.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What the kernel has right now, and which of it is not usable.
fn fresh(netns: &Netns) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
    let ask = || {
        let mut kernel = Kernel::open().unwrap();
        [true, false].map(|ipv4| kernel.addresses(ipv4).unwrap().found)
    };
    let (mut usable, mut others) = (BTreeSet::new(), BTreeSet::new());
    for one in netns.enter(ask).unwrap().iter().flatten() {
        let is_usable = !one.address.tentative && !one.address.dad_failed;
        if is_usable { &mut usable } else { &mut others }.insert(one.address.ip);
    }
    (usable, others)
}

#[test]
fn a_change_of_an_address_is_followed_without_asking_for_all() {
    root_test!();
    let netns = addressed();
    watching(&netns, Setup::default(), |watched| {
        watched.wait_address("10.0.0.2", SOON);
        // Devices that come up are asked about, and with them all addresses; duplicate address detection ends later.
        std::thread::sleep(Duration::from_secs(3));
        let asked = dumps(watched);
        for n in 10..30 {
            let ip: IpAddr = format!("10.1.0.{n}").parse().unwrap();
            netns.ip(&format!("addr add {ip}/24 dev m0")).unwrap();
            watched.wait_local("it comes", SOON, |local| local.assigned.contains(&ip));
            netns.ip(&format!("addr del {ip}/24 dev m0")).unwrap();
            watched.wait_local("it goes", SOON, |local| !local.assigned.contains(&ip));
        }
        // One tick of 30 s may fall into it.
        assert!(dumps(watched) <= asked + 2, "{asked} -> {}", dumps(watched));
        netns.ip("link set m1 down").unwrap();
        netns.ip("link set m1 up").unwrap();
        std::thread::sleep(WINDOW * 4);
        assert!(dumps(watched) >= asked + 2, "a device has changed: {asked} -> {}", dumps(watched));
    });
}

/// Several masks, several peers, flags that change, promoted secondaries, devices that go down and come back, and one
/// that vanishes.
#[test]
fn what_is_kept_equals_what_the_kernel_has() {
    root_test!();
    let netns = addressed();
    netns.sysctl("net/ipv4/conf/all/promote_secondaries", "1").unwrap();
    let steps = [
        "addr add 10.0.0.9/24 dev n0",
        "addr add 10.0.0.9/16 dev n0",
        "addr add 10.0.0.9 peer 10.9.0.1/32 dev m0",
        "addr add 10.0.0.9 peer 10.9.0.2/32 dev m0",
        "addr del 10.0.0.9/16 dev n0",
        "addr del 10.0.0.9 peer 10.9.0.1/32 dev m0",
        "addr del 10.0.0.9/24 dev n0",
        "addr add fd00::9/64 dev n0",
        "addr add fd00::10/64 dev n0 nodad preferred_lft 0",
        "addr change fd00::10/64 dev n0 preferred_lft 600 valid_lft 600",
        "addr change fd00::10/64 dev n0 preferred_lft 0 valid_lft 600",
        "addr add 10.0.0.20/24 dev n0",
        "addr del 10.0.0.2/24 dev n0",
        "addr del 10.0.0.9 peer 10.9.0.2/32 dev m0",
        "link set m0 down",
        "link set m0 up",
        "addr add fd01::9/64 dev m0 nodad",
        "addr flush dev n0 scope global",
        "addr add 10.0.0.2/24 dev n0",
        "link add v0 type veth peer name v1",
        "addr add 10.7.0.1/24 dev v0",
        "link del v0",
    ];
    watching(&netns, Setup::default(), |watched| {
        for step in steps {
            netns.ip(step).unwrap();
            let set = |list: &[IpAddr]| list.iter().copied().collect::<BTreeSet<_>>();
            let is_fresh =
                |local: &callback_url::Local| (set(&local.assigned), set(&local.tentative)) == fresh(&netns);
            watched.wait_local(step, SOON, is_fresh);
        }
    });
}
