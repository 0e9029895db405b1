//! Every rule by example, and what holds for any heartbeat.

use proptest::prelude::*;

use super::*;

const HERE: &str = "172.25.134.128";
const GOOD: &str = "http://172.25.134.128:9999";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A machine with one address, which was decided on, and another one that it had before.
struct Node {
    decided: Host,
    local: Local,
    were_ours: BTreeSet<IpAddr>,
}

impl Node {
    fn new() -> Self {
        Self {
            decided: Host::parse(HERE).unwrap(),
            local: Local { assigned: vec![ip(HERE), ip("10.1.0.5"), ip("127.0.0.1")], ..Local::default() },
            were_ours: [ip(HERE), ip("10.1.0.5"), ip("10.9.9.9")].into(),
        }
    }

    fn facts(&self) -> HeartbeatFacts<'_> {
        HeartbeatFacts {
            decided: Some(&self.decided),
            operator: false,
            port: 9999,
            local: Some(&self.local),
            were_ours: &self.were_ours,
            listened: true,
            may_repair: true,
            held: None,
            holds_another: false,
            repaired: None,
        }
    }
}

fn repaired(url: &str, facts: &HeartbeatFacts<'_>) -> Option<String> {
    match heartbeat(url, facts).0 {
        HeartbeatAction::Repair(url) => Some(url),
        HeartbeatAction::Pass => None,
    }
}

#[test]
fn what_is_certain_to_fail_is_repaired() {
    let node = Node::new();
    for url in [
        "http://172.25.134.128%20uid%200:9999",
        "http://172.25.134.128 uid 0:9999",
        "",
        "nothing",
        "ftp://172.25.134.128:9999",
        "http://:9999",
        "http://None:9999",
        "http://fd00::1:9999",
        "http://[fe80::1%25eth0]:9999",
        "http://0.0.0.0:9999",
        "http://127.0.0.1:9999",
        "http://224.0.0.1:9999",
        "http://255.255.255.255:9999",
        "http://172.25.134.128",
        "http://172.25.134.128:99999",
        "http://10.9.9.9:9999",
        "http://172.25.134.128\n:9999",
    ] {
        assert_eq!(repaired(url, &node.facts()).as_deref(), Some(GOOD), "{url:?}");
    }
    // Its own port stays.
    let other_port = repaired("http://None:9998", &node.facts());
    assert_eq!(other_port.as_deref(), Some("http://172.25.134.128:9998"));
}

#[test]
fn a_repair_that_ironic_refused_is_not_tried_again() {
    let node = Node::new();
    let lost = "http://10.9.9.9:9999";
    assert!(repaired(lost, &node.facts()).is_some());
    assert_eq!(repaired(lost, &HeartbeatFacts { holds_another: true, ..node.facts() }), None);
    // What it accepted from the daemon before stays what it gets.
    let kept = HeartbeatFacts { holds_another: true, repaired: Some(GOOD), ..node.facts() };
    assert_eq!(repaired(lost, &kept).as_deref(), Some(GOOD));
}

#[test]
fn all_else_passes() {
    let node = Node::new();
    for url in [
        GOOD,
        // Assigned here, though the route to Ironic has another source.
        "http://10.1.0.5:9999",
        "https://10.1.0.5:9999",
        // Possibly that of a NAT.
        "http://192.0.2.7:9999",
        "http://node.example:9999",
        "http://169.254.1.1:9999",
        "http://172.25.134.128:9999/",
        // Its certificate is for the address in it.
        "https://None:9999",
        "https://172.25.134.128 uid 0:9999",
    ] {
        assert_eq!(repaired(url, &node.facts()), None, "{url}");
    }
}

#[test]
fn no_repair_without_all_that_it_needs() {
    let node = Node::new();
    let facts = node.facts();
    let url = "http://None:9999";
    let elsewhere = Host::parse("10.2.0.1").unwrap();
    let loopback = Host::parse("127.0.0.1").unwrap();
    for lacking in [
        HeartbeatFacts { decided: None, ..facts.clone() },
        HeartbeatFacts { decided: Some(&elsewhere), ..facts.clone() },
        HeartbeatFacts { decided: Some(&loopback), ..facts.clone() },
        HeartbeatFacts { local: None, ..facts.clone() },
        HeartbeatFacts { listened: false, ..facts.clone() },
        HeartbeatFacts { may_repair: false, ..facts.clone() },
        HeartbeatFacts { held: Some(GOOD), ..facts.clone() },
    ] {
        assert_eq!(repaired(url, &lacking), None, "{lacking:?}");
    }
    let operator = HeartbeatFacts { operator: true, decided: Some(&elsewhere), ..facts };
    assert_eq!(repaired(url, &operator).as_deref(), Some("http://10.2.0.1:9999"));
}

#[test]
fn a_repaired_url_stays_the_same_as_long_as_its_address_is_here() {
    let node = Node::new();
    let other = Host::parse("10.1.0.5").unwrap();
    let again =
        HeartbeatFacts { decided: Some(&other), repaired: Some(GOOD), held: Some(GOOD), ..node.facts() };
    assert_eq!(
        repaired("http://None:9999", &again).as_deref(),
        Some(GOOD),
        "although another is decided now"
    );
    let unsure = HeartbeatFacts { local: None, may_repair: false, listened: false, ..again.clone() };
    assert_eq!(repaired("http://None:9999", &unsure).as_deref(), Some(GOOD));
    assert_eq!(repaired("http://10.1.0.5:9999", &again), None, "a sound one is never changed");
    let lost = Local { assigned: vec![ip("10.1.0.5")], ..Local::default() };
    let lost = HeartbeatFacts { local: Some(&lost), ..again };
    assert_eq!(repaired("http://None:9999", &lost), None);
}

proptest! {
    #[test]
    fn a_sound_heartbeat_is_never_changed(held in proptest::option::of("http://[0-9.]{7,9}:[0-9]{1,5}"), again in proptest::option::of("http://[0-9.]{7,9}:[0-9]{1,5}"), second in any::<bool>(), may_repair in any::<bool>(), listened in any::<bool>(), known in any::<bool>()) {
        let node = Node::new();
        let facts = HeartbeatFacts { held: held.as_deref(), repaired: again.as_deref(), may_repair, listened, local: known.then_some(&node.local), ..node.facts() };
        let url = if second { "http://10.1.0.5:9999" } else { GOOD };
        prop_assert_eq!(heartbeat(url, &facts).0, HeartbeatAction::Pass);
    }

    #[test]
    fn a_repair_is_sound_and_is_the_decided_address(url in ".{0,40}", prefix in prop_oneof![Just(""), Just("http://"), Just("http://None:")]) {
        let node = Node::new();
        if let Some(repaired) = repaired(&format!("{prefix}{url}"), &node.facts()) {
            prop_assert_eq!(callback_url::host(&repaired), Some(node.decided.clone()));
            prop_assert!(!is_certain_to_fail(&repaired, &judge(&repaired, &context(&node.facts())), &node.were_ours));
        }
    }
}
