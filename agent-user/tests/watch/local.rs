//! This machine's addresses, published with the decision: whoever judges a callback URL asks the kernel nothing.

use std::net::IpAddr;

use testbed::root_test;

use crate::SOON;
use crate::in_process::{Setup, watching};
use crate::machine::addressed;

#[test]
fn the_addresses_of_this_machine_are_published_with_the_decision() {
    root_test!();
    let netns = addressed();
    watching(&netns, Setup::default(), |watched| {
        watched.wait_address("10.0.0.2", SOON);
        let local = watched.local();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for there in ["127.0.0.1", "10.0.0.2", "10.1.0.2"] {
            assert!(local.assigned.contains(&ip(there)), "{there} is not in {local:?}");
        }
        assert_eq!(local.decided.as_ref().map(ToString::to_string).as_deref(), Some("10.0.0.2"));
        // A second address changes no decision, and shows.
        let generation = watched.generation();
        let other = ip("10.1.0.77");
        netns.ip("addr add 10.1.0.77/24 dev m0").unwrap();
        watched.wait_local("the new address", SOON, |local| local.assigned.contains(&other));
        netns.ip("addr del 10.1.0.77/24 dev m0").unwrap();
        watched.wait_local("no new address", SOON, |local| !local.assigned.contains(&other));
        assert_eq!(watched.generation(), generation);
    });
}
