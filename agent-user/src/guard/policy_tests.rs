//! Every rule by example, and what holds for any heartbeat.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

const WAIT: Duration = Duration::from_secs(300);

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn gate<'a>(decided: Option<&'a Host>, started_with: Option<&'a Host>) -> LookupFacts<'a> {
    LookupFacts {
        decided,
        started_with,
        forwarded_before: false,
        held_for: None,
        wait: WAIT,
        can_restart: true,
        is_restarting: false,
        restarted_with: None,
        on_disk: decided,
    }
}

fn holds(facts: &LookupFacts<'_>) -> Option<bool> {
    match lookup(facts) {
        LookupAction::Hold { restart, .. } => Some(restart),
        LookupAction::Forward(_) => None,
    }
}

#[test]
fn the_gate() {
    let (right, wrong) = (host("10.77.0.2"), host("10.77.0.9"));
    let base = gate(Some(&right), Some(&right));
    assert_eq!(lookup(&base), LookupAction::Forward(None));
    assert_eq!(holds(&gate(None, Some(&right))), Some(false), "no address yet");
    let other = gate(Some(&right), Some(&wrong));
    assert_eq!(holds(&other), Some(true), "held, and restarted");
    assert_eq!(
        holds(&LookupFacts { on_disk: Some(&wrong), ..other.clone() }),
        Some(false),
        "not before it is on disk"
    );
    assert_eq!(
        holds(&LookupFacts { restarted_with: Some(&right), ..other.clone() }),
        None,
        "no restart helps"
    );
    assert_eq!(holds(&LookupFacts { can_restart: false, ..other.clone() }), Some(false));
    assert_eq!(
        holds(&LookupFacts { forwarded_before: true, ..other.clone() }),
        None,
        "the token may be spent"
    );
    for (held, expected) in [(WAIT - Duration::from_secs(1), Some(false)), (WAIT, None)] {
        let facts = LookupFacts { can_restart: false, held_for: Some(held), ..other.clone() };
        assert_eq!(holds(&facts), expected, "{held:?}");
        assert_eq!(holds(&LookupFacts { decided: None, ..facts }), expected, "{held:?} without an address");
    }
    for started_with in [&right, &wrong] {
        let facts = LookupFacts {
            is_restarting: true,
            held_for: Some(WAIT),
            ..gate(Some(&right), Some(started_with))
        };
        assert_eq!(holds(&facts), Some(false), "the one that asks is about to be stopped");
    }
    let unknown = gate(Some(&right), None);
    assert_eq!(holds(&unknown), Some(true));
    assert_eq!(holds(&LookupFacts { can_restart: false, ..unknown }), None);
}

fn local() -> Local {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    Local {
        assigned: vec![ip("10.77.0.2"), ip("10.77.0.5"), ip("fd77::2")],
        tentative: Vec::new(),
        decided: None,
        ..Local::default()
    }
}

fn pem(address: &str) -> String {
    rcgen::generate_simple_self_signed([address.to_owned()]).unwrap().cert.pem()
}

fn decide(url: &str, pem: Option<&str>, held: Option<&str>) -> (HeartbeatAction, Vec<Reason>) {
    let (decided, local) = (host("10.77.0.2"), local());
    let facts = HeartbeatFacts { decided: Some(&decided), operator: false, local: Some(&local), held };
    let (action, judgement) = heartbeat(url, pem, &facts);
    (action, judgement.reasons)
}

#[test]
fn before_the_first_acceptance() {
    let good = "http://10.77.0.2:9999".to_owned();
    assert_eq!(decide(&good, None, None), (HeartbeatAction::Forward, vec![]));
    // Another address than the route's, and assigned here: it passes.
    assert_eq!(decide("http://10.77.0.5:9999", None, None), (HeartbeatAction::Forward, vec![]));
    for (url, reason) in [
        ("http://10.77.0.2 uid 0:9999", Reason::Whitespace),
        ("http://10.77.0.2%20uid%200:9999", Reason::PercentEncodedHost),
        ("http://None:9999", Reason::PlaceholderHost),
        ("http://127.0.0.1:9999", Reason::Loopback),
        ("http://10.77.0.6:9999", Reason::NotAssigned),
        ("http://10.77.0.2:9999/", Reason::Path),
        ("http://fd00::1:9999", Reason::UnbracketedIpv6),
    ] {
        let (action, reasons) = decide(url, None, None);
        assert!(reasons.contains(&reason), "{url}: {reasons:?}");
        assert_eq!(action, HeartbeatAction::Repair(good.clone()), "{url}");
    }
    for url in ["", "nothttp://10.77.0.9:9999", "http://10.77.0.9:99999", "http://"] {
        assert!(matches!(decide(url, None, None).0, HeartbeatAction::Hold(_)), "{url}");
    }
}

