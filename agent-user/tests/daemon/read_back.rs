//! Mode configure: what Ironic holds is read back once IPA has its token, and never before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::StandIn;

/// IPA is asked every 10 s, and is given 20 s for its first heartbeat.
const ONCE_IPA_ANSWERS: Duration = Duration::from_secs(60);

fn lookups(ironic: &StandIn) -> usize {
    seen(ironic, "/v1/lookup").len()
}

fn wait_read_back(daemon: &Daemon) -> Value {
    let is_done = |state: &Value| state["read_back"]["state"] == "done";
    daemon.wait_state("the read-back", ONCE_IPA_ANSWERS, is_done).unwrap()
}

fn configure(site: &Site, directory: &Path) -> Daemon {
    let daemon = site.configure(directory);
    wait_drop_in(&daemon, FIRST, LATER);
    daemon
}

#[test]
fn what_ironic_holds_is_read_back_once_ipa_answers() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    site.pin(&ironic, FIRST_URL);
    let connections = ironic.connections();
    let directory = Directory::new("read-back");
    // It began before the daemon: nobody knows what it has read.
    let ipa = IpaProcess::start(&site.node);
    let daemon = configure(&site, directory.path());
    let has_process = |state: &Value| state["ipa"]["process"]["pid"] == ipa.pid();
    daemon.wait_state("IPA's process", LATER, has_process).unwrap();
    assert_eq!(daemon.state().unwrap()["read_back"]["state"], "waiting");
    assert_eq!(ironic.connections(), connections, "it may be inside its lookup");

    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    let state = wait_read_back(&daemon);
    assert_eq!(state["read_back"]["node_uuid"], NODE);
    assert_eq!(state["read_back"]["agent_url"], FIRST_URL);
    assert_eq!(state["read_back"]["token_handed_out"], false);
    assert_eq!(state["pinned_url"], FIRST_URL);
    assert_eq!(metric(&daemon, READ_BACK), 1.0);
    assert_eq!(metric(&daemon, "heartbeat_interval_seconds"), 300.0);
    let lookup = seen(&ironic, "/v1/lookup").remove(0);
    assert_eq!(lookup.header("x-openstack-ironic-api-version"), Some("1.62"));
    daemon.wait_log("IPA runs with this address", SOON).unwrap();

    // What was read back of this IPA outlives the daemon.
    drop(daemon);
    let daemon = configure(&site, directory.path());
    let state = wait_read_back(&daemon);
    assert_eq!((&state["pinned_url"], &state["origin"]), (&FIRST_URL.into(), &"pinned".into()));
    assert_eq!(lookups(&ironic), 1, "no need to ask again");
}

#[test]
fn a_token_that_ironic_hands_out_goes_into_the_drop_in() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let directory = Directory::new("handed-out");
    let daemon = configure(&site, directory.path());
    let _ipa = IpaProcess::start(&site.node);
    // Ironic has no token of this node: it was wiped since IPA's lookup.
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    let state = wait_read_back(&daemon);
    assert_eq!(state["read_back"]["token_handed_out"], true);
    let token = ironic.token().unwrap();
    let drop_in = directory.file(DROP_IN);
    let content = || fs::read_to_string(&drop_in).unwrap_or_default();
    let line = format!("advertise_host = {FIRST}\nagent_token = {token}\n");
    wait_until(&daemon, "the token in the drop-in", SOON, || content().ends_with(&line));
    assert_eq!(fs::metadata(&drop_in).unwrap().mode() & 0o777, 0o600);
    daemon.wait_log("gave a new one to the daemon's lookup", SOON).unwrap();

    // It stays where the address goes, and where the daemon is killed.
    site.remove(FIRST);
    let alone = format!("[DEFAULT]\nagent_token = {token}\n");
    wait_until(&daemon, "no address", SOON, || content().ends_with(&alone));
    assert_eq!(daemon.state().unwrap()["dropin"]["state"], "absent");
    let shown = [daemon.log(), daemon.state().unwrap().to_string(), daemon.get("/metrics").unwrap().text()];
    drop(daemon);
    site.add(FIRST);
    let daemon = configure(&site, directory.path());
    assert!(content().ends_with(&line), "{}", content().replace(&token, "TOKEN"));
    for text in shown.iter().chain([&daemon.log(), &daemon.get("/").unwrap().text()]) {
        assert!(!text.contains(&token) && !text.contains("agent_token ="));
    }
    let kept = fs::read_to_string(site.node.runtime_directory().unwrap().join("kept.json")).unwrap();
    assert!(!kept.contains(&token));
}

#[test]
fn a_read_back_that_fails_is_tried_again_and_stops_nothing() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("read-back-fails");
    let daemon = configure(&site, directory.path());
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    let failed = |state: &Value| state["read_back"]["state"] == "failed";
    let state = daemon.wait_state("a failure", ONCE_IPA_ANSWERS, failed).unwrap();
    assert_names(state["read_back"]["last_failure"].as_str().unwrap(), &["refused"]);
    assert_eq!(ready(&daemon).0, 200, "the drop-in is on disk");
    site.change(FIRST, SECOND);
    wait_drop_in(&daemon, SECOND, LATER);
    let ironic = site.ironic(pregenerated());
    let state = wait_read_back(&daemon);
    assert_eq!(state["read_back"]["agent_url"], Value::Null);
    assert_eq!(state["read_back"]["last_failure"], Value::Null);
    assert_eq!(lookups(&ironic), 1);
}

/// The guard sees the heartbeats: Ironic is asked once it has recorded one.
#[test]
fn behind_the_guard_it_comes_after_an_accepted_heartbeat() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(pregenerated());
    let daemon = site.guard(&[]);
    wait_drop_in(&daemon, FIRST, LATER);
    if daemon.state().unwrap()["acting_mode"] != "guard" {
        return; // This kernel allows no redirect.
    }
    // After the start: the daemon waits for its first look at one that is there already.
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    wait_redirect(&daemon);
    assert_eq!(site.heartbeat(FIRST_URL, TOKEN).status, 202);
    let state = wait_read_back(&daemon);
    assert_eq!(state["read_back"]["agent_url"], FIRST_URL);
    daemon.wait_log("Ironic holds this callback URL", SOON).unwrap();
    assert_eq!(site.heartbeat(FIRST_URL, TOKEN).status, 202);
    assert_eq!(site.heartbeat(FIRST_URL, "a-token-that-ironic-has-never-made").status, 400);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(lookups(&ironic), 1, "once an hour, and never after a refused token");
}
