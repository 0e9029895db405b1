use std::time::Duration;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::http1::TokenSeen;
use crate::ironic::{HeartbeatResult, LookupResult};
use crate::sight::chunk::{FlowId, Source};

const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const URL: &str = "https://10.0.0.5:9999";

/// A piece: its direction, and whether something is missing before it.
type Piece = (Direction, bool, Vec<u8>);

fn out(text: impl Into<String>) -> Piece {
    (Direction::Out, false, text.into().into_bytes())
}

fn answer(text: impl Into<String>) -> Piece {
    (Direction::In, false, text.into().into_bytes())
}

fn lost((direction, _, bytes): Piece) -> Piece {
    (direction, true, bytes)
}

fn play(flow: &mut Flow, pieces: &[Piece], size: usize) -> Vec<Event> {
    let now = Instant::now();
    let mut events = Vec::new();
    for (direction, lost_before, bytes) in pieces {
        for (index, part) in bytes.chunks(size).enumerate() {
            let chunk = Chunk {
                flow: FlowId { source: Source::Http, id: 1 },
                direction: *direction,
                who: Who::default(),
                remote: None,
                lost_before: *lost_before && index == 0,
                bytes: Zeroizing::new(part.to_vec()),
            };
            events.extend(flow.take(&chunk, now));
            assert!(flow.held() <= 256 * 1024);
        }
    }
    events
}

/// The exchanges of a connection that then ends, the same however its pieces are cut.
fn exchanges(pieces: &[Piece]) -> Vec<Exchange> {
    let seen = |size| {
        let now = Instant::now();
        let mut flow = Flow::new(Who::default(), None, now);
        let mut events = play(&mut flow, pieces, size);
        events.extend(flow.finish(now));
        events.retain(|event| matches!(event, Event::Ended(_)));
        let exchange = |event| match event {
            Event::Ended(exchange) => Exchange { duration: Duration::ZERO, ..exchange },
            Event::Began(_) => unreachable!("left out"),
        };
        events.into_iter().map(exchange).collect::<Vec<_>>()
    };
    let whole = seen(usize::MAX);
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(seen(size), whole, "in pieces of {size}");
    }
    whole
}

