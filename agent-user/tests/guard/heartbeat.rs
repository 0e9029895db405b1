//! Every row of the policy for heartbeats, over the wire.

use serde_json::json;

use super::*;

fn pem(address: &str) -> String {
    rcgen::generate_simple_self_signed([address.to_owned()]).unwrap().cert.pem()
}

#[test]
fn bad_http_urls_are_repaired_each_for_its_reason() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.add(SECOND);
    let mut reasons = 0.0;
    for (url, reason) in [
        (SEED_URL, "whitespace"),
        ("http://10.77.0.5%20uid%200:9999", "percent_encoded_host"),
        ("http://None:9999", "placeholder_host"),
        ("http://127.0.0.1:9999", "loopback"),
        ("http://10.77.0.7:9999", "not_assigned"),
        ("http://fd00::1:9999", "unbracketed_ipv6"),
    ] {
        let token = lab.token();
        assert_eq!(lab.heartbeat(url, &token).status, 202, "{url}");
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL), "{url}");
        let sample = format!("bad_agent_url_reasons_total{{reason=\"{reason}\"}}");
        assert!(lab.metric(&sample) >= 1.0, "{url}: {reason}");
        reasons += 1.0;
        lab.ironic.power_cycle();
    }
    assert_eq!(lab.bad("ipa", "repaired"), reasons);
    let state = lab.daemon.state().unwrap();
    let urls = state["bad_agent_urls"].as_array().unwrap();
    assert_eq!(urls.len(), 6, "{state:#}");
}

#[test]
fn an_address_that_is_here_passes_with_a_warning() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.add(SECOND);
    let url = "http://10.77.0.6:9999";
    assert_eq!(lab.heartbeat(url, &lab.token()).status, 202);
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(url));
    assert_eq!(lab.metric("agent_url_warnings_total{warning=\"route_mismatch\"}"), 1.0);
    assert_eq!(lab.bad("ipa", "repaired") + lab.bad("ipa", "forwarded"), 0.0);
}

#[test]
fn what_cannot_be_repaired_is_held_with_words() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    for url in ["", "http://", "http://10.77.0.9:99999", "nothttp://10.77.0.9:9999"] {
        let answer = lab.heartbeat(url, &token);
        assert_eq!(answer.status, 409, "{url}");
        let words = fault(&answer);
        assert!(words.contains("scheme and port cannot be told"), "{url}: {words}");
    }
    assert_eq!(lab.beats("held"), 4.0);
    assert_eq!(lab.bad("ipa", "held"), 4.0);
    assert_eq!(beat_urls(&lab.ironic), [""; 0]);
    assert_unready(&lab.daemon, &["heartbeat is held"]);
    let state = lab.daemon.state().unwrap();
    assert_eq!(state["heartbeats"][3]["result"], "held", "{state:#}");
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(ready(&lab.daemon).0, 200);
}

#[test]
fn a_long_url_is_cut_wherever_it_is_shown() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
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
    root_test!();
    let behaviour = Behaviour { require_tls: true, ..node_with_mac() };
    let lab = Lab::with(behaviour, &[]);
    lab.add(SECOND);
    let (right, wrong) = (pem(FIRST), pem("10.77.0.6"));
    let token = lab.token();
    // Made for another address: no repair helps, and Ironic must not pin it.
    for (url, pem) in [
        ("https://10.77.0.7:9999", Some(&wrong)),
        ("https://10.77.0.5:9999", Some(&wrong)),
        ("https://10.77.0.7:9999", None),
    ] {
        let answer = lab.heartbeat_with(url, &token, pem.map(String::as_str));
        let words = fault(&answer);
        assert_eq!(answer.status, 409, "{url}: {words}");
        assert_names(&words, &["a certificate for 10.77.0.5", "advertise_host = 10.77.0.5"]);
    }
    assert!(lab.metric("bad_agent_url_reasons_total{reason=\"san_mismatch\"}") >= 1.0);
    assert_eq!(beat_urls(&lab.ironic), [""; 0]);
    // The right certificate with the wrong URL: repaired.
    let answer = lab.heartbeat_with("https://10.77.0.6:9999", &token, Some(&right));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(lab.ironic.agent_url().as_deref(), Some("https://10.77.0.5:9999"));
    assert_eq!(lab.ironic.agent_verify_ca().as_deref(), Some(right.as_str()));
    // After a restart of IPA the same address, and a new certificate, which Ironic refuses.
    let answer = lab.heartbeat_with("https://10.77.0.5:9999", &token, Some(&pem(FIRST)));
    assert_eq!(answer.status, 400);
    assert_unready(&lab.daemon, &["another certificate", "through Ironic"]);
    assert_eq!(lab.beats("pinned_refused"), 1.0);
}

