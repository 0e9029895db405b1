//! Agent mode against a real Ironic: what it has recorded is read back from its own API.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::daemon::Daemon;
use testbed::ironic::{Options, RealIronic, VERSION_HEADER};
use testbed::needs_root;
use testbed::netns::Netns;

const SIDECAR: &str = env!("CARGO_BIN_EXE_ipa-sidecar");
const MAC: &str = "52:54:00:aa:00:01";
const API: &str = "--ironic.api-url=http://10.77.0.1:6385";
const URL: &str = "http://10.77.0.2:9999";
const NEW_URL: &str = "http://10.77.0.3:9999";
/// Ironic's heartbeat timeout, in seconds: beats come every 3 to 6 s.
const TIMEOUT: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(40);

/// A server namespace with Ironic, and a node namespace with one NIC that Ironic knows.
struct Lab {
    node: Arc<Netns>,
    ironic: RealIronic,
}

impl Lab {
    fn new(fast_track: bool) -> Self {
        let (server, node) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        // A veth passes for a NIC by the form of its name only.
        node.join("eth0.77", &server, "server").unwrap();
        server.ip("addr add 10.77.0.1/24 dev server").unwrap();
        node.ip_lines(&format!("link set eth0.77 address {MAC}\naddr add 10.77.0.2/24 dev eth0.77")).unwrap();
        let options = Options {
            bind: IpAddr::from([10, 77, 0, 1]),
            fast_track,
            require_tls: false,
            heartbeat_timeout: TIMEOUT,
            macs: vec![MAC.to_owned()],
            netns: Some(Arc::clone(&server)),
            ..Options::default()
        };
        Self { node, ironic: RealIronic::start(&options).unwrap() }
    }

    fn sidecar(&self, flags: &[&str]) -> Daemon {
        let all: Vec<_> = ["--mode=agent", API].into_iter().chain(flags.iter().copied()).collect();
        Daemon::start(SIDECAR, &self.node, &all).unwrap()
    }

    /// What the sidecar waits for before it heartbeats.
    fn listener(&self) -> TcpListener {
        self.node.enter(|| TcpListener::bind("[::]:9999").unwrap()).unwrap()
    }

    fn wait_recorded(&self, url: &str, daemon: &Daemon) {
        let recorded = || self.ironic.agent_url().unwrap();
        daemon.wait(url, PATIENCE, || (recorded().as_deref() == Some(url)).then_some(())).unwrap();
    }

    /// Waits until Ironic has recorded another heartbeat than `last`, and gives its time.
    fn wait_beat(&self, last: Option<&str>, daemon: &Daemon) -> String {
        let beat = || self.ironic.agent_last_heartbeat().unwrap().filter(|beat| Some(beat.as_str()) != last);
        daemon.wait("another heartbeat", PATIENCE, beat).unwrap()
    }
}

#[test]
fn the_first_url_is_right_stays_pinned_and_changes_with_a_power_cycle() {
    if !needs_root("the real Ironic") {
        return;
    }
    let lab = Lab::new(true);
    let mut daemon = lab.sidecar(&[]);
    daemon.wait_log("nothing listens on the advertised port", PATIENCE).unwrap();
    assert_eq!(lab.ironic.agent_url().unwrap(), None, "no heartbeat without a listener");

    let _listener = lab.listener();
    lab.wait_recorded(URL, &daemon);
    let first = lab.wait_beat(None, &daemon);
    lab.wait_beat(Some(&first), &daemon);
    daemon.wait_log("Ironic has recorded the callback URL", PATIENCE).unwrap();
    assert_eq!(daemon.get("/-/ready").unwrap().status, 200);

    // The kernel prefers a new address while the old one is still there: the pinned URL stays.
    lab.node
        .ip_lines("addr add 10.77.0.3/24 dev eth0.77\nroute replace 10.77.0.0/24 dev eth0.77 src 10.77.0.3")
        .unwrap();
    let state = daemon
        .wait_state("the trace shows the new source", PATIENCE, |state| {
            state["api_urls"][0]["resolved"][0]["source"] == "10.77.0.3"
        })
        .unwrap();
    assert_eq!((&state["address"], &state["origin"]), (&json!("10.77.0.2"), &json!("pinned")));
    let beat = lab.ironic.agent_last_heartbeat().unwrap();
    lab.wait_beat(beat.as_deref(), &daemon);
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(URL));
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(0.0));

    // The old address goes, and the secondary of its subnet with it: Ironic refuses the new URL and keeps the old.
    lab.node.ip_lines("addr flush dev eth0.77\naddr add 10.77.0.3/24 dev eth0.77").unwrap();
    let refused = "heartbeats_total{result=\"pinned_refused\",sender=\"sidecar\"}";
    daemon
        .wait("Detected change", PATIENCE, || daemon.metric(refused).ok()?.filter(|count| *count > 0.0))
        .unwrap();
    assert_eq!(daemon.metric("agent_url_stale").unwrap(), Some(1.0));
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(URL));
    let ready = daemon.get("/-/ready").unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("power the node off or reboot it through Ironic"), "{}", ready.text());

    // A power cycle through the API makes Ironic forget the URL and the token.
    lab.ironic.power_cycle().unwrap();
    lab.wait_recorded(NEW_URL, &daemon);
    daemon
        .wait("not stale", PATIENCE, || (daemon.metric("agent_url_stale").ok()? == Some(0.0)).then_some(()))
        .unwrap();
    assert_eq!(daemon.get("/-/ready").unwrap().status, 200);
    let (status, duration) = daemon.terminate().unwrap();
    assert!(status.success() && duration < Duration::from_secs(2), "{status} after {duration:?}");
}

