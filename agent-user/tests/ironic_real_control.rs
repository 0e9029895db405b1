//! The real Ironic of the testbed does what the other tests lean on: tokens, the pinned URL, the power cycle, and
//! nothing of it is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::http::{Http, Response};
use testbed::ironic::{Options, RealIronic, VERSION_HEADER};
use testbed::netns::Netns;

const MAC: &str = "52:54:00:aa:00:01";

/// Whether to leave a test that needs root; under CI it must not be left.
fn skip() -> bool {
    if testbed::is_root() {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "needs root, and CI is set");
    println!("SKIP: needs root");
    true
}

fn start(options: Options) -> RealIronic {
    let netns = Some(Arc::new(Netns::new().unwrap()));
    RealIronic::start(&Options { netns, ..options }).unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The lookup of an agent: the token and the reply.
fn lookup(http: &Http) -> (String, Value) {
    let path = format!("/v1/lookup?addresses={MAC}");
    let answer = http.get(&path, &[(VERSION_HEADER, "1.62"), ("Accept", "application/json")]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reply = answer.json().unwrap();
    (reply["config"]["agent_token"].as_str().unwrap().to_owned(), reply)
}

fn heartbeat(ironic: &RealIronic, url: &str, token: &str) -> Response {
    let path = format!("/v1/heartbeat/{}", ironic.node_uuid());
    let body = json!({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"});
    ironic.http().post(&path, &[(VERSION_HEADER, "1.68")], &body).unwrap()
}

fn accepted(ironic: &RealIronic, url: &str, token: &str) {
    let answer = heartbeat(ironic, url, token);
    assert_eq!((answer.status, answer.text().as_str()), (202, ""));
    // Recorded after the answer, by a worker of the conductor.
    eventually("the URL is recorded", || ironic.agent_url().unwrap().as_deref() == Some(url));
    assert!(ironic.agent_last_heartbeat().unwrap().is_some());
}

#[test]
fn a_url_is_pinned_until_the_power_cycle() {
    if skip() {
        return;
    }
    let ironic = start(Options { require_tls: false, heartbeat_timeout: 77, ..Options::default() });
    let (first, second) = ("http://10.77.0.2:9999", "http://10.77.0.3:9999");
    let (token, reply) = lookup(ironic.http());
    assert_eq!(token.len(), 43);
    assert_eq!(reply["config"]["heartbeat_timeout"], 77);
    assert_eq!(reply["node"]["uuid"], ironic.node_uuid());
    assert_eq!(lookup(ironic.http()).0, "******", "a second lookup");
    assert_eq!(ironic.agent_url().unwrap(), None);

    accepted(&ironic, first, &token);
    let changed = heartbeat(&ironic, second, &token);
    assert_eq!(changed.status, 400);
    assert!(changed.text().contains("Detected change in ramdisk provided"), "{}", changed.text());
    assert_eq!(ironic.agent_url().unwrap().as_deref(), Some(first));

    ironic.power_cycle().unwrap();
    assert_eq!(ironic.agent_url().unwrap(), None);
    let (fresh, _) = lookup(ironic.http());
    assert_eq!(fresh.len(), 43);
    assert_ne!(fresh, token);
    accepted(&ironic, second, &fresh);
    assert_eq!(ironic.node().unwrap()["provision_state"], "manageable");
    assert_eq!(ironic.ended(), None);
}

#[test]
fn the_real_flow_with_tls_required() {
    if skip() {
        return;
    }
    let ironic = start(Options { fast_track: false, ..Options::default() });
    ironic.clean_wait().unwrap();
    assert_eq!(ironic.node().unwrap()["provision_state"], "clean wait");
    let (token, _) = lookup(ironic.http());
    let refused = heartbeat(&ironic, "http://10.77.0.2:9999", &token);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("TLS is required by configuration"), "{}", refused.text());
    assert!(ironic.log_tail(500).contains("clean wait"), "{}", ironic.log_tail(500));
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    if skip() {
        return;
    }
    let netns = Arc::new(Netns::new().unwrap());
    let _stranger = netns.enter(|| std::net::TcpListener::bind("127.0.0.1:6385").unwrap()).unwrap();
    let error = RealIronic::start(&Options { netns: Some(netns), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:6385"), "{error}");
}

#[test]
fn a_killed_test_leaves_nothing() {
    if skip() {
        return;
    }
    let arguments = ["--exact", "runs_until_it_is_killed", "--ignored", "--nocapture"];
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("it runs")), "the other test failed");
    let name = format!("ipa-sidecar-ironic-{}-0", test.id());
    let directory = std::env::temp_dir().join(&name);
    assert!(directory.exists());
    assert!(processes_with(&name) >= 2, "API and conductor run");
    test.kill().unwrap();
    test.wait().unwrap();
    eventually("no process is left", || processes_with(&name) == 0);
    eventually("no file is left", || !directory.exists());
}

#[test]
#[ignore = "not a test: what a_killed_test_leaves_nothing kills"]
fn runs_until_it_is_killed() {
    let ironic = start(Options::default());
    println!("it runs");
    std::thread::sleep(Duration::from_secs(60));
    drop(ironic);
    panic!("nobody killed this");
}

/// How many processes have the text in their command line.
fn processes_with(text: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}
