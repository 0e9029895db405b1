//! Every row of the policy for heartbeats, over the wire.

use std::time::Duration;

use serde_json::json;
use testbed::needs_root;
use testbed::stand_in::{Behaviour, StandIn};

use super::setup::{ADDRESS, Lab, NODE, PREFIX, SOON, URL, behaviour, events, fault, ready};

fn pem(address: &str) -> String {
    rcgen::generate_simple_self_signed([address.to_owned()]).unwrap().cert.pem()
}

fn heartbeats(ironic: &StandIn) -> Vec<String> {
    let all = ironic.requests().into_iter();
    all.filter(|request| request.path().starts_with("/v1/heartbeat/"))
        .map(|request| request.json()["callback_url"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn bad_http_urls_are_repaired_each_for_its_reason() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("beat-http", &[]);
    lab.node.ip("addr add 10.77.0.5/24 dev eth0.77").unwrap();
    let mut reasons = 0.0;
    for (url, reason) in [
        ("http://10.77.0.2 uid 0:9999", "whitespace"),
        ("http://10.77.0.2%20uid%200:9999", "percent_encoded_host"),
        ("http://None:9999", "placeholder_host"),
        ("http://127.0.0.1:9999", "loopback"),
        ("http://10.77.0.5:9999", "route_mismatch"),
        ("http://10.77.0.6:9999", "not_assigned"),
        ("http://fd00::1:9999", "unbracketed_ipv6"),
    ] {
        let token = lab.token();
        assert_eq!(lab.heartbeat(url, &token).status, 202, "{url}");
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(URL), "{url}");
        let sample = format!("bad_agent_url_reasons_total{{reason=\"{reason}\"}}");
        assert!(lab.metric(&sample) >= 1.0, "{url}: {reason}");
        reasons += 1.0;
        lab.ironic.power_cycle();
    }
    assert_eq!(lab.bad("ipa", "repaired"), reasons);
    let state = lab.daemon.state().unwrap();
    let urls = state["bad_agent_urls"].as_array().unwrap();
    assert_eq!(urls.len(), 7, "{state:#}");
}

#[test]
fn what_cannot_be_repaired_is_held_with_words() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("beat-hold", &[]);
    let token = lab.token();
    for url in ["", "http://", "http://10.77.0.9:99999", "nothttp://10.77.0.9:9999"] {
        let answer = lab.heartbeat(url, &token);
        assert_eq!(answer.status, 409, "{url}");
        let words = fault(&answer);
        assert!(words.contains("scheme and port cannot be told"), "{url}: {words}");
    }
    assert_eq!(lab.beats("held"), 4.0);
    assert_eq!(lab.bad("ipa", "held"), 4.0);
    assert_eq!(heartbeats(&lab.ironic), [""; 0]);
    let (status, words) = ready(&lab.daemon);
    assert_eq!(status, 503);
    assert!(words.contains("heartbeat is held"), "{words}");
    let state = lab.daemon.state().unwrap();
    assert_eq!(state["heartbeats"][3]["result"], "held", "{state:#}");
    assert_eq!(lab.heartbeat(URL, &token).status, 202);
    assert_eq!(ready(&lab.daemon).0, 200);
}

#[test]
fn a_long_url_is_cut_wherever_it_is_shown() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("beat-long", &[]);
    let token = lab.token();
    let long = format!("http://{}\u{1b}[31m:x", "a".repeat(100_000));
    let answer = lab.heartbeat(&long, &token);
    assert_eq!(answer.status, 409);
    assert!(answer.body.len() < 2000, "{}", answer.body.len());
    let secret = format!("http://x?agent_token={token}:x");
    assert_eq!(lab.heartbeat(&secret, &token).status, 409);
    let (state, ready, log) =
        (lab.daemon.get("/state").unwrap().text(), ready(&lab.daemon).1, lab.daemon.log());
    for (what, shown) in [("state", &state), ("ready", &ready), ("log", &log)] {
        assert!(!shown.contains(&"a".repeat(1000)), "{what}");
        assert!(!shown.contains(&token), "{what}: {shown}");
        assert!(!shown.contains('\u{1b}'), "{what}: {shown}");
    }
}

#[test]
fn with_tls_the_certificate_decides() {
    if !needs_root("the guard") {
        return;
    }
    let behaviour = Behaviour { require_tls: true, ..behaviour() };
    let lab = Lab::with("beat-tls", behaviour, &[]);
    lab.node.ip("addr add 10.77.0.5/24 dev eth0.77").unwrap();
    let (right, wrong) = (pem(ADDRESS), pem("10.77.0.5"));
    let token = lab.token();
    // Made for another address: no repair helps, and Ironic must not pin it.
    for (url, pem) in [
        ("https://10.77.0.5:9999", Some(&wrong)),
        ("https://10.77.0.2:9999", Some(&wrong)),
        ("https://10.77.0.5:9999", None),
    ] {
        let answer = lab.heartbeat_with(url, &token, pem.map(String::as_str));
        let words = fault(&answer);
        assert_eq!(answer.status, 409, "{url}: {words}");
        assert!(
            words.contains("a certificate for 10.77.0.2") && words.contains("advertise_host = 10.77.0.2"),
            "{url}: {words}"
        );
    }
    assert!(lab.metric("bad_agent_url_reasons_total{reason=\"san_mismatch\"}") >= 1.0);
    assert_eq!(heartbeats(&lab.ironic), [""; 0]);
    // The right certificate with the wrong URL: repaired.
    let answer = lab.heartbeat_with("https://10.77.0.5:9999", &token, Some(&right));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(lab.ironic.agent_url().as_deref(), Some("https://10.77.0.2:9999"));
    assert_eq!(lab.ironic.agent_verify_ca().as_deref(), Some(right.as_str()));
    // After a restart of IPA the same address, and a new certificate, which Ironic refuses.
    let answer = lab.heartbeat_with("https://10.77.0.2:9999", &token, Some(&pem(ADDRESS)));
    assert_eq!(answer.status, 400);
    let (_, words) = ready(&lab.daemon);
    assert!(words.contains("another certificate") && words.contains("through Ironic"), "{words}");
    assert_eq!(lab.beats("pinned_refused"), 1.0);
}

