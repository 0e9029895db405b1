//! Mode configure: an IPA that the drop-in does not reach, by the way it was started; and those that it does reach.

use std::path::Path;
use std::time::Duration;

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// Where the agent finds Ironic.
const API_URL: &str = "http://10.77.0.1:6385";

/// Mode configure, its drop-in on disk. Without probes and sight it keeps its privileges: it may read the environment of
/// others.
fn configure(site: &Site, directory: &Directory) -> Daemon {
    let flags = ["--mode=configure", API_FLAG, &directory.config_dir(), "--probe.connect=off"];
    let daemon = site.daemon_under(&["setpriv", "--bounding-set", "-net_raw", "--"], &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    std::thread::sleep(MORE_THAN_A_TICK);
    daemon
}

/// Mode configure with sight, and what it needs of `/etc`.
fn seeing(site: &Site, etc: &Directory) -> Daemon {
    let mut command = with_etc(&site.node, etc.path());
    let directory = site.directory.config_dir();
    command.args(Daemon::words(&["--mode=configure", API_FLAG, &directory]));
    let daemon = Daemon::from_command(command, &site.node).unwrap();
    wait_drop_in(&daemon, FIRST, SOON);
    std::thread::sleep(MORE_THAN_A_TICK);
    daemon
}

/// An agent that is given the directory of the drop-in.
fn agent(site: &Site, variables: &[(&str, &str)]) -> AgentProcess {
    let directory = site.directory.path().to_str().unwrap();
    AgentProcess::start(&site.node, API_URL, &["--config-dir", directory], variables)
}

fn why(why: &str) -> String {
    format!("passed_by_info{{why=\"{why}\"}}")
}

/// Waits until the cause is this, and demands that page, `status`, metric, state, readiness and log say so.
fn assert_passed_by(site: &Site, daemon: &Daemon, cause: &str, names: &[&str]) {
    let is_so = |state: &serde_json::Value| state["passed_by"]["why"] == cause;
    let state = daemon.wait_state(cause, LATER, is_so).unwrap();
    assert_eq!(state["ready"], false);
    assert_unready(daemon, names);
    assert_names(daemon.get("/").unwrap().text(), &["<strong>Bypassed:</strong>"]);
    let (code, status) = site.status();
    assert_eq!(code, Some(1), "{status}");
    assert_names(status, &[&["! Bypassed:"], names].concat());
    for one in ["nothing_seen", "other_url", "not_read", "overridden", "proxy"] {
        assert_eq!(daemon.metric(&why(one)).unwrap(), Some(f64::from(u8::from(one == cause))), "{one}");
    }
    assert_eq!(daemon.log().matches(&format!("why=\"{cause}\"")).count(), 1, "{}", daemon.log());
}

/// Waits until this process is judged, and demands that it is in order.
fn assert_reached(daemon: &Daemon, pid: u32) {
    let is_so =
        |state: &serde_json::Value| state["ipa"]["process"]["pid"] == pid && state["passed_by"].is_null();
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
    assert_passed_by(&site, &daemon, "not_read", &["does not read", place, read, "--ipa.config-dir"]);
    drop((answers, ipa));
    let ipa = IpaProcess::with(&site.node, &["--debug", "--config-dir", place], &[]);
    assert_reached(&daemon, ipa.pid());
    daemon.wait_log("no longer bypasses ipa-sidecar", SOON).unwrap();
    assert_eq!(daemon.metric(&why("not_read")).unwrap(), Some(0.0));
}

#[test]
fn a_host_in_the_arguments_goes_before_the_drop_in() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("overridden");
    let read = ["--config-dir", directory.path().to_str().unwrap()];
    let daemon = configure(&site, &directory);
    let ipa = IpaProcess::with(&site.node, &[&read[..], &["--advertise-host", FIRST]].concat(), &[]);
    assert_reached(&daemon, ipa.pid());
    drop(ipa);
    let _ipa = IpaProcess::with(&site.node, &[&read[..], &["--advertise-host=None"]].concat(), &[]);
    assert_passed_by(&site, &daemon, "overridden", &["--advertise-host", "None"]);
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
        assert_reached(&daemon, ipa.pid());
        assert!(!daemon.log().contains("passes us by"), "{}", daemon.log());
    }
    let observer = site.daemon(&[API_FLAG]);
    assert_reached(&observer, ipa.pid());
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
    assert_reached(&daemon, ipa.pid());
}

