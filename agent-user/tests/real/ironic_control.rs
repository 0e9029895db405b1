//! The real Ironic of the testbed does what the other tests lean on: tokens, the pinned URL, the power cycle, and
//! nothing of it is left behind.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::http::{Http, Response};
use testbed::ironic::{Options, RealIronic, VERSION_HEADER};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::{FIRST_URL, MAC, SECOND_URL, SOON};

use crate::eventually;

fn start(options: Options) -> RealIronic {
    let netns = Some(Arc::new(Netns::new().unwrap()));
    RealIronic::start(&Options { netns, ..options }).unwrap()
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
    eventually("the URL is recorded", SOON, || ironic.agent_url().unwrap().as_deref() == Some(url));
    assert!(ironic.agent_last_heartbeat().unwrap().is_some());
}

#[test]
fn a_url_is_pinned_until_the_power_cycle() {
    root_test!();
    let ironic = start(Options { require_tls: false, heartbeat_timeout: 77, ..Options::default() });
    let (first, second) = (FIRST_URL, SECOND_URL);
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
    root_test!();
    let ironic = start(Options { fast_track: false, ..Options::default() });
    ironic.clean_wait().unwrap();
    assert_eq!(ironic.node().unwrap()["provision_state"], "clean wait");
    let (token, _) = lookup(ironic.http());
    let refused = heartbeat(&ironic, FIRST_URL, &token);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("TLS is required by configuration"), "{}", refused.text());
    assert!(ironic.log_tail(500).contains("clean wait"), "{}", ironic.log_tail(500));
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    root_test!();
    let netns = Arc::new(Netns::new().unwrap());
    let _stranger = netns.enter(|| std::net::TcpListener::bind("127.0.0.1:6385").unwrap()).unwrap();
    let error = RealIronic::start(&Options { netns: Some(netns), ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("127.0.0.1:6385"), "{error}");
}

#[test]
fn a_killed_test_leaves_nothing() {
    root_test!();
    crate::leaves_nothing_when_killed("ironic_control::runs_until_it_is_killed", "ironic");
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