#[test]
fn without_tls_where_ironic_wants_it_ironic_itself_answers() {
    root_test!();
    let behaviour = Behaviour { require_tls: true, ..node_with_mac() };
    let lab = Lab::with(behaviour, &[]);
    let token = lab.token();
    let answer = lab.heartbeat(FIRST_URL, &token);
    assert_eq!((answer.status, lab.beats("tls_required")), (400, 1.0));
    assert_eq!(fault(&answer), "TLS is required by configuration");
}

#[test]
fn after_an_acceptance_another_url_goes_on_as_it_is() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    for other in ["http://10.77.0.5:9998"; 2] {
        let answer = lab.heartbeat(other, &token);
        assert_eq!(answer.status, 400, "{other}");
        assert!(fault(&answer).starts_with("Detected change"), "{}", answer.text());
        assert_eq!(beat_urls(&lab.ironic).last().map(String::as_str), Some(other), "unchanged");
    }
    assert_eq!(lab.beats("pinned_refused"), 2.0);
    assert_eq!(lab.metric("agent_url_stale"), 1.0);
    assert_unready(&lab.daemon, &["through Ironic"]);
    assert_eq!(lab.bad("ironic", "none"), 1.0, "one event, however often it is refused");
    // Bad ones go to the pinned one, as before.
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    assert_eq!(beat_urls(&lab.ironic).last().map(String::as_str), Some(FIRST_URL));
    assert_eq!(lab.metric("agent_url_stale"), 0.0);
    assert_eq!(ready(&lab.daemon).0, 200);
}

#[test]
fn an_address_that_is_lost_after_the_acceptance_is_one_event() {
    root_test!();
    let (lab, token) = Lab::asked(&["--ipa.restart-unit=ironic-python-agent.service"]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    lab.add(SECOND);
    lab.remove(FIRST);
    lab.daemon.wait_address(Some("10.77.0.6"), SOON).unwrap();
    for _ in 0..3 {
        let answer = lab.heartbeat(FIRST_URL, &token);
        assert_eq!(answer.status, 202, "what Ironic sees does not change");
    }
    assert!(beat_urls(&lab.ironic).iter().all(|url| url == FIRST_URL));
    assert_eq!(lab.metric("agent_url_stale"), 1.0);
    assert_eq!(lab.bad("ironic", "none"), 1.0, "one event, not one for each beat");
    assert_unready(&lab.daemon, &["10.77.0.6 now", "through Ironic"]);
    // Its token is spent: no restart, whatever is asked.
    assert_eq!(lab.lookup(PREFIX).status, 200);
    std::thread::sleep(Duration::from_millis(200));
    let log = lab.daemon.log();
    assert!(!log.contains("restarting ironic-python-agent"), "{log}");
}

#[test]
fn the_first_generation_of_ipa_is_repaired_too() {
    root_test!();
    let mitaka = Behaviour { max_minor: Behaviour::mitaka().max_minor, ..node_with_mac() };
    let lab = Lab::with(mitaka, &[]);
    let lookup = lab
        .http()
        .post(
            &format!("{PREFIX}/v1/drivers/agent_ipmitool/vendor_passthru/lookup"),
            &[],
            &json!({"version": "2", "inventory": {"interfaces": [{"mac_address": MAC}]}}),
        )
        .unwrap();
    assert_eq!(lookup.status, 200, "{}", lookup.text());
    for _ in 0..2 {
        let answer = lab
            .http()
            .post(
                &format!("{PREFIX}/v1/nodes/{NODE}/vendor_passthru/heartbeat"),
                &[],
                &json!({"agent_url": SEED_URL}),
            )
            .unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
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
