#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]
//! Mode agent against the stand-in Ironic: what is sent, when, and what the daemon says of itself.

mod daemon_setup;

use std::time::{Duration, Instant};

use daemon_setup::*;
use serde_json::{Value, json};
use testbed::http::Http;
use testbed::needs_root;
use testbed::stand_in::{Behaviour, Fault, Path};

const ACCEPTED: &str = r#"heartbeats_total{result="accepted",sender="sidecar"}"#;
const REFUSED: &str = r#"heartbeats_total{result="pinned_refused",sender="sidecar"}"#;
const WITHOUT_LISTENER: &str = "--agent.without-listener";

fn node_with_mac() -> Behaviour {
    Behaviour {
        macs: vec![MAC.to_owned()],
        ..Behaviour::default()
    }
}

/// The next heartbeat comes as soon as the least gap allows, after 5 s.
fn fast() -> Behaviour {
    Behaviour {
        heartbeat_timeout: 10,
        ..node_with_mac()
    }
}

fn pregenerated() -> Behaviour {
    Behaviour {
        pregenerated_token: Some(TOKEN.to_owned()),
        ..node_with_mac()
    }
}

#[test]
fn the_first_heartbeat_waits_for_a_listener_and_is_right() {
    if !needs_root("the_first_heartbeat_waits_for_a_listener_and_is_right") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    let (status, words) = ready(&daemon);
    assert_eq!(status, 503);
    assert!(
        words.contains("nothing listens on the advertised port"),
        "{words}"
    );
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(beats(&ironic).len(), 0, "the conductor would find nobody");

    let _agent = site.listen("[::]:9999");
    daemon
        .wait_log("Ironic has recorded the callback URL", SOON)
        .unwrap();
    let requests = ironic.requests();
    let order: Vec<_> = requests
        .iter()
        .map(|r| format!("{} {}", r.method, r.path()))
        .collect();
    let beat_path = "POST /v1/heartbeat/1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
    assert_eq!(order, ["GET /", "GET /v1/lookup", beat_path, "GET /v1/lookup"]);
    assert_eq!(requests[1].query("addresses").as_deref(), Some(MAC));
    assert_eq!(requests[1].query("node_uuid"), None);
    let beat = &requests[2];
    let minor: u16 = beat
        .header("x-openstack-ironic-api-version")
        .and_then(|version| version.strip_prefix("1."))
        .unwrap()
        .parse()
        .unwrap();
    assert!((68..=102).contains(&minor), "1.{minor}");
    assert_eq!(
        beat.json(),
        json!({
            "callback_url": FIRST_URL,
            "agent_token": ironic.token().unwrap(),
            "agent_version": env!("CARGO_PKG_VERSION"),
        })
    );
    assert_eq!(ironic.agent_url().as_deref(), Some(FIRST_URL));

    let (status, words) = ready(&daemon);
    assert_eq!(status, 200, "{words}");
    for (sample, value) in [
        (r#"lookup_attempts_total{result="ok",sender="sidecar"}"#, 1.0),
        (
            r#"lookup_attempts_total{result="masked_token",sender="sidecar"}"#,
            1.0,
        ),
        (ACCEPTED, 1.0),
        (r#"heartbeats_sent_total{trigger="first"}"#, 1.0),
        ("heartbeat_duration_seconds_count", 1.0),
        ("lookup_duration_seconds_count", 2.0),
        ("heartbeat_interval_seconds", 300.0),
        ("agent_url_pinned", 1.0),
        ("agent_url_stale", 0.0),
        ("advertise_address_valid", 1.0),
    ] {
        assert_eq!(daemon.metric(sample).unwrap(), Some(value), "{sample}");
    }
    let at = daemon
        .metric("heartbeat_last_accepted_timestamp_seconds")
        .unwrap()
        .unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 60.0..=now).contains(&at), "{at} of {now}");
    let state = daemon.state().unwrap();
    assert_eq!(state["pinned_url"], FIRST_URL);
    assert_eq!(state["agent"]["phase"], "heartbeating");
    assert_eq!(
        state["agent"]["node_uuid"],
        "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
    );
    assert_eq!(state["heartbeats"][0]["result"], "accepted");
    assert_ends(&mut daemon, "heartbeating");
    assert_eq!(beats(&ironic).len(), 1);
}

