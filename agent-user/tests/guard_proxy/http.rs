//! HTTP/1.1 as clients and attackers speak it.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testbed::daemon::Daemon;
use testbed::needs_root;

use super::setup::raw::Raw;
use super::setup::upstream::Upstream;
use super::setup::{
    API, GUARD, Lab, MAC, NODE, PREFIX, SILENT_WITHIN, SOON, Site, TIMEOUT_FLAG, URL, behaviour,
};

fn beat(body: &str) -> String {
    format!(
        "POST {PREFIX}/v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\nX-OpenStack-Ironic-API-Version: 1.68\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn good(token: &str) -> String {
    format!(r#"{{"callback_url": "{URL}", "agent_token": "{token}", "agent_version": "13.0.0"}}"#)
}

/// Resident memory in bytes.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn several_requests_on_one_connection_and_pipelined() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("http-keep", &[]);
    let token = lab.token();
    let discovery = format!("GET {PREFIX}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut raw = lab.raw();
    for _ in 0..3 {
        raw.send(&discovery);
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 OK\r\n"));
        raw.send(beat(&good(&token)));
        assert!(raw.answer().0.starts_with("HTTP/1.1 202 Accepted\r\n"));
    }
    let bad = "GET /v1/nodes HTTP/1.1\r\nHost: x\r\n\r\n";
    raw.send(format!("{discovery}{}{bad}{discovery}", beat(&good(&token))));
    let statuses: Vec<_> = (0..4).map(|_| raw.answer().0[9..12].to_owned()).collect();
    assert_eq!(statuses, ["200", "202", "404", "200"]);
    assert_eq!(lab.ironic.heartbeats(), 4);
}

#[test]
fn head_chunks_and_expect() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("http-chunks", &[]);
    let token = lab.token();
    let mut raw = lab.raw();
    raw.send(format!("HEAD {PREFIX}/ HTTP/1.1\r\nHost: x\r\n\r\n"));
    let (head, _) = raw.answer_to("HEAD");
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    assert_eq!(lab.ironic.requests().last().unwrap().method, "HEAD");

    // A chunked body, in pieces, and one whose sender waits to be asked for it.
    let body = good(&token);
    let (first, last) = body.split_at(10);
    let mut raw = lab.raw();
    raw.send(format!(
        "POST {PREFIX}/v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\nX-OpenStack-Ironic-API-Version: 1.68\r\n\
         Transfer-Encoding: chunked\r\n\r\na\r\n{first}\r\n"
    ));
    std::thread::sleep(Duration::from_millis(100));
    raw.send(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().last().unwrap().body, body.as_bytes());

    let whole = beat(&body);
    let (head, _) = whole.split_once("\r\n\r\n").unwrap();
    let mut raw = lab.raw();
    raw.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(raw.answer().0, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(&body);
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().last().unwrap().header("expect"), None);
}

#[test]
fn only_ipas_paths_reach_ironic() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("http-paths", &[]);
    for target in [
        "/v1/nodes",
        "/v1/%6cookup?addresses=x",
        "/%76%31/lookup",
        "//v1/lookup",
        "/v1/../v1/lookup",
        "/v1/lookup/",
        "/advertise/10.77.0.2/v1/nodes",
        "/advertise/10.77.0.2/advertise/10.77.0.2/v1/lookup",
        "/advertise//v1/lookup",
        "/metrics",
    ] {
        let answer = lab.http().get(target, &[]).unwrap();
        assert_eq!(answer.status, 404, "{target}");
    }
    for (method, target) in [
        ("POST", "/v1/lookup"),
        ("PUT", "/"),
        ("DELETE", "/v1/lookup"),
        ("OPTIONS", "*"),
        ("CONNECT", "10.77.0.1:6385"),
        ("POST", "/v1/heartbeat/../nodes"),
        ("POST", "/v1/heartbeat/a%2fb"),
    ] {
        let mut raw = lab.raw();
        raw.send(format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        let (head, _) = raw.answer();
        assert!(head.starts_with("HTTP/1.1 404 "), "{method} {target}: {head}");
    }
    // What is no HTTP never gets further than the parser.
    for target in ["/v1/lookup\r\nX-Injected: yes", "/ /v1/lookup", "/v1/lookup\u{0}", "/v1/\u{7f}"] {
        let mut raw = lab.raw();
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let (bytes, _) = raw.rest();
        let answer = String::from_utf8_lossy(&bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{target:?}: {answer}");
    }
    assert_eq!(lab.ironic.requests(), []);
    // The absolute form is a way to say the same.
    let mut raw = lab.raw();
    raw.send(format!(
        "GET http://{GUARD}{PREFIX}/v1/lookup?addresses={MAC} HTTP/1.1\r\nHost: x\r\nX-OpenStack-Ironic-API-Version: \
         1.62\r\n\r\n"
    ));
    assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    let request = lab.ironic.requests().pop().unwrap();
    assert_eq!(request.target, format!("/v1/lookup?addresses={MAC}"));
    assert_eq!(request.header("host"), Some("10.77.0.1:6385"));
}

#[test]
fn a_heartbeat_has_a_limit_and_an_inventory_has_none() {
    if !needs_root("the guard") {
        return;
    }
    const MIB: usize = 1 << 20;
    let lab = Lab::new("http-large", &[]);
    let token = lab.token();
    // Exactly at the limit it passes.
    let start = good(&token);
    let at_limit = format!("{start}{}", " ".repeat(MIB - start.len()));
    let mut raw = lab.raw();
    raw.send(beat(&at_limit));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    let mut raw = lab.raw();
    let whole = beat(&format!("{at_limit} "));
    let _ = raw.stream.write_all(whole.as_bytes()); // It may be refused before all of it is sent.
    assert!(raw.answer().0.starts_with("HTTP/1.1 413 "));
    assert_eq!(lab.ironic.heartbeats(), 1);

    let before = resident(&lab.daemon);
    let mut raw = lab.raw();
    raw.send(format!(
        "POST {PREFIX}/v1/continue_inspection HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        20 * MIB
    ));
    let piece = vec![b'x'; MIB];
    let mut most = 0;
    for _ in 0..20 {
        raw.send(&piece);
        most = most.max(resident(&lab.daemon));
    }
    let (head, _) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 202 "), "{head}");
    most = most.max(resident(&lab.daemon));
    let request = lab.ironic.requests().pop().unwrap();
    assert_eq!((request.path(), request.body.len()), ("/v1/continue_inspection", 20 * MIB));
    let grown = most.saturating_sub(before);
    println!("memory before {before}, at most {most}: grew by {grown} bytes");
    assert!(grown < 4 * MIB as u64, "grew by {grown} bytes");
}

#[test]
fn a_slow_inventory_takes_the_time_it_needs_and_a_stuck_one_does_not() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("http-slow", &[TIMEOUT_FLAG]);
    let head =
        format!("POST {PREFIX}/v1/continue_inspection HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n");
    let mut raw = lab.raw();
    raw.send(&head);
    // Twice the time-out of one request, as IPA may: its own counts for each piece.
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        raw.send("x");
    }
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().pop().unwrap().body, b"xxxxxxxx");
    let mut raw = lab.raw();
    raw.send(format!("{head}x"));
    let (bytes, waited) = raw.rest();
    assert_eq!(bytes, b"");
    assert!(waited < SILENT_WITHIN, "{waited:?}");
}

