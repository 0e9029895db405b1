//! Mode agent against the stand-in Ironic: what is sent, when, and what the daemon says of itself.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Fault, Path, StandIn};

use crate::with_agent;

const REFUSED: &str = r#"heartbeats_total{result="pinned_refused",sender="sidecar"}"#;

#[test]
fn the_first_heartbeat_waits_for_a_listener_and_is_right() {
    root_test!();
    let (site, ironic, mut daemon) = with_agent(node_with_mac(), &[]);
    wait_phase(&daemon, "awaiting_listener");
    assert_eq!(ready(&daemon).0, 503);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(beats(&ironic).len(), 0, "the conductor would find nobody");

    let _agent = site.listen("[::]:9999");
    wait_metric(&daemon, READ_BACK, 1.0, SOON);
    let requests = ironic.requests();
    let order: Vec<_> = requests.iter().map(|r| format!("{} {}", r.method, r.path())).collect();
    let beat_path = format!("POST /v1/heartbeat/{NODE}");
    assert_eq!(order, ["GET /", "GET /v1/lookup", &beat_path, "GET /v1/lookup"]);
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
        (r#"lookup_attempts_total{result="masked_token",sender="sidecar"}"#, 1.0),
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
    let at = daemon.metric("heartbeat_last_accepted_timestamp_seconds").unwrap().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 60.0..=now).contains(&at), "{at} of {now}");
    let state = daemon.state().unwrap();
    assert_eq!(state["pinned_url"], FIRST_URL);
    assert_eq!(state["agent"]["phase"], "heartbeating");
    assert_eq!(state["agent"]["node_uuid"], NODE);
    assert_eq!(state["heartbeats"][0]["result"], "accepted");
    assert_ends(&mut daemon, "heartbeating");
    assert_eq!(beats(&ironic).len(), 1);
}

#[test]
fn a_change_before_the_first_heartbeat_is_followed() {
    root_test!();
    let (site, ironic, daemon) = with_agent(node_with_mac(), &[]);
    wait_phase(&daemon, "awaiting_listener");
    site.change(FIRST, SECOND);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    let _agent = site.listen("0.0.0.0:9999");
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [SECOND_URL]);
    assert_eq!(ironic.agent_url().as_deref(), Some(SECOND_URL));
}