#[test]
fn a_change_before_the_first_heartbeat_is_followed() {
    if !needs_root("a_change_before_the_first_heartbeat_is_followed") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    site.remove(FIRST);
    site.add(SECOND);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    let _agent = site.listen("0.0.0.0:9999");
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [SECOND_URL]);
    assert_eq!(ironic.agent_url().as_deref(), Some(SECOND_URL));
}

#[test]
fn the_pinned_address_is_kept_as_long_as_it_is_ours() {
    if !needs_root("the_pinned_address_is_kept_as_long_as_it_is_ours") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(fast());
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);

    // Another source to the API, and the old one is still ours.
    site.add(SECOND);
    site.prefer(SECOND);
    daemon
        .wait_state("the new route", SOON, |state| {
            state["api_urls"][0]["resolved"][0]["source"] == SECOND
        })
        .unwrap();
    wait_beats(&daemon, &ironic, 2, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, FIRST_URL]);
    assert_eq!(daemon.state().unwrap()["origin"], "pinned");

    // The old one is gone: Ironic must be told, and refuses.
    site.remove(FIRST);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    assert_eq!(beat_urls(&ironic).last().unwrap(), SECOND_URL);
    assert_eq!(
        daemon
            .metric(r#"heartbeats_sent_total{trigger="address_change"}"#)
            .unwrap(),
        Some(1.0)
    );
    let (status, words) = ready(&daemon);
    assert_eq!(status, 503);
    assert!(
        words.contains("power the node off or reboot it through Ironic"),
        "{words}"
    );
    assert!(words.contains(SECOND_URL), "{words}");
    let state = daemon.state().unwrap();
    assert_eq!(state["pinned_url"], FIRST_URL);
    assert_eq!(state["bad_agent_urls"][0]["url"], FIRST_URL);
    assert_eq!(state["bad_agent_urls"][0]["reasons"], json!(["pinned_stale"]));
    // It goes on at its pace, and a refusal that repeats is one event.
    let refused = beats(&ironic).len();
    wait_beats(&daemon, &ironic, refused + 1, LATER);
    wait_metric(&daemon, REFUSED, 2.0, SOON);
    assert_eq!(
        daemon
            .metric(r#"bad_agent_url_total{action="none",source="ironic"}"#)
            .unwrap(),
        Some(1.0)
    );

    // It comes back.
    let accepted = daemon.metric(ACCEPTED).unwrap().unwrap();
    site.add(FIRST);
    wait_metric(&daemon, ACCEPTED, accepted + 1.0, LATER);
    wait_metric(&daemon, "agent_url_stale", 0.0, SOON);
    assert_eq!(beat_urls(&ironic).last().unwrap(), FIRST_URL);
    assert_eq!(ready(&daemon).0, 200);
    assert_eq!(daemon.state().unwrap()["stale"], Value::Null);
}

#[test]
fn a_power_cycle_through_ironic_begins_anew() {
    if !needs_root("a_power_cycle_through_ironic_begins_anew") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(fast());
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    site.remove(FIRST);
    site.add(SECOND);
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    let old_token = ironic.token().unwrap();
    ironic.power_cycle();
    wait_metric(&daemon, ACCEPTED, 2.0, LATER);
    assert_eq!(
        daemon
            .metric(r#"heartbeats_total{result="token_refused",sender="sidecar"}"#)
            .unwrap(),
        Some(1.0)
    );
    assert_ne!(ironic.token().unwrap(), old_token);
    assert_eq!(ironic.agent_url().as_deref(), Some(SECOND_URL));
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));
    assert_eq!(ready(&daemon).0, 200);
    assert_eq!(daemon.state().unwrap()["pinned_url"], SECOND_URL);
}