fn lookup() -> Piece {
    out("GET /v1/lookup?addresses=52:54:00:aa:00:01 HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
}

fn found(token: &str) -> Piece {
    let body = found_body(token);
    answer(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn found_body(token: &str) -> String {
    let large = "x".repeat(100_000);
    format!(
        r#"{{"node": {{"uuid": "{NODE}", "instance_info": {{"a": "{large}"}}}}, "config": {{"heartbeat_timeout": 120, "agent_token": "{token}"}}}}"#
    )
}

fn beat_with(target: &str, fields: &str) -> Piece {
    let body = format!(r#"{{"callback_url": "{URL}", "agent_token": "T0KEN", "agent_version": "13.0.0"}}"#);
    let length = body.len();
    out(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{fields}\r\n{body}"))
}

fn beat() -> Piece {
    beat_with(&format!("/v1/heartbeat/{NODE}"), "")
}

fn status(line: &str) -> Piece {
    answer(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n"))
}

fn refused(line: &str, text: &str) -> Piece {
    let inner = serde_json::json!({"faultstring": text}).to_string();
    let body = serde_json::json!({"error_message": inner}).to_string();
    answer(format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn results(pieces: &[Piece]) -> Vec<HeartbeatResult> {
    let found = exchanges(pieces);
    assert!(found.iter().all(|one| one.request == Request::Heartbeat));
    found.iter().map(Exchange::heartbeat_result).collect()
}

#[test]
fn a_lookup_and_heartbeats_on_a_kept_connection() {
    let seen = exchanges(&[
        out("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        lookup(),
        found("T0KEN"),
        beat(),
        status("202 Accepted"),
        beat(),
        refused("400 Bad Request", "TLS is required by configuration"),
        beat(),
        refused("409 Conflict", "Node x is locked by host y"),
        beat(),
    ]);
    let first = &seen[0];
    assert_eq!((first.request, first.lookup_result()), (Request::Lookup, LookupResult::Ok));
    assert_eq!((first.node_uuid.as_deref(), first.token), (Some(NODE), Some(TokenSeen::Real)));
    assert_eq!(first.heartbeat_timeout, Some(Duration::from_secs(120)));
    let beats = &seen[1..];
    assert!(beats.iter().all(|one| one.agent_url.as_deref() == Some(URL)));
    assert!(beats.iter().all(|one| one.node_uuid.as_deref() == Some(NODE)));
    assert!(beats.iter().all(|one| one.token == Some(TokenSeen::Real)));
    let results: Vec<_> = beats.iter().map(Exchange::heartbeat_result).collect();
    use HeartbeatResult::{Accepted, Conflict, ConnectError, TlsRequired};
    assert_eq!(results, [Accepted, TlsRequired, Conflict, ConnectError], "the last has no answer");
    assert!(!format!("{seen:?}").contains("T0KEN"));
}

#[test]
fn every_way_to_write_a_request_and_an_answer() {
    let chunked_beat = out(format!(
        "POST /baremetal/v1/heartbeat/{NODE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         10\r\n{{\"callback_url\":\r\n1b\r\n \"https://10.0.0.5:9999\"}}  \r\n0\r\n\r\n"
    ));
    let masked = found_body("******");
    let (half, rest) = masked.split_at(50_000);
    let chunked_answer = answer(format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
        half.len(),
        rest.len()
    ));
    let (head, body) = {
        let beat =
            String::from_utf8(beat_with(&format!("/v1/heartbeat/{NODE}"), "Expect: 100-continue\r\n").2);
        let beat = beat.unwrap();
        let (head, body) = beat.split_once("\r\n\r\n").unwrap();
        (out(format!("{head}\r\n\r\n")), out(body))
    };
    let seen = exchanges(&[
        chunked_beat,
        status("202 Accepted"),
        lookup(),
        chunked_answer,
        head,
        answer("HTTP/1.1 100 Continue\r\n\r\n"),
        body,
        status("202 Accepted"),
        beat_with(&format!("http://ironic:6385/v1/heartbeat/{NODE}"), ""),
        answer("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"),
        out("HEAD /v1/lookup HTTP/1.1\r\n\r\n"),
        answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        out("POST /v1/continue_inspection?node_uuid=x HTTP/1.1\r\nContent-Length: 3\r\n\r\n{} "),
        status("202 Accepted"),
        beat_with(&format!("/v1/nodes/{NODE}/vendor_passthru/heartbeat"), ""),
        answer("HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    ]);
    let shown: Vec<_> =
        seen.iter().map(|one| (one.request.as_str(), one.status, one.agent_url.is_some())).collect();
    let expected = [
        ("heartbeat", Some(202), true),
        ("lookup", Some(200), false),
        ("heartbeat", Some(202), true),
        ("heartbeat", Some(204), true),
        ("inspection", Some(202), false),
        ("heartbeat", Some(200), false), // The seed's heartbeat calls its URL `agent_url`.
    ];
    assert_eq!(shown, expected);
    assert_eq!(seen[1].token, Some(TokenSeen::Masked));
}

#[test]
fn of_a_compressed_or_huge_body_only_the_status_counts() {
    let encoded = answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\u{1f}abc");
    let huge = answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000)));
    let mut seen = exchanges(&[lookup(), encoded, lookup(), huge]);
    assert!(seen.iter().all(|one| one.lookup_result() == LookupResult::Ok && one.token.is_none()));
    let beat = beat_with(&format!("/v1/heartbeat/{NODE}"), "Content-Encoding: gzip\r\n");
    let large = out(format!(
        "POST /v1/heartbeat/{NODE} HTTP/1.1\r\nContent-Length: 200000\r\n\r\n{}",
        "x".repeat(200_000)
    ));
    seen = exchanges(&[beat, status("202 Accepted"), large, status("202 Accepted")]);
    let shown: Vec<_> = seen.iter().map(|one| (one.status, one.agent_url.as_deref())).collect();
    assert_eq!(shown, [(Some(202), None), (Some(202), None)]);
    // What is no answer of Ironic's.
    let page = answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi!!");
    assert_eq!(exchanges(&[lookup(), page])[0].lookup_result(), LookupResult::InvalidResponse);
}

#[test]
fn pipelined_requests_get_their_own_answers() {
    let both = out([beat().2, lookup().2].concat().iter().map(|byte| char::from(*byte)).collect::<String>());
    let seen = exchanges(&[both, status("202 Accepted"), found("T0KEN")]);
    let shown: Vec<_> = seen.iter().map(|one| (one.request, one.status)).collect();
    assert_eq!(shown, [(Request::Heartbeat, Some(202)), (Request::Lookup, Some(200))]);
}

#[test]
fn after_a_loss_it_goes_on_with_the_next_request() {
    use HeartbeatResult::Accepted;
    let ok = || status("202 Accepted");
    // It began inside an answer, inside a body, and with a request.
    assert_eq!(results(&[lost(answer("rest of it")), beat(), ok()]), [Accepted]);
    assert_eq!(results(&[lost(out("the rest\r\n\r\n of a body")), ok(), beat(), ok()]), [Accepted]);
    assert_eq!(results(&[lost(beat()), ok()]), [Accepted]);
    // A part of a request, of an answer, of both.
    let half = || out("POST /v1/heartbeat/x HTTP/1.1\r\nContent-Length: 100\r\n\r\n{");
    assert_eq!(results(&[half(), lost(out("}")), ok(), beat(), ok()]), [Accepted]);
    assert_eq!(results(&[beat(), lost(answer("h: 0\r\n\r\n")), beat(), ok()]), [Accepted]);
    assert_eq!(results(&[half(), lost(ok()), beat(), ok()]), []);
    // What is no HTTP, and what is another protocol.
    assert_eq!(results(&[out("\u{16}\u{3}\u{1}"), answer("\u{16}"), beat(), ok()]), [Accepted]);
    // Nothing was asked.
    assert_eq!(results(&[ok(), beat(), ok()]), [Accepted]);
}

#[test]
fn what_is_given_up_is_counted() {
    let mut flow = Flow::new(Who::default(), None, Instant::now());
    play(&mut flow, &[beat(), lost(status("202 Accepted"))], usize::MAX);
    assert_eq!((flow.take_given_up(), flow.take_given_up()), (1, 0));
    flow = Flow::new(Who::default(), None, Instant::now());
    let events = play(&mut flow, &[lookup()], usize::MAX);
    assert_eq!(events, [Event::Began(Request::Lookup)], "before its answer");
    flow.lose();
    assert!(!flow.is_waiting() && flow.take_given_up() == 1);
}

/// A server that refuses before it has read the body: the client does not send it.
#[test]
fn a_body_that_is_refused_before_it_is_sent_is_no_request() {
    let head =
        format!("POST /v1/heartbeat/{NODE} HTTP/1.1\r\nContent-Length: 80\r\nExpect: 100-continue\r\n\r\n");
    let seen = results(&[out(head), status("417 No"), beat(), status("202 Accepted")]);
    assert_eq!(seen, [HeartbeatResult::ClientError, HeartbeatResult::Accepted]);
}

fn piece() -> impl Strategy<Value = Piece> {
    let texts = prop_oneof![
        2 => Just(beat().2),
        1 => Just(lookup().2),
        1 => Just(b"POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        2 => Just(status("202 Accepted").2),
        1 => Just(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        1 => Just(refused("400 No", "TLS is required").2),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ];
    (any::<bool>(), any::<bool>(), any::<bool>(), texts).prop_map(|(out, lost, really, bytes)| {
        (if out { Direction::Out } else { Direction::In }, lost && really, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn however_it_is_cut_the_same_exchanges_come_out(pieces in proptest::collection::vec(piece(), 1..10)) {
        exchanges(&pieces);
    }
}
