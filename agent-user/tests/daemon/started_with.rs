//! Modes that write the drop-in: with which address IPA has started is known, and outlives the daemon.

use std::path::Path;

use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// What is kept, as it lies on disk.
fn kept(site: &Site) -> Value {
    let file = site.node.runtime_directory().unwrap().join("kept.json");
    std::fs::read(file).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap())
}

fn configure(site: &Site, directory: &Path) -> Daemon {
    let daemon = site.configure(directory);
    wait_drop_in(&daemon, FIRST, SOON);
    std::thread::sleep(MORE_THAN_A_TICK);
    daemon
}

fn ipa_that_reads(site: &Site, directory: &Directory) -> IpaProcess {
    IpaProcess::with(&site.node, &["--config-dir", directory.path().to_str().unwrap()], &[])
}

/// Waits until it is known with which address this IPA has started.
fn wait_known(daemon: &Daemon, site: &Site, ipa: &IpaProcess) {
    let is_so = || {
        let known = &kept(site)["started_with"];
        known["address"] == FIRST && known["ipa"]["pid"] == ipa.pid()
    };
    wait_until(daemon, "what IPA has started with", LATER, is_so);
}

#[test]
fn it_is_known_once_ipas_lookup_has_passed_and_survives_a_restart() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("started");
    let daemon = configure(&site, directory.path());
    let ipa = ipa_that_reads(&site, &directory);
    let has_process = |state: &Value| state["ipa"]["process"]["pid"] == ipa.pid();
    daemon.wait_state("IPA's process", LATER, has_process).unwrap();
    assert_eq!(kept(&site)["started_with"], Value::Null, "it may be inside its lookup");
    let answers = FakeIpa::start(&site.node, "[::]:9999");
    wait_known(&daemon, &site, &ipa);
    assert_eq!(kept(&site)["token_spent"]["pid"], ipa.pid());

    // A better route is no reason to move away from it.
    site.add(SECOND);
    site.prefer(SECOND);
    let prefers = |state: &Value| state["api_urls"][0]["resolved"][0]["source"] == SECOND;
    let state = daemon.wait_state("the new route", SOON, prefers).unwrap();
    assert_eq!((&state["address"], &state["origin"]), (&json!(FIRST), &json!("committed")));
    drop(daemon); // SIGKILL

    // It does not answer while we start: what was known stays.
    drop(answers);
    let daemon = configure(&site, directory.path());
    daemon.wait_state("a look at IPA", LATER, |state| state["ipa"]["process"]["pid"] == ipa.pid()).unwrap();
    wait_known(&daemon, &site, &ipa);
    assert!(!daemon.log().contains("IPA runs with this address"), "it was known: {}", daemon.log());
    assert_eq!(daemon.metric(r#"dropin_writes_total{result="ok"}"#).unwrap(), Some(0.0));

    // Another process is another IPA, which has not answered yet.
    drop(ipa);
    let ipa = ipa_that_reads(&site, &directory);
    wait_drop_in(&daemon, SECOND, LATER);
    assert_eq!(daemon.state().unwrap()["origin"], "route");
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    let token_spent = || kept(&site)["token_spent"]["pid"] == ipa.pid();
    wait_until(&daemon, "the new one answers", LATER, token_spent);
    assert_eq!(kept(&site)["started_with"], Value::Null, "the drop-in changed after it began");
    assert_eq!(daemon.state().unwrap()["address"], SECOND);
}

#[test]
fn an_ipa_that_began_before_the_write_is_not_known() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("before");
    let ipa = ipa_that_reads(&site, &directory);
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    std::thread::sleep(MORE_THAN_A_TICK);
    let daemon = configure(&site, directory.path());
    let token_spent = || kept(&site)["token_spent"]["pid"] == ipa.pid();
    wait_until(&daemon, "it answers", LATER, token_spent);
    assert_eq!(kept(&site)["started_with"], Value::Null);
    // A drop-in that lay there already, and of which nobody knows since when.
    drop(daemon);
    std::fs::remove_file(site.node.runtime_directory().unwrap().join("kept.json")).unwrap();
    let daemon = configure(&site, directory.path());
    wait_until(&daemon, "it answers", LATER, token_spent);
    assert_eq!(kept(&site)["started_with"], Value::Null);
    assert_eq!(kept(&site)["dropin"], json!(null));
}