#[test]
fn without_the_token_nothing_is_sent_and_it_is_said_what_to_do() {
    if !needs_root("without_the_token_nothing_is_sent_and_it_is_said_what_to_do") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let mut daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_phase(&daemon, "without_token");
    let (status, words) = ready(&daemon);
    assert_eq!(status, 503);
    assert!(
        words.contains("power-cycle the node through Ironic") && words.contains("--ironic.agent-token-file"),
        "{words}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(beats(&ironic).len(), 0);
    assert_ends(&mut daemon, "without token");

    let directory = Directory::new("token");
    let flag = directory.flag("--ironic.agent-token-file", "token", &format!("{TOKEN}\n"));
    let daemon = site.agent(&[WITHOUT_LISTENER, &flag]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beats(&ironic)[0].json()["agent_token"], TOKEN);
}

#[test]
fn a_bad_url_that_ironic_holds_is_said_and_counted() {
    if !needs_root("a_bad_url_that_ironic_holds_is_said_and_counted") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let bad = "http://172.25.134.128%20uid%200:9999";
    let api = Http::inside(&site.conductor, ironic.address());
    let seed = api
        .post(
            "/v1/heartbeat/1be26c0b-03f2-4d2e-ae87-c02d7f33c123",
            &[("X-OpenStack-Ironic-API-Version", "1.62")],
            &json!({"callback_url": bad, "agent_token": TOKEN, "agent_version": "1.2.0"}),
        )
        .unwrap();
    assert_eq!(seed.status, 202);
    let directory = Directory::new("bad-url");
    let flag = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let daemon = site.agent(&[WITHOUT_LISTENER, &flag]);
    wait_metric(&daemon, REFUSED, 1.0, SOON);
    wait_metric(&daemon, "agent_url_stale", 1.0, SOON);
    let reason = r#"bad_agent_url_reasons_total{reason="percent_encoded_host"}"#;
    assert_eq!(daemon.metric(reason).unwrap(), Some(1.0));
    assert!(
        daemon
            .metric(r#"bad_agent_url_total{action="none",source="ironic"}"#)
            .unwrap()
            >= Some(1.0)
    );
    let state = daemon.state().unwrap();
    assert_eq!(state["bad_agent_urls"][0]["url"], bad);
    assert_eq!(
        state["bad_agent_urls"][0]["reasons"],
        json!(["percent_encoded_host"])
    );
    assert_eq!(state["pinned_url"], bad);
    assert_eq!(beat_urls(&ironic), [bad, FIRST_URL]);
    assert_eq!(ready(&daemon).0, 503);
}

#[test]
fn the_next_api_url_is_used_where_the_first_refuses() {
    if !needs_root("the_next_api_url_is_used_where_the_first_refuses") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let urls = "--ironic.api-url=http://10.77.0.1:1,http://10.77.0.1:6385";
    let daemon = site.daemon(&["--mode=agent", urls, WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn lookups_recover_from_every_fault() {
    if !needs_root("lookups_recover_from_every_fault") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    for fault in [
        Fault::Error(503, "try later".to_owned()),
        Fault::GarbageJson,
        Fault::Silent,
        Fault::Error(409, "Node x is locked by host y".to_owned()),
    ] {
        ironic.push_fault(Path::Lookup, fault);
    }
    let daemon = site.agent(&[WITHOUT_LISTENER, "--ironic.request-timeout=1"]);
    let failed = |state: &Value| {
        let failure = state["agent"]["last_failure"].as_str().unwrap_or_default();
        failure.starts_with("lookup: ") && failure.contains("try later")
    };
    daemon.wait_state("the first failure", SOON, failed).unwrap();
    let (status, words) = ready(&daemon);
    assert_eq!(status, 503);
    assert!(words.contains("try later"), "{words}");
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    for result in ["server_error", "invalid_response", "timeout", "conflict", "ok"] {
        let sample = format!("lookup_attempts_total{{result=\"{result}\",sender=\"sidecar\"}}");
        assert_eq!(daemon.metric(&sample).unwrap(), Some(1.0), "{result}");
    }
    assert_eq!(daemon.state().unwrap()["agent"]["last_failure"], Value::Null);
    assert_eq!(ready(&daemon).0, 200);
}

#[test]
fn heartbeats_recover_from_every_fault_at_the_pace_of_a_retry() {
    if !needs_root("heartbeats_recover_from_every_fault_at_the_pace_of_a_retry") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(
        Path::Heartbeat,
        Fault::Error(409, "Node x is locked by host y".to_owned()),
    );
    ironic.push_fault(Path::Heartbeat, Fault::Silent);
    ironic.push_fault(Path::Heartbeat, Fault::Error(503, "try later".to_owned()));
    let daemon = site.agent(&[WITHOUT_LISTENER, "--ironic.request-timeout=1"]);
    let mut times = Vec::new();
    for count in 1..=4 {
        wait_beats(&daemon, &ironic, count, LATER);
        times.push(Instant::now());
    }
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        let bounds = Duration::from_millis(4500)..Duration::from_millis(12_500); // 5 to 10 s, and 1 s of silence.
        assert!(bounds.contains(&pause), "{pause:?}");
    }
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    for result in ["conflict", "timeout", "server_error"] {
        let sample = format!("heartbeats_total{{result=\"{result}\",sender=\"sidecar\"}}");
        assert_eq!(daemon.metric(&sample).unwrap(), Some(1.0), "{result}");
    }
    let retries = r#"heartbeats_sent_total{trigger="retry"}"#;
    assert_eq!(daemon.metric(retries).unwrap(), Some(3.0));
    assert_eq!(ready(&daemon).0, 200);
}

#[test]
fn beside_an_ipa_it_does_not_start_without_the_token() {
    if !needs_root("beside_an_ipa_it_does_not_start_without_the_token") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let _ipa = FakeIpa::start(&site.node, "[::]:9999");
    let mut daemon = site.agent(&[]);
    let status = daemon.ended(SOON).unwrap();
    assert_eq!(status.code(), Some(69), "{}", daemon.log());
    for words in [
        "ironic-python-agent answers on port 9999",
        "take its token",
        "--ironic.agent-token-file",
    ] {
        assert!(daemon.log().contains(words), "{words}: {}", daemon.log());
    }
    assert_eq!(ironic.connections(), 0);

    let directory = Directory::new("beside");
    let flag = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let daemon = site.agent(&[&flag]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    wait_metric(&daemon, "ipa_up", 1.0, SOON);
    assert_eq!(
        daemon.state().unwrap()["ipa"],
        json!({"up": true, "version": "13.0.0"})
    );
}

#[test]
fn an_ipa_behind_another_port_than_the_advertised_one_is_seen() {
    if !needs_root("an_ipa_behind_another_port_than_the_advertised_one_is_seen") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let _ipa = FakeIpa::start(&site.node, "[::]:9998");
    let directory = Directory::new("ports");
    // As on a command line that has IPA listen elsewhere than it advertises, behind a translation.
    directory.flag("", "cmdline", "ipa-listen-port=9998 ipa-advertise-port=9999");
    let mut daemon = site.daemon_with(&directory.file("cmdline"), &[], &["--mode=agent", API_FLAG]);
    let status = daemon.ended(SOON).unwrap();
    assert_eq!(status.code(), Some(69), "{}", daemon.log());
    assert!(daemon.log().contains("port 9998"), "{}", daemon.log());
    assert_eq!(ironic.connections(), 0);
}

#[test]
fn a_lost_carrier_does_not_change_a_pinned_url() {
    if !needs_root("a_lost_carrier_does_not_change_a_pinned_url") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    daemon
        .wait_state("the pin", SOON, |state| state["origin"] == "pinned")
        .unwrap();
    site.carrier(false);
    wait_metric(&daemon, "advertise_address_valid", 0.0, SOON);
    let state = daemon.state().unwrap();
    assert_eq!(state["callback_url"], FIRST_URL);
    assert_eq!(state["valid"], false);
    assert_eq!(state["reason"], "no_carrier");
    site.carrier(true);
    wait_metric(&daemon, "advertise_address_valid", 1.0, SOON);
    assert_eq!(daemon.state().unwrap()["callback_url"], FIRST_URL);
    assert_eq!(
        daemon.metric("advertise_address_changes_total").unwrap(),
        Some(1.0)
    );
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn sigterm_ends_it_soon_in_every_state() {
    if !needs_root("sigterm_ends_it_soon_in_every_state") {
        return;
    }
    let site = Site::bare();
    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_address");
    assert_ends(&mut daemon, "awaiting an address");

    site.add(FIRST);
    let ironic = site.ironic(fast());
    ironic.set_fault(Path::Any, Some(Fault::Silent));
    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "looking_up");
    daemon
        .wait("the request", SOON, || {
            (!ironic.requests().is_empty()).then_some(())
        })
        .unwrap();
    assert_ends(&mut daemon, "looking up at a silent API");
    ironic.set_fault(Path::Any, None);

    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    assert_ends(&mut daemon, "awaiting a listener");

    ironic.power_cycle();
    let mut daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    site.remove(FIRST);
    site.add(SECOND);
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    assert_ends(&mut daemon, "stale");

    // While it asks whether an IPA is there, and something takes the connection and says nothing.
    ironic.power_cycle();
    let _mute = site.listen("0.0.0.0:9999");
    let mut daemon = site.agent(&[]);
    std::thread::sleep(Duration::from_millis(500));
    assert_ends(&mut daemon, "asking for an IPA");
}

#[test]
fn observe_and_configure_say_nothing_to_ironic() {
    if !needs_root("observe_and_configure_say_nothing_to_ironic") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let directory = Directory::new("silent");
    let config_dir = format!("--ipa.config-dir={}", directory.path().display());
    for mode in ["--mode=observe", "--mode=configure"] {
        let daemon = site.daemon(&[mode, API_FLAG, &config_dir]);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        assert_eq!(
            daemon
                .wait("ready", SOON, || Some(ready(&daemon)).filter(|(s, _)| *s == 200))
                .unwrap()
                .0,
            200
        );
        site.remove(FIRST);
        site.add(SECOND);
        daemon.wait_address(Some(SECOND), SOON).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        site.remove(SECOND);
        site.add(FIRST);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        assert_eq!(ironic.connections(), 0, "{mode}");
    }
}

#[test]
fn a_flapping_address_makes_few_heartbeats() {
    if !needs_root("a_flapping_address_makes_few_heartbeats") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    let begun = Instant::now();
    let mut now = (FIRST, SECOND);
    while begun.elapsed() < Duration::from_secs(12) {
        site.remove(now.0);
        site.add(now.1);
        daemon.wait_address(Some(now.1), SOON).unwrap();
        now = (now.1, now.0);
        std::thread::sleep(Duration::from_millis(200));
    }
    let sent = beats(&ironic).len();
    assert!((2..=4).contains(&sent), "{sent} heartbeats in 12 s");
}

#[test]
fn a_202_is_read_back_until_ironic_has_recorded_it() {
    if !needs_root("a_202_is_read_back_until_ironic_has_recorded_it") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(fast());
    let daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    ironic.set_wrong_state(true);
    let _agent = site.listen("0.0.0.0:9999");
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    let not_found = r#"lookup_attempts_total{result="not_found",sender="sidecar"}"#;
    wait_metric(&daemon, not_found, 1.0, SOON);
    assert_eq!(ironic.recorded_heartbeats(), 0);
    assert!(!daemon.log().contains("Ironic has recorded"), "{}", daemon.log());
    ironic.set_wrong_state(false);
    daemon
        .wait_log("Ironic has recorded the callback URL", LATER)
        .unwrap();
    assert_eq!(ironic.recorded_heartbeats(), 1);
}

#[test]
fn a_heartbeat_whose_answer_was_lost_is_still_a_pin() {
    if !needs_root("a_heartbeat_whose_answer_was_lost_is_still_a_pin") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Heartbeat, Fault::Late(Duration::from_secs(2)));
    let daemon = site.agent(&[WITHOUT_LISTENER, "--ironic.request-timeout=1"]);
    wait_metric(
        &daemon,
        r#"heartbeats_total{result="timeout",sender="sidecar"}"#,
        1.0,
        SOON,
    );
    // Ironic has the first address now, and we do not know; it stays ours.
    site.add(SECOND);
    site.prefer(SECOND);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, SECOND_URL, FIRST_URL]);
    assert_eq!(daemon.state().unwrap()["pinned_url"], FIRST_URL);
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));
    let stale = r#"bad_agent_url_reasons_total{reason="pinned_stale"}"#;
    assert_eq!(daemon.metric(stale).unwrap(), None, "it was never stale");
}

#[test]
fn what_ipas_files_say_never_ends_it() {
    if !needs_root("what_ipas_files_say_never_ends_it") {
        return;
    }
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let directory = Directory::new("foreign");
    directory.flag("", "10.conf", "[DEFAULT]\ncafile = /nonexistent/ca.pem\n");
    let config_dir = format!("--ipa.config-dir={}", directory.path().display());
    let https = "--ironic.api-url=https://10.77.0.1:6385"; // Else no file is read.
    let daemon = site.daemon(&["--mode=agent", https, &config_dir]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    let (status, words) = ready(&daemon);
    assert_eq!(status, 503);
    assert!(
        words.contains("mode agent acts as observe: ") && words.contains("/nonexistent/ca.pem"),
        "{words}"
    );
    drop(daemon);
    let mut daemon = site.daemon(&["--mode=agent", https, "--ironic.cafile=/nonexistent/ca.pem"]);
    assert_eq!(daemon.ended(SOON).unwrap().code(), Some(69), "our own flag does");
    assert!(daemon.log().contains("/nonexistent/ca.pem"), "{}", daemon.log());
    assert_eq!(ironic.connections(), 0);
}
