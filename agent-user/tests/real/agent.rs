//! Agent mode against a real Ironic: what it has recorded is read back from its own API.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use serde_json::json;
use testbed::ironic::{Options, RealIronic, VERSION_HEADER};
use testbed::root_test;
use testbed::site::*;

use crate::{PATIENCE, start_ironic, wait_beat, wait_recorded};

/// A site with a real Ironic.
struct Lab {
    ironic: RealIronic,
    site: Site,
}

impl Lab {
    fn new(fast_track: bool) -> Self {
        let site = Site::new();
        let bind = IpAddr::from([10, 77, 0, 1]);
        let ironic =
            start_ironic(&site, Options { bind, fast_track, require_tls: false, ..Options::default() });
        Self { ironic, site }
    }
}

#[test]
fn the_first_url_is_right_stays_pinned_and_changes_with_a_power_cycle() {
    root_test!();
    let lab = Lab::new(true);
    let mut daemon = lab.site.agent(&[]);
    wait_phase(&daemon, "awaiting_listener");
    assert_eq!(lab.ironic.agent_url().unwrap(), None, "no heartbeat without a listener");

    let _listener = lab.site.listen("[::]:9999");
    assert_eq!(wait_recorded(&lab.ironic), FIRST_URL);
    wait_beat(&lab.ironic);
    wait_counted(&daemon, READ_BACK, PATIENCE);
    assert_eq!(daemon.get("/-/ready").unwrap().status, 200);

    // The kernel prefers a new address while the old one is still there: the pinned URL stays.
    lab.site.add(SECOND);
    lab.site.prefer(SECOND);
    let state = daemon
        .wait_state("the trace shows the new source", PATIENCE, |state| {
            state["api_urls"][0]["resolved"][0]["source"] == SECOND
        })
        .unwrap();
    assert_eq!((&state["address"], &state["origin"]), (&json!(FIRST), &json!("pinned")));
    wait_beat(&lab.ironic);
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(FIRST_URL));
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));

    // The old address goes: Ironic refuses the new URL and keeps the old.
    lab.site.node.ip("addr flush dev eth0.77").unwrap();
    lab.site.add(SECOND);
    wait_counted(&daemon, "heartbeats_total{result=\"pinned_refused\",sender=\"sidecar\"}", PATIENCE);
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(1.0));
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(FIRST_URL));
    assert_unready(&daemon, &["through Ironic"]);

    // A power cycle through the API makes Ironic forget the URL and the token.
    lab.ironic.power_cycle().unwrap();
    assert_eq!(wait_recorded(&lab.ironic), SECOND_URL);
    wait_metric(&daemon, "agent_url_stale", 0.0, PATIENCE);
    assert_eq!(daemon.get("/-/ready").unwrap().status, 200);
    assert_ends(&mut daemon, "heartbeating");
}

#[test]
fn a_second_sender_is_harmless() {
    root_test!();
    let lab = Lab::new(true);
    let _listener = lab.site.listen("[::]:9999");
    // The operator has the token and hands it out; every later lookup is answered with asterisks.
    let http = lab.ironic.http();
    let reply = http
        .get(&format!("/v1/lookup?addresses={MAC}"), &[(VERSION_HEADER, "1.62")])
        .unwrap()
        .json()
        .unwrap();
    let token = reply["config"]["agent_token"].as_str().unwrap().to_owned();
    let flag = lab.site.directory.flag("--ironic.agent-token-file", "token", &token);
    let daemon = lab.site.agent(&[&flag]);
    assert_eq!(wait_recorded(&lab.ironic), FIRST_URL);
    let path = format!("/v1/heartbeat/{}", lab.ironic.node_uuid());
    let body = json!({"callback_url": FIRST_URL, "agent_token": token, "agent_version": "13.0.0"});
    for _ in 0..2 {
        let answer = http.post(&path, &[(VERSION_HEADER, "1.68")], &body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        wait_beat(&lab.ironic);
    }
    let before = metric(&daemon, ACCEPTED);
    wait_until(&daemon, "our own beats go on", PATIENCE, || metric(&daemon, ACCEPTED) > before);
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(FIRST_URL));
    assert!(!daemon.log().contains(&token), "the token is in the log");
    assert!(metric(&daemon, READ_BACK) >= 1.0);
}

/// Answers every request like an agent that is idle, and tells whom it served and what was asked.
fn stub_agent(listener: TcpListener) -> Receiver<(IpAddr, String, String)> {
    let (seen, receiver) = sync_channel(100);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let peer = stream.peer_addr().unwrap().ip().to_canonical();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let host = head.iter().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
            let request = head.first().cloned().unwrap_or_default();
            if !peer.is_loopback() {
                // The sidecar itself asks on loopback whether this is an IPA.
                let _ = seen.try_send((peer, host.to_owned(), request));
            }
            let body = json!({"commands": []}).to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    receiver
}

#[test]
fn in_a_real_flow_the_conductor_reaches_the_advertised_url() {
    root_test!();
    let lab = Lab::new(false);
    let calls = stub_agent(lab.site.listen("[::]:9999"));
    lab.ironic.clean_wait().unwrap();
    let started = Instant::now();
    let daemon = lab.site.agent(&[]);
    let (peer, host, request) = calls.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        panic!("the conductor did not call: {error}\n{}\n{}", daemon.log(), lab.ironic.log_tail(30))
    });
    println!(
        "the conductor called {:.1} s after the sidecar started: {}",
        started.elapsed().as_secs_f64(),
        request.split('?').next().unwrap_or_default() // The rest holds the token.
    );
    assert_eq!((peer, host.as_str()), (IpAddr::from([10, 77, 0, 1]), "10.77.0.5:9999"));
    assert!(request.contains(" /v1/commands"), "{request}");
}
