//! Mode agent where things go wrong around it: an API that fails, another agent, flapping addresses, its own end.

use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Fault, Path};

use crate::with_agent;

#[test]
fn the_next_api_url_is_used_where_the_first_refuses() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let urls = "--ironic.api-url=http://10.77.0.1:1,http://10.77.0.1:6385";
    let daemon = site.daemon(&["--mode=agent", urls, WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn a_lookup_that_finds_no_node_names_what_it_asked_for() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Lookup, Fault::Error(404, "Resource could not be found.".to_owned()));
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    daemon.wait_log(&format!("(asked for MAC {MAC}"), SOON).unwrap();
}

#[test]
fn lookups_recover_from_every_fault() {
    root_test!();
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
    assert_unready(&daemon, &["try later"]);
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
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.push_fault(Path::Heartbeat, Fault::Error(409, "Node x is locked by host y".to_owned()));
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
fn a_refused_heartbeat_is_reported_once_and_it_is_not_ready() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    ironic.set_fault(Path::Heartbeat, Some(Fault::Error(301, "moved".to_owned())));
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_beats(&daemon, &ironic, 2, LATER);
    wait_metric(&daemon, r#"heartbeats_total{result="client_error",sender="sidecar"}"#, 2.0, SOON);
    assert_unready(&daemon, &["heartbeat: ", "301"]);
    assert_names(daemon.state().unwrap()["agent"]["last_failure"].as_str().unwrap(), &["301"]);
    assert_eq!(daemon.log().matches("WARN ipa_sidecar::agent::heartbeat: heartbeat failed").count(), 1);
    ironic.set_fault(Path::Heartbeat, None);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(ready(&daemon).0, 200);
}

#[test]
fn sigterm_ends_it_soon_in_every_state() {
    root_test!();
    let site = Site::bare();
    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_address");
    assert_ends(&mut daemon, "awaiting an address");

    site.add(FIRST);
    let ironic = site.ironic(fast());
    ironic.set_fault(Path::Any, Some(Fault::Silent));
    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "looking_up");
    wait_request(&daemon, &ironic);
    assert_ends(&mut daemon, "looking up at a silent API");
    ironic.set_fault(Path::Any, None);

    let mut daemon = site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    assert_ends(&mut daemon, "awaiting a listener");

    ironic.power_cycle();
    let mut daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    site.change(FIRST, SECOND);
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
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let directory = Directory::new("silent");
    let config_dir = directory.config_dir();
    for mode in ["--mode=observe", "--mode=configure"] {
        let daemon = site.daemon(&[mode, API_FLAG, &config_dir]);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        wait_until(&daemon, "ready", SOON, || ready(&daemon).0 == 200);
        site.change(FIRST, SECOND);
        daemon.wait_address(Some(SECOND), SOON).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        site.change(SECOND, FIRST);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        assert_eq!(ironic.connections(), 0, "{mode}");
    }
}

#[test]
fn a_flapping_address_makes_few_heartbeats() {
    root_test!();
    let (site, ironic, daemon) = with_agent(node_with_mac(), &[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    let begun = Instant::now();
    let mut now = (FIRST, SECOND);
    while begun.elapsed() < Duration::from_secs(12) {
        site.change(now.0, now.1);
        daemon.wait_address(Some(now.1), SOON).unwrap();
        now = (now.1, now.0);
        std::thread::sleep(Duration::from_millis(200));
    }
    let sent = beats(&ironic).len();
    assert!((2..=4).contains(&sent), "{sent} heartbeats in 12 s");
}

#[test]
fn what_ipas_files_say_never_ends_it() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let directory = Directory::new("foreign");
    directory.flag("", "10.conf", "[DEFAULT]\ncafile = /nonexistent/ca.pem\n");
    let config_dir = directory.config_dir();
    let https = "--ironic.api-url=https://10.77.0.1:6385"; // Else no file is read.
    let daemon = site.daemon(&["--mode=agent", https, &config_dir]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_unready(&daemon, &["/nonexistent/ca.pem"]);
    assert_eq!(daemon.state().unwrap()["acting_mode"], "observe");
    drop(daemon);
    let mut daemon = site.daemon(&["--mode=agent", https, "--ironic.cafile=/nonexistent/ca.pem"]);
    assert_refuses(&mut daemon, 69, &["/nonexistent/ca.pem"]); // Our own flag does.
    assert_eq!(ironic.connections(), 0);
}
