//! HTTP/1.1 as clients and attackers speak it.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use super::upstream::Upstream;
use super::*;

#[test]
fn several_requests_on_one_connection_and_pipelined() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    let discovery = discovery();
    let mut raw = lab.raw();
    for _ in 0..3 {
        raw.send(&discovery);
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 OK\r\n"));
        raw.send(beat(&beat_body(&token)));
        assert!(raw.answer().0.starts_with("HTTP/1.1 202 Accepted\r\n"));
    }
    let bad = get("/v1/nodes");
    raw.send(format!("{discovery}{}{bad}{discovery}", beat(&beat_body(&token))));
    let statuses: Vec<_> = (0..4).map(|_| raw.answer().0[9..12].to_owned()).collect();
    assert_eq!(statuses, ["200", "202", "404", "200"]);
    assert_eq!(lab.ironic.heartbeats(), 4);
}

#[test]
fn head_chunks_and_expect() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    let mut raw = lab.sent(format!("HEAD {PREFIX}/ HTTP/1.1\r\nHost: x\r\n\r\n"));
    let (head, _) = raw.answer_to("HEAD");
    assert!(head.starts_with("HTTP/1.1 "), "{head}");
    assert_eq!(lab.ironic.requests().last().unwrap().method, "HEAD");

    // A chunked body, in pieces, and one whose sender waits to be asked for it.
    let body = beat_body(&token);
    let (first, last) = body.split_at(10);
    let mut raw = lab.sent(format!("{}Transfer-Encoding: chunked\r\n\r\na\r\n{first}\r\n", beat_head()));
    std::thread::sleep(Duration::from_millis(100));
    raw.send(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().last().unwrap().body, body.as_bytes());

    let whole = beat(&body);
    let (head, _) = whole.split_once("\r\n\r\n").unwrap();
    let mut raw = lab.sent(format!("{head}\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(raw.answer().0, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send(&body);
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().last().unwrap().header("expect"), None);
}

#[test]
fn only_ipas_paths_reach_ironic() {
    root_test!();
    let lab = Lab::new(&[]);
    for target in [
        "/v1/nodes",
        "/v1/%6cookup?addresses=x",
        "/%76%31/lookup",
        "//v1/lookup",
        "/v1/../v1/lookup",
        "/v1/lookup/",
        "/advertise/10.77.0.5/v1/nodes",
        "/advertise/10.77.0.5/advertise/10.77.0.5/v1/lookup",
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
        let mut raw = lab.sent(format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        let (head, _) = raw.answer();
        assert!(head.starts_with("HTTP/1.1 404 "), "{method} {target}: {head}");
    }
    // What is no HTTP never gets further than the parser.
    for target in ["/v1/lookup\r\nX-Injected: yes", "/ /v1/lookup", "/v1/lookup\u{0}", "/v1/\u{7f}"] {
        let (bytes, _) = lab.sent(get(target)).rest();
        let answer = String::from_utf8_lossy(&bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{target:?}: {answer}");
    }
    assert_eq!(lab.ironic.requests(), []);
    // The absolute form is a way to say the same.
    let mut raw = lab.sent(format!(
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
    root_test!();
    const MIB: usize = 1 << 20;
    let (lab, token) = Lab::asked(&[]);
    // Exactly at the limit it passes.
    let start = beat_body(&token);
    let at_limit = format!("{start}{}", " ".repeat(MIB - start.len()));
    assert!(lab.sent(beat(&at_limit)).answer().0.starts_with("HTTP/1.1 202 "));
    let mut raw = lab.raw();
    let whole = beat(&format!("{at_limit} "));
    let _ = raw.stream.write_all(whole.as_bytes()); // It may be refused before all of it is sent.
    assert!(raw.answer().0.starts_with("HTTP/1.1 413 "));
    assert_eq!(lab.ironic.heartbeats(), 1);

    let before = resident(lab.daemon.pid());
    let mut raw = lab.sent(format!(
        "POST {PREFIX}/v1/continue_inspection HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        20 * MIB
    ));
    let piece = vec![b'x'; MIB];
    let mut most = 0;
    for _ in 0..20 {
        raw.send(&piece);
        most = most.max(resident(lab.daemon.pid()));
    }
    let (head, _) = raw.answer();
    assert!(head.starts_with("HTTP/1.1 202 "), "{head}");
    most = most.max(resident(lab.daemon.pid()));
    let request = lab.ironic.requests().pop().unwrap();
    assert_eq!((request.path(), request.body.len()), ("/v1/continue_inspection", 20 * MIB));
    let grown = most.saturating_sub(before);
    println!("memory before {before}, at most {most}: grew by {grown} KiB");
    assert!(grown < 4 * 1024, "grew by {grown} KiB");
}

#[test]
fn a_slow_inventory_takes_the_time_it_needs_and_a_stuck_one_does_not() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    let head =
        format!("POST {PREFIX}/v1/continue_inspection HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n");
    let mut raw = lab.sent(&head);
    // Twice the time-out of one request, as IPA may: its own counts for each piece.
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(500));
        raw.send("x");
    }
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().pop().unwrap().body, b"xxxxxxxx");
    let (bytes, waited) = lab.sent(format!("{head}x")).rest();
    assert_eq!(bytes, b"");
    assert!(waited < SILENT_WITHIN, "{waited:?}");
}

#[test]
fn a_slow_answer_streams_through() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = site.guard(&[TIMEOUT_FLAG]);
    wait_drop_in(&daemon, FIRST, SOON);
    let slow = Fault::SlowBody(Duration::from_millis(100));
    ironic.push_fault(Path::Root, slow);
    let started = Instant::now();
    let mut raw = site.sent(discovery());
    let mut buffer = [0; 4096];
    let mut got = 0;
    while started.elapsed() < Duration::from_millis(2500) {
        got += std::io::Read::read(&mut raw.stream, &mut buffer).unwrap();
    }
    assert!(got > 20, "{got}");
}

#[test]
fn an_answer_without_length_is_framed_anew() {
    root_test!();
    let site = Site::new();
    let upstream = Upstream::start(site.listener(API), "HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nuntil the end");
    let daemon = site.guard(&[]);
    wait_drop_in(&daemon, FIRST, SOON);
    let answer = site.http().get(&format!("{PREFIX}/"), &[]).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "until the end"));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn two_hundred_connections_are_bounded_and_ipa_gets_through_afterwards() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.token();
    let (before, memory) = (open_files(&lab.daemon), resident(lab.daemon.pid()));
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
    let open = open_files(&lab.daemon) - before;
    assert!(open <= 16, "{open} connections were taken at once");
    let grown = resident(lab.daemon.pid()).saturating_sub(memory);
    assert!(grown < 4 * 1024, "grew by {grown} KiB");
    for raw in &mut all {
        raw.send(&discovery[10..]);
    }
    for raw in &mut all {
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    }
    drop(all);
    assert_eq!(lab.lookup(PREFIX).status, 200);
}