#[test]
fn without_tls_where_ironic_wants_it_ironic_itself_answers() {
    if !needs_root("the guard") {
        return;
    }
    let behaviour = Behaviour { require_tls: true, ..behaviour() };
    let lab = Lab::with("beat-http-refused", behaviour, &[]);
    let token = lab.token();
    let answer = lab.heartbeat(URL, &token);
    assert_eq!((answer.status, lab.beats("tls_required")), (400, 1.0));
    assert_eq!(fault(&answer), "TLS is required by configuration");
}

#[test]
fn after_an_acceptance_another_url_goes_on_as_it_is() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("beat-other", &[]);
    let token = lab.token();
    assert_eq!(lab.heartbeat(URL, &token).status, 202);
    for other in ["http://10.77.0.2:9998"; 2] {
        let answer = lab.heartbeat(other, &token);
        assert_eq!(answer.status, 400, "{other}");
        assert!(fault(&answer).starts_with("Detected change"), "{}", answer.text());
        assert_eq!(heartbeats(&lab.ironic).last().map(String::as_str), Some(other), "unchanged");
    }
    assert_eq!(lab.beats("pinned_refused"), 2.0);
    assert_eq!(lab.metric("agent_url_stale"), 1.0);
    let (status, words) = ready(&lab.daemon);
    assert_eq!(status, 503);
    assert!(words.contains("power the node off or reboot it through Ironic"), "{words}");
    assert_eq!(lab.bad("ironic", "none"), 1.0, "one event, however often it is refused");
    // Bad ones go to the pinned one, as before.
    assert_eq!(lab.heartbeat("http://10.77.0.2 uid 0:9999", &token).status, 202);
    assert_eq!(heartbeats(&lab.ironic).last().map(String::as_str), Some(URL));
    assert_eq!(lab.metric("agent_url_stale"), 0.0);
    assert_eq!(ready(&lab.daemon).0, 200);
}

#[test]
fn an_address_that_is_lost_after_the_acceptance_is_one_event() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("beat-lost", &["--ipa.restart-unit=ironic-python-agent.service"]);
    let token = lab.token();
    assert_eq!(lab.heartbeat(URL, &token).status, 202);
    lab.node.ip("addr add 10.77.0.5/24 dev eth0.77").unwrap();
    lab.node.ip("addr del 10.77.0.2/24 dev eth0.77").unwrap();
    lab.node.ip("addr replace 10.77.0.5/24 dev eth0.77").unwrap();
    lab.daemon.wait_address(Some("10.77.0.5"), SOON).unwrap();
    for _ in 0..3 {
        let answer = lab.heartbeat(URL, &token);
        assert_eq!(answer.status, 202, "what Ironic sees does not change");
    }
    assert!(heartbeats(&lab.ironic).iter().all(|url| url == URL));
    assert_eq!(lab.metric("agent_url_stale"), 1.0);
    assert_eq!(lab.bad("ironic", "none"), 1.0, "one event, not one for each beat");
    let (_, words) = ready(&lab.daemon);
    assert!(words.contains("10.77.0.5 now") && words.contains("through Ironic"), "{words}");
    // Its token is spent: no restart, whatever is asked.
    assert_eq!(lab.lookup(PREFIX).status, 200);
    std::thread::sleep(Duration::from_millis(200));
    let log = lab.daemon.log();
    assert!(!log.contains("restarting ironic-python-agent"), "{log}");
}

#[test]
fn the_first_generation_of_ipa_is_repaired_too() {
    if !needs_root("the guard") {
        return;
    }
    let mitaka = Behaviour { max_minor: Behaviour::mitaka().max_minor, ..behaviour() };
    let lab = Lab::with("beat-era", mitaka, &[]);
    let lookup = lab
        .http()
        .post(
            &format!("{PREFIX}/v1/drivers/agent_ipmitool/vendor_passthru/lookup"),
            &[],
            &json!({"version": "2", "inventory": {"interfaces": [{"mac_address": super::setup::MAC}]}}),
        )
        .unwrap();
    assert_eq!(lookup.status, 200, "{}", lookup.text());
    for _ in 0..2 {
        let answer = lab
            .http()
            .post(
                &format!("{PREFIX}/v1/nodes/{NODE}/vendor_passthru/heartbeat"),
                &[],
                &json!({"agent_url": "http://10.77.0.2 uid 0:9999"}),
            )
            .unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(URL));
    }
    assert_eq!(lab.bad("ipa", "repaired"), 2.0);
    let events = events(&lab.daemon);
    assert!(events.iter().any(|event| event.contains("Ironic accepted")), "{events:?}");
    // Such an Ironic has no other lookup: it is not asked what it has recorded.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(lab.ironic.requests().len(), 3);
    assert_eq!(lab.lookups("ipa", "ok"), 1.0);
    let log = lab.daemon.log();
    assert!(!log.contains("read back"), "{log}");
}