/// The agent of 2016 takes its address from the text of a route, in which the device's name comes first.
#[test]
fn a_devices_name_in_the_text_of_a_route_gives_another_url() {
    root_test!("python3");
    let site = with_device("asrc.77");
    let ironic = site.ironic(node_with_mac());
    let daemon = seeing(&site, &Directory::new("device-etc"));
    let agent = agent(&site, &[("TEST_AGE", "2016")]);
    assert_passed_by(&site, &daemon, "other_url", &["http://.77:9999", FIRST, "advertise_host"]);
    assert_eq!(ironic.agent_url().as_deref(), Some("http://.77:9999"), "{}", agent.log());
}

/// Killed and started again, the daemon knows what this IPA was given, and what it sends.
#[test]
fn after_a_restart_of_the_daemon_it_is_still_passed_by() {
    root_test!("python3");
    let site = with_device("asrc.77");
    let ironic = site.ironic(fast());
    let etc = Directory::new("restart-etc");
    let daemon = seeing(&site, &etc);
    let _agent = agent(&site, &[("TEST_AGE", "2016")]);
    assert_passed_by(&site, &daemon, "other_url", &["http://.77:9999"]);
    drop(daemon);
    let daemon = seeing(&site, &etc);
    let beats = ironic.heartbeats();
    wait_beats(&daemon, &ironic, beats + 2, LATER);
    assert_passed_by(&site, &daemon, "other_url", &["http://.77:9999", FIRST]);
}

/// The present agent dies of the same text where it does not read the drop-in; one that reads it asks for no route.
#[test]
fn an_agent_that_dies_of_a_devices_name_has_passed_by() {
    root_test!("python3");
    let site = with_device("asrc.77");
    let daemon = seeing(&site, &Directory::new("dies-etc"));
    let mut dying = AgentProcess::start(&site.node, API_URL, &[], &[]);
    assert_passed_by(&site, &daemon, "not_read", &["does not read", "--ipa.config-dir"]);
    let ironic = site.ironic(node_with_mac());
    dying.wait_end(LATER);
    assert!(dying.log().contains("'.77' does not appear to be an IPv4 or IPv6 address"), "{}", dying.log());
    let is_gone = |state: &serde_json::Value| state["ipa"]["process"].is_null();
    daemon.wait_state("its end is seen", LATER, is_gone).unwrap();
    assert_unready(&daemon, &["does not read"]);
    assert_eq!((ironic.heartbeats(), daemon.metric(&why("not_read")).unwrap()), (0, Some(1.0)));
    ironic.power_cycle();
    let agent = agent(&site, &[]);
    assert_reached(&daemon, agent.pid());
    wait_beats(&daemon, &ironic, 1, LATER);
    assert_eq!(beat_urls(&ironic), [FIRST_URL]);
    assert_reached(&daemon, agent.pid());
}

/// The daemon may not read the environment of another process: IPA's unit says it. Where the unit does not, Ironic hears
/// it, and sight too. What comes of it goes after the cause.
#[test]
fn a_host_in_the_environment_is_known_by_the_unit_or_by_the_heartbeat() {
    root_test!("python3");
    let variables = [("OS_DEFAULT__ADVERTISE_HOST", "192.0.2.99")];
    let url = "http://192.0.2.99:9999";
    let names = ["OS_DEFAULT__ADVERTISE_HOST", "192.0.2.99", "--advertise.host"];
    for (of_unit, cause, names) in
        [(&variables[..], "overridden", &names[..]), (&[], "other_url", &[url, FIRST, "advertise_host"])]
    {
        let (site, etc) = (Site::new(), Directory::new("environment-etc"));
        ipa_unit(&etc, of_unit);
        let ironic = site.ironic(node_with_mac());
        let daemon = seeing(&site, &etc);
        let agent = agent(&site, &variables);
        daemon.wait_state("a heartbeat", LATER, |state| state["pinned_url"] == url).unwrap();
        assert_passed_by(&site, &daemon, cause, names);
        let state = daemon.state().unwrap();
        assert!(state["stale"].is_string(), "{cause} {state:#} {}", daemon.log());
        assert_eq!(ironic.agent_url().as_deref(), Some(url), "{}", agent.log());
    }
}

/// For 10 minutes: `cargo lab passed-by`.
#[test]
fn sound_nodes_are_never_passed_by() {
    root_test!("python3");
    let nodes = Sound::all(Path::new(binary()));
    // The daemon looks at IPA every 10 s.
    for _ in 0..12 {
        std::thread::sleep(Duration::from_secs(1));
        nodes.iter().for_each(|node| node.is_sound().unwrap());
    }
}

/// A node whose device has this name.
fn with_device(name: &str) -> Site {
    let site = Site::bare();
    let lines = format!("link set {DEVICE} down\nlink set {DEVICE} name {name}\nlink set {name} up");
    site.node.ip_lines(&format!("{lines}\naddr add {FIRST}/24 dev {name}")).unwrap();
    site
}
