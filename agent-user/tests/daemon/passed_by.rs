//! Mode configure: an IPA that the drop-in does not reach, by the way it was started; and those that it does reach.

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

use crate::started_with::MORE_THAN_A_TICK;

/// Mode configure, its drop-in on disk. Without probes and sight it keeps its privileges: it may read the environment of
/// others.
fn configure(site: &Site, directory: &Directory) -> Daemon {
    let flags = ["--mode=configure", API_FLAG, &directory.config_dir(), "--probe.connect=off"];
    let daemon = site.daemon_under(&["setpriv", "--bounding-set", "-net_raw", "--"], &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    std::thread::sleep(MORE_THAN_A_TICK);
    daemon
}

fn why(why: &str) -> String {
    format!("passed_by_info{{why=\"{why}\"}}")
}

/// Waits until the cause is this, and demands that page, metric, state, readiness and log say so.
fn assert_passed_by(daemon: &Daemon, cause: &str, names: &[&str]) {
    let is_so = |state: &serde_json::Value| state["passed_by"]["why"] == cause;
    let state = daemon.wait_state(cause, LATER, is_so).unwrap();
    assert_eq!(state["ready"], false);
    assert_unready(daemon, names);
    assert_names(daemon.get("/").unwrap().text(), &["<strong>Passed by:</strong>"]);
    for one in ["nothing_seen", "other_url", "not_read", "overridden", "proxy"] {
        assert_eq!(daemon.metric(&why(one)).unwrap(), Some(f64::from(u8::from(one == cause))), "{one}");
    }
    assert_eq!(daemon.log().matches(&format!("why=\"{cause}\"")).count(), 1, "{}", daemon.log());
}

/// Waits until this process is judged, and demands that it is in order.
fn assert_reached(daemon: &Daemon, ipa: &IpaProcess) {
    let is_so = |state: &serde_json::Value| {
        state["ipa"]["process"]["pid"] == ipa.pid() && state["passed_by"].is_null()
    };
    daemon.wait_state("it is not passed by", LATER, is_so).unwrap();
    let (status, text) = ready(daemon);
    assert_eq!(status, 200, "{text}");
}

#[test]
fn an_ipa_that_was_started_without_the_directory_does_not_read_the_drop_in() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("passed");
    let place = directory.path().to_str().unwrap();
    let daemon = configure(&site, &directory);
    assert_eq!(daemon.metric(&why("not_read")).unwrap(), Some(0.0), "the alert compares it");
    let answers = FakeIpa::start(&site.node, "[::]:9999");
    let ipa = IpaProcess::start(&site.node);
    let read = "/etc/ironic-python-agent.conf.d"; // What oslo.config reads by itself.
    assert_passed_by(&daemon, "not_read", &["does not read", place, read, "--ipa.config-dir"]);
    drop((answers, ipa));
    let ipa = IpaProcess::with(&site.node, &["--debug", "--config-dir", place], &[]);
    assert_reached(&daemon, &ipa);
    daemon.wait_log("no longer passes us by", SOON).unwrap();
    assert_eq!(daemon.metric(&why("not_read")).unwrap(), Some(0.0));
}

#[test]
fn a_host_in_the_environment_or_the_arguments_goes_before_the_drop_in() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("overridden");
    let place = directory.path().to_str().unwrap();
    let read = ["--config-dir", place];
    let variable = |host| [("OS_DEFAULT__ADVERTISE_HOST", host)];
    let daemon = configure(&site, &directory);
    let ipa = IpaProcess::with(&site.node, &read, &variable(FIRST));
    assert_reached(&daemon, &ipa);
    drop(ipa);
    let _ipa = IpaProcess::with(&site.node, &read, &variable("192.0.2.99"));
    assert_passed_by(&daemon, "overridden", &["OS_DEFAULT__ADVERTISE_HOST", "192.0.2.99"]);
    drop((daemon, _ipa));
    let daemon = configure(&site, &directory);
    let _ipa = IpaProcess::with(&site.node, &[&read[..], &["--advertise-host=None"]].concat(), &[]);
    assert_passed_by(&daemon, "overridden", &["--advertise-host", "None"]);
}

#[test]
fn an_ipa_from_before_the_daemon_is_not_passed_by() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("before");
    let place = directory.path().to_str().unwrap();
    let _answers = FakeIpa::start(&site.node, "[::]:9999");
    let ipa = IpaProcess::with(&site.node, &["--config-dir", place], &[]);
    for _ in 0..2 {
        let daemon = configure(&site, &directory);
        assert_reached(&daemon, &ipa);
        assert!(!daemon.log().contains("passes us by"), "{}", daemon.log());
    }
    let observer = site.daemon(&[API_FLAG]);
    assert_reached(&observer, &ipa);
}

/// The operator's host, which IPA reads in the same place.
#[test]
fn the_operators_host_on_the_kernel_command_line_needs_no_drop_in() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("operator");
    let cmdline = directory.flag("--cmdline.path", "cmdline", "ipa-advertise-host=node.example");
    let flags = ["--mode=configure", API_FLAG, &directory.config_dir(), &cmdline, "--probe.connect=off"];
    let daemon = site.daemon(&flags);
    wait_drop_in(&daemon, "node.example", SOON);
    let ipa = IpaProcess::start(&site.node);
    assert_reached(&daemon, &ipa);
}
