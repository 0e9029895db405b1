//! The lookup gate, without a restart: what is held, for how long, and what Ironic sees of it.

use std::time::Instant;

use super::*;

const HELD: &str = r#"lookup_attempts_total{result="held",sender="ipa"}"#;

#[test]
fn without_an_address_lookups_are_held_and_nothing_reaches_ironic() {
    root_test!();
    let site = Site::bare();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.guard(&[]);
    daemon.wait_address(None, SOON).unwrap();
    for held in 1..=3 {
        let answer = site.lookup(PREFIX);
        assert_eq!(answer.status, 409);
        assert!(fault(&answer).contains("there is no advertise address yet"), "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(metric(&daemon, HELD), f64::from(held));
    }
    assert_eq!(ironic.requests(), []);
    assert_eq!((ironic.connections(), ironic.token()), (0, None));
    assert_unready(&daemon, &["no drop-in"]);
    let events = events(&daemon);
    let held = events.iter().filter(|event| event.contains("lookup held")).count();
    assert_eq!(held, 1, "said once: {events:?}");

    site.add(FIRST);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    token(&site.lookup(PREFIX));
    assert_eq!(seen(&ironic, "/v1/lookup").len(), 1);
    let state = daemon.state().unwrap();
    assert!(state["guard"]["gate"].is_null(), "{state:#}");
}

#[test]
fn an_ipa_of_another_drop_in_is_held_for_the_wait_and_then_let_through_loudly() {
    root_test!();
    let lab = Lab::new(&["--advertise.wait=2s"]);
    let started = Instant::now();
    let answer = lab.lookup(OLD_PREFIX);
    assert_eq!(answer.status, 409);
    let words = fault(&answer);
    assert_names(words, &["10.77.0.9", "10.77.0.5 is right", "has to be restarted"]);
    assert_unready(&lab.daemon, &["restarted"]);
    let answer = loop {
        let answer = lab.lookup(OLD_PREFIX);
        if answer.status != 409 {
            break answer;
        }
        assert_eq!(seen(&lab.ironic, "/v1/lookup"), []);
        std::thread::sleep(Duration::from_millis(50));
    };
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(4), "{waited:?}");
    token(&answer);
    let said = "lookups were held for long enough";
    assert!(lab.daemon.log().contains(said), "{}", lab.daemon.log());
    let events = events(&lab.daemon);
    assert!(events.iter().any(|event| event.contains(said)), "{events:?}");
    // Its token is spent now: whatever it asks goes through.
    assert_eq!(lab.lookup(OLD_PREFIX).status, 200);
}

#[test]
fn a_gate_that_has_opened_stays_open_while_ironic_is_down() {
    root_test!();
    let lab = Lab::new(&["--advertise.wait=1s", TIMEOUT_FLAG]);
    assert_eq!(lab.lookup(OLD_PREFIX).status, 409);
    std::thread::sleep(Duration::from_millis(1100));
    lab.ironic.push_fault(Path::Lookup, Fault::Error(503, "down".into()));
    assert_eq!(lab.lookup(OLD_PREFIX).status, 503, "let through");
    let again = lab.lookup(OLD_PREFIX);
    assert_eq!(again.status, 200, "not held for another wait: {}", again.text());
}

#[test]
fn an_ipa_without_our_drop_in_is_let_through_and_said() {
    root_test!();
    let lab = Lab::new(&[]);
    token(&lab.lookup(""));
    let said = "did not start with the drop-in that says 10.77.0.5";
    let events = events(&lab.daemon);
    assert!(events.iter().any(|event| event.contains(said)), "{events:?}");
    assert_eq!(lab.lookups("ipa", "held"), 0.0);
}

#[test]
fn what_did_not_reach_ironic_or_was_refused_does_not_open_the_gate_for_good() {
    root_test!();
    let site = Site::new();
    let daemon = site.guard(&[TIMEOUT_FLAG]);
    wait_drop_in(&daemon, FIRST, SOON);
    // Nobody listens: silence.
    assert_eq!(site.sent(lookup()).rest().0, b"");
    assert_eq!(site.lookup(OLD_PREFIX).status, 409, "no token is spent");
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Lookup, Fault::Error(404, "Resource could not be found.".into()));
    assert_eq!(site.lookup(PREFIX).status, 404);
    assert_eq!(site.lookup(OLD_PREFIX).status, 409, "no token is spent");
    token(&site.lookup(PREFIX));
    // From here on it is, also where a later lookup of whomever is refused.
    ironic.push_fault(Path::Lookup, Fault::Error(404, "Resource could not be found.".into()));
    assert_eq!(site.lookup(PREFIX).status, 404);
    assert_eq!(site.lookup(OLD_PREFIX).status, 200, "the token is spent");
    assert_eq!(metric(&daemon, r#"lookup_attempts_total{result="connect_error",sender="ipa"}"#), 1.0);
}

#[test]
fn the_gate_knows_ipv6() {
    root_test!();
    let site = Site::bare();
    for (netns, device, address) in [(&site.conductor, "ironic", "fd77::1"), (&site.node, DEVICE, "fd77::2")]
    {
        netns.ip(&format!("addr add {address}/64 dev {device} nodad")).unwrap();
    }
    let ironic = StandIn::start(site.listener("[fd77::1]:6385"), node_with_mac()).unwrap();
    let daemon = site.guard(&["--ironic.api-url=http://[fd77::1]:6385"]);
    wait_drop_in(&daemon, "fd77::2", SOON);
    let drop_in = site.drop_in();
    assert!(drop_in.contains("\nadvertise_host = fd77::2\n"), "{drop_in}");
    assert_eq!(site.lookup("/advertise/fd77::9").status, 409);
    token(&site.lookup("/advertise/fd77::2"));
    assert_eq!(ironic.requests()[0].header("host"), Some("[fd77::1]:6385"));
}