#[test]
fn the_pinned_address_is_kept_as_long_as_it_is_ours() {
    root_test!();
    let (site, ironic, daemon) = with_agent(fast(), &[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);

    // Another source to the API, and the old one is still ours.
    site.add(SECOND);
    site.prefer(SECOND);
    daemon
        .wait_state("the new route", SOON, |state| state["api_urls"][0]["resolved"][0]["source"] == SECOND)
        .unwrap();
    wait_beats(&daemon, &ironic, 2, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, FIRST_URL]);
    assert_eq!(daemon.state().unwrap()["origin"], "pinned");

    // The old one is gone: Ironic must hear of it, and refuses.
    site.remove(FIRST);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    assert_eq!(beat_urls(&ironic).last().unwrap(), SECOND_URL);
    assert_eq!(daemon.metric(r#"heartbeats_sent_total{trigger="address_change"}"#).unwrap(), Some(1.0));
    assert_unready(&daemon, &["through Ironic", SECOND_URL]);
    let state = daemon.state().unwrap();
    assert_eq!(state["pinned_url"], FIRST_URL);
    assert_eq!(state["bad_agent_urls"][0]["url"], FIRST_URL);
    assert_eq!(state["bad_agent_urls"][0]["reasons"], json!(["pinned_stale"]));
    // It goes on at its pace, and a refusal that repeats is one event.
    let refused = beats(&ironic).len();
    wait_beats(&daemon, &ironic, refused + 1, LATER);
    wait_metric(&daemon, REFUSED, 2.0, SOON);
    assert_eq!(daemon.metric(r#"bad_agent_url_total{action="none",source="ironic"}"#).unwrap(), Some(1.0));

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
    root_test!();
    let (site, ironic, daemon) = with_agent(fast(), &[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    site.change(FIRST, SECOND);
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    let old_token = ironic.token().unwrap();
    ironic.power_cycle();
    wait_metric(&daemon, ACCEPTED, 2.0, LATER);
    assert_eq!(
        daemon.metric(r#"heartbeats_total{result="token_refused",sender="sidecar"}"#).unwrap(),
        Some(1.0)
    );
    assert_ne!(ironic.token().unwrap(), old_token);
    assert_eq!(ironic.agent_url().as_deref(), Some(SECOND_URL));
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));
    assert_eq!(ready(&daemon).0, 200);
    assert_eq!(daemon.state().unwrap()["pinned_url"], SECOND_URL);
}

#[test]
fn without_the_token_nothing_is_sent_and_the_log_names_what_to_do() {
    root_test!();
    let (site, ironic, mut daemon) = with_agent(pregenerated(), &[WITHOUT_LISTENER]);
    wait_phase(&daemon, "without_token");
    assert_unready(&daemon, &["through Ironic", "--ironic.agent-token-file"]);
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
fn a_bad_url_that_ironic_holds_is_reported_and_counted() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let bad = "http://172.25.134.128%20uid%200:9999";
    site.pin(&ironic, bad);
    let directory = Directory::new("bad-url");
    let flag = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let daemon = site.agent(&[WITHOUT_LISTENER, &flag]);
    wait_metric(&daemon, REFUSED, 1.0, SOON);
    wait_metric(&daemon, "agent_url_stale", 1.0, SOON);
    let reason = r#"bad_agent_url_reasons_total{reason="percent_encoded_host"}"#;
    assert_eq!(daemon.metric(reason).unwrap(), Some(1.0));
    assert!(daemon.metric(r#"bad_agent_url_total{action="none",source="ironic"}"#).unwrap() >= Some(1.0));
    let state = daemon.state().unwrap();
    assert_eq!(state["bad_agent_urls"][0]["url"], bad);
    assert_eq!(state["bad_agent_urls"][0]["reasons"], json!(["percent_encoded_host"]));
    assert_eq!(state["pinned_url"], bad);
    assert_eq!(beat_urls(&ironic), [bad, FIRST_URL]);
    assert_eq!(ready(&daemon).0, 503);
}

#[test]
fn a_lost_carrier_does_not_change_a_pinned_url() {
    root_test!();
    let (site, ironic, daemon) = with_agent(node_with_mac(), &[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    daemon.wait_state("the pin", SOON, |state| state["origin"] == "pinned").unwrap();
    site.carrier(false);
    wait_metric(&daemon, "advertise_address_valid", 0.0, SOON);
    let state = daemon.state().unwrap();
    assert_eq!(state["callback_url"], FIRST_URL);
    assert_eq!(state["valid"], false);
    assert_eq!(state["reason"], "no_carrier");
    site.carrier(true);
    wait_metric(&daemon, "advertise_address_valid", 1.0, SOON);
    assert_eq!(daemon.state().unwrap()["callback_url"], FIRST_URL);
    assert_eq!(daemon.metric("advertise_address_changes_total").unwrap(), Some(1.0));
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn a_202_is_read_back_until_ironic_has_recorded_it() {
    root_test!();
    let (site, ironic, daemon) = with_agent(fast(), &[]);
    wait_phase(&daemon, "awaiting_listener");
    ironic.set_wrong_state(true);
    let _agent = site.listen("0.0.0.0:9999");
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    let not_found = r#"lookup_attempts_total{result="not_found",sender="sidecar"}"#;
    wait_metric(&daemon, not_found, 1.0, SOON);
    assert_eq!(ironic.recorded_heartbeats(), 0);
    assert_eq!(metric(&daemon, READ_BACK), 0.0);
    ironic.set_wrong_state(false);
    wait_metric(&daemon, READ_BACK, 1.0, LATER);
    assert_eq!(ironic.recorded_heartbeats(), 1);
}

/// What Ironic was reached from stays, although the route has another source by now.
#[test]
fn a_better_route_moves_nothing_from_what_ironic_answered() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Heartbeat, Fault::Late(Duration::from_secs(2)));
    let daemon = site.agent(&[WITHOUT_LISTENER, "--ironic.request-timeout=1"]);
    wait_metric(&daemon, r#"heartbeats_total{result="timeout",sender="sidecar"}"#, 1.0, SOON);
    site.add(SECOND);
    site.prefer(SECOND);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, FIRST_URL]);
}

#[test]
fn a_heartbeat_whose_answer_was_lost_is_still_a_pin() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Heartbeat, Fault::Late(Duration::from_secs(2)));
    let daemon = site.agent(&[WITHOUT_LISTENER, "--ironic.request-timeout=1"]);
    wait_metric(&daemon, r#"heartbeats_total{result="timeout",sender="sidecar"}"#, 1.0, SOON);
    // Ironic has the first address now, and we do not know; it is lost, and comes back once Ironic has refused another.
    site.change(FIRST, SECOND);
    wait_metric(&daemon, REFUSED, 1.0, LATER);
    site.add(FIRST);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, SECOND_URL, FIRST_URL]);
    assert_eq!(daemon.state().unwrap()["pinned_url"], FIRST_URL);
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));
    let stale = r#"bad_agent_url_reasons_total{reason="pinned_stale"}"#;
    assert_eq!(daemon.metric(stale).unwrap(), Some(0.0), "it was never stale");
}

/// The kernel chooses a next hop for each connection, and with it a source: what Ironic answered first stays, and another
/// source is no contradiction.
#[test]
fn a_route_with_several_next_hops_contradicts_nothing() {
    root_test!();
    let site = Site::new();
    site.node.join("eth1", &site.conductor, "ironic1").unwrap();
    site.node.sysctl("net/ipv4/fib_multipath_hash_policy", "1").unwrap();
    for device in ["all", "ironic", "ironic1"] {
        site.conductor.sysctl(&format!("net/ipv4/conf/{device}/rp_filter"), "0").unwrap();
    }
    // Nearly every connection leaves by the first one, and later by the second.
    let route = |first, second| {
        let route = format!(
            "route replace 203.0.113.0/24 nexthop via 10.77.0.1 dev {DEVICE} weight {first} \
             nexthop via 10.78.0.1 dev eth1 weight {second}"
        );
        site.node.ip(&route).unwrap();
    };
    site.node.ip("addr add 10.78.0.5/24 dev eth1").unwrap();
    site.conductor.ip_lines("addr add 10.78.0.1/24 dev ironic1\naddr add 203.0.113.1/32 dev lo").unwrap();
    route(255, 1);
    let ironic = StandIn::start(site.listener("203.0.113.1:6385"), node_with_mac()).unwrap();
    let refused = Fault::Error(400, "Agent token is required for heartbeat processing.".to_owned());
    ironic.push_fault(Path::Heartbeat, refused);
    let daemon = site.daemon(&["--mode=agent", "--ironic.api-url=http://203.0.113.1:6385", WITHOUT_LISTENER]);
    wait_metric(&daemon, r#"heartbeats_total{result="token_refused",sender="sidecar"}"#, 1.0, SOON);
    ironic.power_cycle();
    route(1, 255);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL, FIRST_URL]);
    let counted: Value =
        serde_json::from_str(&site.conductor.ip("-s -j link show dev ironic1").unwrap()).unwrap();
    assert!(
        counted[0]["stats64"]["rx"]["bytes"].as_u64() > Some(1000),
        "nothing came by the other one: {counted}"
    );
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    assert_eq!(metric(&daemon, r#"agent_url_warnings_total{warning="route_mismatch"}"#), 0.0);
}

#[test]
fn the_operators_host_is_sent_as_it_is_and_a_name_without_address_is_reported() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let host = "--advertise.host=198.51.100.7"; // Translated on the way to us, say.
    let _agent = site.listen("10.77.0.5:9999");
    let mut daemon = site.daemon(&["--mode=agent", "--ironic.api-url=http://nowhere.invalid:6385", host]);
    let says_so = |state: &Value| {
        let failure = state["agent"]["last_failure"].as_str().unwrap_or_default();
        failure.contains("nowhere.invalid")
    };
    daemon.wait_state("a failure that names the host", LATER, says_so).unwrap();
    assert_eq!(ready(&daemon).0, 503);
    assert_ends(&mut daemon, "without an address of the API");
    let daemon = site.agent(&[host]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), ["http://198.51.100.7:9999"]);
    assert_eq!(daemon.state().unwrap()["origin"], "operator");
}
