//! What Ironic holds stays chosen while it is ours.

use std::time::Duration;

use ipa_sidecar::inside::{Held, Origin, Refusal, WINDOW};
use testbed::root_test;
use testbed::site::Directory;

use crate::SOON;
use crate::in_process::{Setup, watching};
use crate::machine::{addressed, batch};

fn holding(url: &str) -> Held {
    Held { url: Some(url.to_owned()), ..Held::default() }
}

#[test]
fn the_pinned_address_follows_the_kernel() {
    root_test!();
    let netns = addressed();
    let setup = Setup { held: holding("http://10.0.0.2:9999"), ..Setup::default() };
    watching(&netns, setup, |watched| {
        let pinned = |valid: bool| {
            watched.wait("the pinned address", SOON, |decision| {
                let address = decision.address.as_ref().map(ToString::to_string);
                (decision.origin, decision.valid) == (Some(Origin::Pinned), valid)
                    && address.as_deref() == Some("10.0.0.2")
            })
        };
        pinned(true);
        let generation = watched.generation();
        netns.ip("route add 203.0.113.0/24 via 10.1.0.1 dev m0").unwrap();
        watched.wait("the route's answer in the trace", SOON, |decision| {
            decision.trace[0].resolved[0].device.as_deref() == Some("m0")
        });
        assert!(watched.generation() > generation);
        pinned(true);
        netns.ip("link set n1 down").unwrap();
        println!("pinned, carrier lost: {} ms", pinned(false).as_millis());
        assert_eq!(watched.decision().refusal, Some(Refusal::NoCarrier));
        netns.ip("link set n1 up").unwrap();
        println!("pinned, carrier back: {} ms", pinned(true).as_millis());
        // Without the device or without the address: the route's answer.
        for (away, back) in [
            ("link set n0 down", "link set n0 up"),
            ("addr del 10.0.0.2/24 dev n0", "addr add 10.0.0.2/24 dev n0"),
        ] {
            netns.ip(away).unwrap();
            let took = watched.wait_address("10.1.0.2", SOON);
            println!("pinned, {away}: {} ms", took.as_millis());
            assert_eq!(watched.decision().origin, Some(Origin::Route));
            netns.ip(back).unwrap();
            pinned(true);
        }
    });
}

#[test]
fn addresses_that_come_and_go_elsewhere_do_not_unpin() {
    root_test!();
    let netns = addressed();
    let files = Directory::new("watch");
    let many = |verb: &'static str, third: u32| {
        (0..3000).map(move |n| format!("addr {verb} 172.{third}.{}.{}/32 dev n0", n >> 8, n & 255))
    };
    netns.ip(&batch(&files, "standing", many("add", 16))).unwrap();
    let storm =
        batch(&files, "storm", (17..19).flat_map(|third| many("add", third).chain(many("del", third))));
    let setup = Setup { held: holding("http://10.1.0.2:9999"), ..Setup::default() };
    watching(&netns, setup, |watched| {
        watched.wait_address("10.1.0.2", Duration::from_secs(5));
        std::thread::sleep(WINDOW * 4);
        let generation = watched.generation();
        netns.ip(&storm).unwrap();
        std::thread::sleep(WINDOW * 4);
        println!(
            "address storm while pinned: {} overruns, generation {generation} -> {}",
            watched.metrics.netlink_overruns.get(),
            watched.generation()
        );
        assert_eq!(watched.decision().origin, Some(Origin::Pinned));
        assert_eq!(watched.generation(), generation, "it flapped");
    });
}

#[test]
fn the_committed_address_stays_through_every_change_but_its_loss() {
    root_test!();
    let netns = addressed();
    let held = Held { committed: Some("10.0.0.2".parse().unwrap()), ..Held::default() };
    watching(&netns, Setup { held, ..Setup::default() }, |watched| {
        let committed = |valid: bool| {
            watched.wait("the committed address", SOON, |decision| {
                let address = decision.address.as_ref().map(ToString::to_string);
                (decision.origin, decision.valid) == (Some(Origin::Committed), valid)
                    && address.as_deref() == Some("10.0.0.2")
            })
        };
        committed(true);
        assert_eq!(watched.decision().callback_url.as_deref(), Some("http://10.0.0.2:9999"));
        // A second lease, and a better route by the other device.
        netns.ip("addr add 10.2.0.2/24 dev m0").unwrap();
        netns.ip("route add 203.0.113.0/24 via 10.1.0.1 dev m0").unwrap();
        watched.wait("the route's answer in the trace", SOON, |decision| {
            decision.trace[0].resolved[0].device.as_deref() == Some("m0")
        });
        committed(true);
        netns.ip("link set n1 down").unwrap();
        committed(false);
        netns.ip("link set n1 up").unwrap();
        committed(true);
        netns.ip("addr del 10.0.0.2/24 dev n0").unwrap();
        watched.wait_address("10.1.0.2", SOON);
        assert_eq!(watched.decision().origin, Some(Origin::Route));
    });
}
