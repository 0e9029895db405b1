//! Mode agent beside an ironic-python-agent: it acts as observe, since its own lookup would take the token. Promise 5.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::StandIn;

use crate::with_agent;

const LOOKUP: &str = "/v1/lookup";

/// Demands that it acts as observe for this reason, and that Ironic has heard nothing of it.
#[track_caller]
fn assert_observes(daemon: &Daemon, ironic: &StandIn, why: &str) {
    wait_phase(daemon, "beside_ipa");
    let state = daemon.state().unwrap();
    assert_eq!((&state["mode"], &state["acting_mode"]), (&json!("agent"), &json!("observe")));
    assert_names(state["agent"]["beside"].as_str().unwrap(), &[why, "--agent.beside-ipa"]);
    assert_unready(daemon, &["mode agent acts as observe", why]);
    assert_eq!(metric(daemon, r#"mode_info{mode="observe"}"#), 1.0);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(ironic.connections(), 0);
}

#[test]
fn an_ipa_inside_its_lookup_keeps_its_token() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let ipa = IpaProcess::start(&site.node);
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    assert_observes(&daemon, &ironic, &format!("process {}", ipa.pid()));
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_eq!(daemon.log().matches("acting as observe: ").count(), 1, "{}", daemon.log());
    drop(ipa);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(ready(&daemon).0, 200);
    let state = daemon.state().unwrap();
    assert_eq!((&state["acting_mode"], &state["agent"]["beside"]), (&json!("agent"), &Value::Null));
    assert_eq!(metric(&daemon, r#"mode_info{mode="agent"}"#), 1.0);
}

#[test]
fn an_ipa_that_begins_while_there_is_no_address_is_seen_before_the_lookup() {
    root_test!();
    let site = Site::bare();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_phase(&daemon, "awaiting_address");
    let _ipa = IpaProcess::start(&site.node);
    site.add(FIRST);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    wait_phase(&daemon, "beside_ipa");
    std::thread::sleep(Duration::from_secs(2));
    assert!(seen(&ironic, LOOKUP).is_empty());
}

#[test]
fn a_handed_out_token_alone_is_no_leave_to_work_beside_it() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let _ipa = IpaProcess::start(&site.node);
    let directory = Directory::new("beside");
    let token = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let daemon = site.agent(&[WITHOUT_LISTENER, &token]);
    assert_observes(&daemon, &ironic, "ironic-python-agent runs");
    drop(daemon);
    // Nor is the flag alone: the lookup would take the token.
    let daemon = site.agent(&[WITHOUT_LISTENER, "--agent.beside-ipa"]);
    assert_observes(&daemon, &ironic, "ironic-python-agent runs");
    drop(daemon);
    let daemon = site.agent(&[WITHOUT_LISTENER, "--agent.beside-ipa", &token]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn an_ipa_that_answers_where_it_listens_is_seen() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    for (listens, cmdline) in [
        ("[::]:9999", ""),
        // As behind a translation.
        ("[::]:9998", "ipa-listen-port=9998 ipa-advertise-port=9999"),
        // Not on loopback.
        ("10.77.0.5:9997", "ipa-listen-host=10.77.0.5 ipa-listen-port=9997"),
    ] {
        let ipa = FakeIpa::start(&site.node, listens);
        let directory = Directory::new("ports");
        directory.write("cmdline", cmdline);
        let flags = ["--mode=agent", API_FLAG, WITHOUT_LISTENER];
        let daemon = site.daemon_with(&directory.file("cmdline"), &[], &flags);
        let port = listens.rsplit(':').next().unwrap();
        assert_observes(&daemon, &ironic, &format!("answers on port {port}"));
        wait_metric(&daemon, "ipa_up", 1.0, SOON);
        let answer = json!({"up": true, "version": "13.0.0", "process": null});
        assert_eq!(daemon.state().unwrap()["ipa"], answer);
        drop((ipa, daemon));
    }
}

#[test]
fn an_ipa_of_another_network_namespace_is_not_this_nodes() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let _ipa = IpaProcess::start(&site.conductor);
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
}

#[test]
fn a_unit_that_is_going_to_start_ipa_counts_until_it_is_masked() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let unit = "/etc/systemd/system/ironic-python-agent.service";
    let script = format!(
        "mount -t tmpfs tmpfs /etc; mkdir -p /etc/systemd/system; \
         printf '[Service]\\nExecStart=/bin/true\\n' > {unit}; exec \"$@\""
    );
    let daemon = site.daemon_after(&script, &["--mode=agent", API_FLAG, WITHOUT_LISTENER]);
    assert_observes(&daemon, &ironic, "ironic-python-agent.service is installed");
    let inside = format!("/proc/{}/root{unit}", daemon.pid());
    std::fs::remove_file(&inside).unwrap();
    std::os::unix::fs::symlink("/dev/null", &inside).unwrap();
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
}

#[test]
fn what_is_not_ipas_changes_nothing() {
    root_test!();
    let (site, ironic, daemon) = with_agent(node_with_mac(), &[]);
    wait_phase(&daemon, "awaiting_listener");
    // An agent of another kind: it listens, and has no `/v1/status`.
    let _agent = site.listen("[::]:9999");
    wait_metric(&daemon, READ_BACK, 1.0, SOON);
    assert_eq!(seen(&ironic, LOOKUP).len(), 2, "the lookup, and what was recorded is read back");
}