#[test]
fn a_second_sender_is_harmless() {
    if !needs_root("the real Ironic") {
        return;
    }
    let lab = Lab::new(true);
    let _listener = lab.listener();
    // The operator has the token and hands it out; every later lookup is answered with asterisks.
    let http = lab.ironic.http();
    let reply = http
        .get(&format!("/v1/lookup?addresses={MAC}"), &[(VERSION_HEADER, "1.62")])
        .unwrap()
        .json()
        .unwrap();
    let token = reply["config"]["agent_token"].as_str().unwrap().to_owned();
    let file = std::env::temp_dir().join(format!("ipa-sidecar-token-{}", std::process::id()));
    std::fs::write(&file, &token).unwrap();

    let daemon = lab.sidecar(&[&format!("--ironic.agent-token-file={}", file.display())]);
    lab.wait_recorded(URL, &daemon);
    let path = format!("/v1/heartbeat/{}", lab.ironic.node_uuid());
    let body = json!({"callback_url": URL, "agent_token": token, "agent_version": "13.0.0"});
    let mut beat = lab.wait_beat(None, &daemon);
    for _ in 0..2 {
        let answer = http.post(&path, &[(VERSION_HEADER, "1.68")], &body).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        beat = lab.wait_beat(Some(&beat), &daemon);
    }
    let accepted = "heartbeats_total{result=\"accepted\",sender=\"sidecar\"}";
    let before = daemon.metric(accepted).unwrap().unwrap();
    daemon
        .wait("our own beats go on", PATIENCE, || {
            daemon.metric(accepted).ok()?.filter(|now| *now >= before + 1.0)
        })
        .unwrap();
    assert_eq!(lab.ironic.agent_url().unwrap().as_deref(), Some(URL));
    assert!(!daemon.log().contains(&token), "the token is in the log");
    let masked = "lookup_attempts_total{result=\"masked_token\",sender=\"sidecar\"}";
    assert!(daemon.metric(masked).unwrap() >= Some(1.0));
    std::fs::remove_file(file).unwrap();
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
    if !needs_root("the real Ironic") {
        return;
    }
    let lab = Lab::new(false);
    let calls = stub_agent(lab.listener());
    lab.ironic.clean_wait().unwrap();
    let started = Instant::now();
    let daemon = lab.sidecar(&[]);
    let (peer, host, request) = calls.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        panic!("the conductor did not call: {error}\n{}\n{}", daemon.log(), lab.ironic.log_tail(30))
    });
    println!(
        "the conductor called {:.1} s after the sidecar started: {}",
        started.elapsed().as_secs_f64(),
        request.split('?').next().unwrap_or_default() // The rest holds the token.
    );
    assert_eq!((peer, host.as_str()), (IpAddr::from([10, 77, 0, 1]), "10.77.0.2:9999"));
    assert!(request.contains(" /v1/commands"), "{request}");
}
