//! Byte for byte: what is not a heartbeat that is certain to fail goes on as it came, in both directions.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread::JoinHandle;

use super::*;

/// Something in the place of Ironic that reads a request of this length, answers with these bytes, and gives what it read
/// until the client's end.
fn upstream(site: &Site, length: usize, answer: Vec<u8>) -> JoinHandle<Vec<u8>> {
    let listener = site.listener(API);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = vec![0; length];
        stream.read_exact(&mut read).unwrap();
        stream.write_all(&answer).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut read).unwrap();
        read
    })
}

/// A guard, and something in the place of Ironic.
fn between(length: usize, answer: impl AsRef<[u8]>) -> (Site, Daemon, JoinHandle<Vec<u8>>) {
    let site = Site::new();
    let upstream = upstream(&site, length, answer.as_ref().to_vec());
    let daemon = site.guard(&[]);
    wait_redirect(&daemon);
    (site, daemon, upstream)
}

/// Sends a request and later another piece, and gives the answer.
fn exchange(site: &Site, request: &[u8], later: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(&site.node, API);
    assert_eq!(raw.stream.peer_addr().unwrap().to_string(), GUARD);
    raw.send(request);
    let answer = raw.rest().0;
    raw.send(later);
    raw.stream.shutdown(Shutdown::Write).unwrap();
    answer
}

#[test]
fn any_protocol_passes_and_each_side_may_end_first() {
    root_test!();
    let chunked = "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n";
    for (request, answer, later) in [
        (get("/v1/nodes?a=%20b"), "HTTP/1.0 200 OK\r\n\r\nuntil the end".to_owned(), String::new()),
        (chunked.to_owned(), "HTTP/1.1 413 No\r\ncontent-LENGTH: 0\r\n\r\n".to_owned(), get("/after")),
        (
            "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\u{1}\u{2}frame"
                .to_owned(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{3}\0frame".to_owned(),
            beat(SEED_URL, "t"),
        ),
        ("SSH-2.0-none\r\n".to_owned(), "SSH-2.0-other\r\n\0\u{1}".to_owned(), "\u{16}\u{3}\u{1}".to_owned()),
        ("OPTIONS * HTTP/1.1\nHost: bare\n\n".to_owned(), "HTTP/1.1 204 x\r\n\r\n".to_owned(), String::new()),
    ] {
        let (site, daemon, upstream) = between(request.len(), &answer);
        assert_eq!(exchange(&site, request.as_bytes(), later.as_bytes()), answer.as_bytes());
        assert_eq!(String::from_utf8_lossy(&upstream.join().unwrap()), format!("{request}{later}"));
        drop(daemon);
    }
}

/// Nobody answers any of them, so each would be remembered.
#[test]
fn a_flood_of_requests_passes_and_is_not_remembered() {
    root_test!();
    const MOST: u64 = 8 << 10; // KiB
    let flood = "A / HTTP/1.0\r\n\r\n".repeat(200_000) + &beat(SEED_URL, "t");
    let (site, daemon, upstream) = between(flood.len(), "HTTP/1.0 200 OK\r\n\r\n");
    let before = resident(daemon.pid());
    assert_eq!(exchange(&site, flood.as_bytes(), b""), b"HTTP/1.0 200 OK\r\n\r\n");
    let after = resident(daemon.pid());
    assert!(upstream.join().unwrap() == flood.as_bytes(), "a byte was changed");
    assert!(after < before + MOST, "{before} KiB before, {after} KiB after");
}

#[test]
fn a_client_that_has_said_all_still_gets_the_answer() {
    root_test!();
    let site = Site::new();
    let listener = site.listener(API);
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).unwrap(); // Until the client's half of the connection is closed.
        stream.write_all(b"late answer").unwrap();
        read
    });
    let daemon = site.guard(&[]);
    wait_redirect(&daemon);
    let mut raw = Raw::connect(&site.node, API);
    raw.send("half");
    raw.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.rest().0, b"late answer");
    assert_eq!(upstream.join().unwrap(), b"half");
    drop(daemon);
}

#[test]
fn an_image_of_the_same_server_passes_without_memory() {
    root_test!();
    const MIB: usize = 1 << 20;
    let size = 100 * MIB;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    let request = get("/images/disk.raw");
    let answer = [head.as_bytes(), &vec![b'i'; size]].concat();
    let (site, daemon, upstream) = between(request.len(), answer);
    let before = resident(daemon.pid());
    let mut raw = Raw::connect(&site.node, API);
    raw.send(&request);
    let (mut got, mut piece, mut most) = (0, vec![0; MIB], 0);
    while got < head.len() + size {
        let length = raw.stream.read(&mut piece).unwrap();
        assert_ne!(length, 0);
        got += length;
        most = most.max(resident(daemon.pid()));
    }
    drop(raw);
    assert_eq!(upstream.join().unwrap(), request.as_bytes());
    let grown = most.saturating_sub(before);
    println!("seen: {size} bytes passed, {grown} KiB of memory");
    assert!(grown < 2 * 1024, "{grown} KiB");
}

#[test]
fn an_inventory_and_a_chunked_heartbeat_pass() {
    root_test!();
    let (lab, token) = Lab::asked();
    let body = vec![b'x'; 5 << 20];
    let mut raw = lab.raw();
    raw.send(format!("POST /v1/continue_inspection HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()));
    raw.send(&body);
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.requests().pop().unwrap().body, body);
    // Ironic itself answers what nobody could have repaired.
    let whole = beat(FIRST_URL, &token);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let head = head.rsplit_once("Content-Length").unwrap().0;
    raw.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
}

#[test]
fn an_answer_after_28_seconds_arrives() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.ironic.push_fault(Path::Lookup, Fault::Late(Duration::from_secs(28)));
    let answer = lab.lookup();
    assert_eq!(token(&answer).len(), 43);
    assert_eq!(lab.metric("lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"), 1.0);
}

#[test]
fn a_connection_that_ironic_resets_is_reset() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.ironic.push_fault(Path::Lookup, Fault::ResetBeforeResponse);
    let mut raw = lab.sent(lookup());
    let error = raw.stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(lab.lookup().status, 200, "the next one passes");
    assert_eq!(lab.metric("lookup_attempts_total{result=\"connect_error\",sender=\"ipa\"}"), 1.0);
}
