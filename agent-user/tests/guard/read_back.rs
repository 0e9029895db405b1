//! What Ironic has recorded: read back after the first acceptance, and by a sidecar that was restarted.

use serde_json::json;
use testbed::http::Http;

use super::*;

/// Lookups by node, as only the sidecar makes them here.
fn read_backs(ironic: &StandIn) -> usize {
    let all = ironic.requests().into_iter();
    all.filter(|request| request.query("node_uuid").is_some()).count()
}

#[test]
fn a_first_acceptance_is_looked_up_once() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    for _ in 0..3 {
        assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    }
    wait_metric(&lab.daemon, READ_BACK, 1.0, SOON);
    for _ in 0..2 {
        assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    }
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(read_backs(&lab.ironic), 1);
    assert_eq!(lab.lookups("sidecar", "masked_token"), 1.0);
    assert_eq!(lab.bad("ironic", "none"), 0.0);
}

#[test]
fn before_ipa_has_its_token_nothing_is_asked() {
    root_test!();
    let lab = Lab::new(&[]);
    let version = [(VERSION_HEADER, "1.68")];
    let beat = json!({"callback_url": FIRST_URL, "agent_version": "13.0.0"});
    let answer = lab.http().post(&format!("{PREFIX}/v1/heartbeat/{NODE}"), &version, &beat).unwrap();
    assert_eq!(answer.status, 400, "Ironic wants a token");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let asked: Vec<_> = lab.ironic.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, [format!("/v1/heartbeat/{NODE}")], "what IPA sent, and nothing of ours");
    assert_eq!(lab.token().len(), 43, "the token is still there for IPA");
}

/// Power-cycles the node, and somebody else has its token from then on: the guard sees nothing of that.
fn changed_behind_the_guard(lab: &Lab) -> (Http, String) {
    lab.ironic.power_cycle();
    let direct = Http::inside(&lab.node, API.parse().unwrap());
    let version = [(VERSION_HEADER, "1.62")];
    let answer = direct.get(&format!("/v1/lookup?addresses={MAC}"), &version).unwrap();
    (direct, token(&answer))
}

#[test]
fn accepted_and_recorded_nothing_is_said() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    changed_behind_the_guard(&lab);
    lab.daemon.wait_log("recorded nothing", SOON).unwrap();
    let said = events(&lab.daemon);
    assert!(said.iter().any(|event| event.contains("recorded nothing")), "{said:?}");
    assert_eq!(lab.metric("agent_url_pinned"), 1.0, "what was accepted stays");
}

#[test]
fn a_restarted_sidecar_learns_what_ironic_holds_before_it_decides() {
    root_test!();
    let (mut lab, token) = Lab::asked(&[]);
    // Ironic's record is of a time when this was the address.
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    wait_metric(&lab.daemon, READ_BACK, 1.0, SOON);
    assert_eq!(read_backs(&lab.ironic), 1);
    let (status, _) = lab.daemon.terminate().unwrap();
    assert_eq!(status.code(), Some(0));
    // Now another address is the right one, and the recorded one is still ours.
    lab.add(SECOND);
    lab.prefer(SECOND);
    lab.daemon = lab.site.guard(&[TIMEOUT_FLAG]);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(metric(&lab.daemon, "agent_url_pinned"), 0.0);
    for _ in 0..3 {
        let answer = lab.heartbeat(SEED_URL, &token);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
    let beats = lab.ironic.requests();
    let last = beats.iter().rfind(|request| request.method == "POST").unwrap();
    assert_eq!(last.json()["callback_url"], FIRST_URL);
    assert_eq!(metric(&lab.daemon, "agent_url_pinned"), 1.0);
    assert_eq!(read_backs(&lab.ironic), 2, "one of each sidecar");
    assert_eq!(lab.lookups("sidecar", "masked_token"), 1.0);
}

#[test]
fn another_url_than_accepted_is_an_alarm() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    let (direct, token) = changed_behind_the_guard(&lab);
    let bad = SEED_URL;
    let body = json!({"callback_url": bad, "agent_token": token, "agent_version": "13.0.0"});
    let version = [(VERSION_HEADER, "1.68")];
    let answer = direct.post(&format!("/v1/heartbeat/{NODE}"), &version, &body).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    wait_until(&lab.daemon, "the alarm", SOON, || lab.bad("ironic", "none") == 1.0);
    assert_eq!(lab.daemon.state().unwrap()["pinned_url"], bad);
}