#[test]
fn a_slow_answer_streams_through() {
    if !needs_root("the guard") {
        return;
    }
    let site = Site::new("http-stream");
    let ironic = site.ironic(behaviour());
    let daemon = site.daemon(&[TIMEOUT_FLAG]);
    daemon.wait_log("IPA's drop-in changed", SOON).unwrap();
    let slow = testbed::stand_in::Fault::SlowBody(Duration::from_millis(100));
    ironic.push_fault(testbed::stand_in::Path::Root, slow);
    let started = Instant::now();
    let mut raw = site.raw();
    raw.send(format!("GET {PREFIX}/ HTTP/1.1\r\nHost: x\r\n\r\n"));
    let mut buffer = [0; 4096];
    let mut got = 0;
    while started.elapsed() < Duration::from_millis(2500) {
        got += std::io::Read::read(&mut raw.stream, &mut buffer).unwrap();
    }
    assert!(got > 20, "{got}");
}

#[test]
fn an_answer_without_length_is_framed_anew() {
    if !needs_root("the guard") {
        return;
    }
    let site = Site::new("http-framing");
    let upstream = Upstream::start(site.listener(API), "HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end");
    let daemon = site.daemon(&[]);
    daemon.wait_log("IPA's drop-in changed", SOON).unwrap();
    let answer = site.http().get(&format!("{PREFIX}/"), &[]).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "until the end"));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn two_hundred_connections_are_bounded_and_ipa_gets_through_afterwards() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("http-many", &[]);
    lab.token();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", lab.daemon.pid())).unwrap().count();
    let (before, memory) = (descriptors(), resident(&lab.daemon));
    // More than the kernel's queue holds: some are not even taken by it.
    let address: std::net::SocketAddr = GUARD.parse().unwrap();
    let connect = move || TcpStream::connect_timeout(&address, Duration::from_secs(2));
    let streams = lab.node.enter(|| {
        let threads: Vec<_> = (0..200).map(|_| std::thread::spawn(connect)).collect();
        let streams = threads.into_iter().filter_map(|thread| thread.join().unwrap().ok());
        streams.collect::<Vec<_>>()
    });
    let mut all: Vec<Raw> = streams.unwrap().into_iter().map(Raw::new).collect();
    println!("{} of 200 connections were taken by the kernel", all.len());
    assert!(all.len() > 16, "{}", all.len());
    let discovery = format!("GET {PREFIX}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for raw in &mut all {
        raw.send(&discovery[..10]);
    }
    std::thread::sleep(Duration::from_millis(300));
    let open = descriptors() - before;
    assert!(open <= 16, "{open} connections were taken at once");
    let grown = resident(&lab.daemon).saturating_sub(memory);
    assert!(grown < 4 << 20, "grew by {grown}");
    for raw in &mut all {
        raw.send(&discovery[10..]);
    }
    for raw in &mut all {
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    }
    drop(all);
    assert_eq!(lab.lookup(PREFIX).status, 200);
}
