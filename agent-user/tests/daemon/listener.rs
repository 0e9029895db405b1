//! Mode agent: what has to be true of what listens on the advertised port, and Ironic's `require_tls`.

use std::time::Duration;

use serde_json::json;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, StandIn};

const API6: &str = "--ironic.api-url=http://[fd77::1]:6385";
const TLS_REQUIRED: &str = r#"heartbeats_total{result="tls_required",sender="sidecar"}"#;

#[test]
fn an_ipv6_url_waits_for_a_listener_of_its_family() {
    root_test!();
    let site = Site::new();
    site.node.ip(&format!("addr add fd77::5/64 dev {DEVICE} nodad")).unwrap();
    site.conductor.ip("addr add fd77::1/64 dev ironic nodad").unwrap();
    let ironic = StandIn::start(site.listener("[fd77::1]:6385"), node_with_mac()).unwrap();
    let four_only = site.listen("0.0.0.0:9999");
    let daemon = site.daemon(&["--mode=agent", API6]);
    wait_phase(&daemon, "awaiting_listener");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(beats(&ironic).len(), 0);
    assert_unready(&daemon, &["listens"]);
    drop(daemon);
    ironic.power_cycle();
    // The operator's address too: it may be translated, and keeps its family.
    let daemon = site.daemon(&["--mode=agent", API6, "--advertise.host=fd99::5"]);
    wait_phase(&daemon, "awaiting_listener");
    drop((daemon, four_only));
    ironic.power_cycle();
    let daemon = site.daemon(&["--mode=agent", API6]);
    wait_phase(&daemon, "awaiting_listener");
    let _listener = site.listen("[fd77::5]:9999");
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), ["http://[fd77::5]:9999"]);
}

#[test]
fn where_tls_is_required_it_says_so_once_and_waits() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(Behaviour { require_tls: true, heartbeat_timeout: 60, ..node_with_mac() });
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, TLS_REQUIRED, 1.0, SOON);
    assert_unready(&daemon, &["TLS is required", "--advertise.protocol=https", "--agent.verify-ca"]);
    let failure = daemon.state().unwrap()["agent"]["last_failure"].as_str().unwrap().to_owned();
    assert_names(&failure, &["--agent.verify-ca"]);
    // Longer than the pause of a retry, and shorter than that of an interval, which begins at 18 s.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(beats(&ironic).len(), 1);
    wait_metric(&daemon, TLS_REQUIRED, 2.0, LATER);
    assert_eq!(
        daemon.log().matches("WARN ipa_sidecar::agent::heartbeat: heartbeat failed").count(),
        1,
        "{}",
        daemon.log()
    );
}

#[test]
fn with_https_the_certificate_goes_to_ironic_and_a_private_key_does_not() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(Behaviour { require_tls: true, ..node_with_mac() });
    let directory = Directory::new("verify-ca");
    let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n";
    let flag = directory.flag("--agent.verify-ca", "agent.pem", &format!("{certificate}{key}"));
    let daemon = site.agent(&[WITHOUT_LISTENER, "--advertise.protocol=https", &flag]);
    let says_so = |state: &serde_json::Value| {
        state["agent"]["last_failure"].as_str().unwrap_or_default().contains("private key")
    };
    daemon.wait_state("the key is refused", SOON, says_so).unwrap();
    assert_eq!(beats(&ironic).len(), 0);
    directory.replace("agent.pem", certificate);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    let beat = beats(&ironic).remove(0).json();
    assert_eq!(beat["callback_url"], "https://10.77.0.5:9999");
    assert_eq!(beat["agent_verify_ca"], json!(certificate));
    assert_eq!(ready(&daemon).0, 200);
}