#[test]
fn tls_is_repaired_only_where_the_certificate_allows() {
    let (right, wrong) = (pem("10.77.0.2"), pem("10.77.0.9"));
    let good = "https://10.77.0.2:9999";
    assert_eq!(decide(good, Some(&right), None), (HeartbeatAction::Forward, vec![]));
    let (action, reasons) = decide(good, Some(&wrong), None);
    assert!(matches!(action, HeartbeatAction::Hold(_)));
    assert_eq!(reasons, [Reason::SanMismatch]);
    let bad = "https://10.77.0.6:9999";
    assert_eq!(decide(bad, Some(&right), None).0, HeartbeatAction::Repair(good.to_owned()));
    assert!(matches!(decide(bad, Some(&wrong), None).0, HeartbeatAction::Hold(_)));
    assert!(matches!(decide(bad, None, None).0, HeartbeatAction::Hold(_)));
    let (_, reasons) = decide("https://node7:9999", Some(&right), None);
    assert_eq!(reasons, [Reason::HostnameWithTls]);
}

#[test]
fn after_the_first_acceptance_ironic_sees_no_change() {
    let held = Some("http://10.77.0.2:9999");
    let repaired = HeartbeatAction::Repair("http://10.77.0.2:9999".to_owned());
    assert_eq!(decide("http://10.77.0.2 uid 0:9999", None, held).0, repaired);
    assert_eq!(decide("http://10.77.0.2:9999", None, held).0, HeartbeatAction::Forward);
    // What Ironic holds is bad, and cannot be changed: it goes on as it is.
    let bad = "http://10.77.0.2 uid 0:9999";
    assert_eq!(decide(bad, None, Some(bad)), (HeartbeatAction::Forward, vec![Reason::Whitespace]));
    // A good URL that is not the pinned one: Ironic says what it thinks of it.
    let other = Some("http://10.77.0.9:9999");
    assert_eq!(decide("http://10.77.0.2:9999", None, other).0, HeartbeatAction::Forward);
}

#[test]
fn without_a_decision_only_good_urls_pass() {
    let facts = HeartbeatFacts { decided: None, operator: false, local: None, held: None };
    assert_eq!(heartbeat("http://10.77.0.2:9999", None, &facts).0, HeartbeatAction::Forward);
    assert!(matches!(heartbeat("http://None:9999", None, &facts).0, HeartbeatAction::Hold(_)));
}

proptest! {
    #[test]
    fn what_it_repairs_to_is_good_and_stays(
        url in "(http|https|HTTP|ftp)://([0-9a-f.:%\\[\\] ]{0,20}|None|10\\.77\\.0\\.[0-9])(:[0-9]{1,5})?[/?# ]?|.{0,30}",
        v6 in any::<bool>(),
    ) {
        let decided = host(if v6 { "fd77::2" } else { "10.77.0.2" });
        let local = local();
        let facts = HeartbeatFacts { decided: Some(&decided), operator: false, local: Some(&local), held: None };
        let (action, judgement) = heartbeat(&url, None, &facts);
        if let HeartbeatAction::Forward = action {
            prop_assert!(judgement.reasons.is_empty(), "{} passed before the first acceptance", url);
        }
        if let HeartbeatAction::Repair(repaired) = action {
            prop_assert_eq!(judge(&repaired, &context(&facts)).reasons, vec![]);
            // Accepted: every later beat of the same sender is seen by Ironic as the same URL.
            let pin = Some(repaired.as_str());
            let later = HeartbeatFacts { held: pin, ..facts };
            // `...:9999#` needs no repair for that.
            let seen = match heartbeat(&url, None, &later).0 {
                HeartbeatAction::Forward => url,
                HeartbeatAction::Repair(again) => again,
                HeartbeatAction::Hold(why) => return Err(TestCaseError::fail(why)),
            };
            prop_assert!(callback_url::same_to_ironic(&seen, &repaired), "{} after {}", seen, repaired);
        }
    }

    #[test]
    fn after_acceptance_nothing_but_the_pinned_url_is_ever_put_in(url in ".{0,40}", held in ".{0,40}") {
        let pin = Some(held.as_str());
        let decided = host("10.77.0.2");
        let facts = HeartbeatFacts { decided: Some(&decided), operator: false, local: None, held: pin };
        match heartbeat(&url, None, &facts).0 {
            HeartbeatAction::Forward => {}
            HeartbeatAction::Repair(to) => prop_assert_eq!(to, held),
            HeartbeatAction::Hold(why) => prop_assert!(false, "held after the acceptance: {}", why),
        }
    }
}
