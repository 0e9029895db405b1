use proptest::prelude::*;

use super::*;
use crate::http1::HeartbeatBody;

const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const BAD: &str = "http://172.25.134.128%20uid%200:9999";
const GOOD: &str = "http://172.25.134.128:9999";

fn beat(url: &str) -> String {
    let body = format!(r#"{{"callback_url": "{url}", "agent_token": "t"}}"#);
    format!(
        "POST /v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nA: b\r\n\r\n{body}",
        body.len()
    )
}

/// What goes on of this input in pieces of these sizes, where the bad URL is repaired; and what was asked.
fn split(input: &[u8], mut size: impl FnMut() -> usize) -> (Vec<u8>, Vec<Kind>) {
    let (mut splitter, mut out, mut asked) = (Splitter::default(), Vec::new(), Vec::new());
    let mut rest = input;
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(size().clamp(1, rest.len()));
        rest = later;
        loop {
            match splitter.feed(&mut piece, &mut out) {
                Step::More => break,
                Step::Asked(request) => asked.push(request.kind),
                Step::Heartbeat(heartbeat) => {
                    let read = HeartbeatBody::read(&heartbeat.body, heartbeat.era);
                    let repaired = read.filter(|read| read.url == BAD).map(|read| read.with_url(GOOD));
                    heartbeat.put(repaired.as_deref(), &mut out);
                    asked.push(heartbeat.asked().kind);
                }
            }
        }
        assert!(piece.is_empty());
    }
    splitter.finish(&mut out);
    (out, asked)
}

fn whole(input: &[u8]) -> (Vec<u8>, Vec<Kind>) {
    split(input, || usize::MAX)
}

#[test]
fn a_bad_heartbeat_is_repaired_between_requests_that_pass() {
    let stream = |url: &str| {
        [
            "\r\nGET /v1/lookup?addresses=x HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /v1/continue_inspection HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nPOS\r\n0\r\n\r\n",
            &beat(url),
            &beat(GOOD),
            "PUT /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            &beat(url),
            "GET / HT",
        ]
        .concat()
    };
    let heartbeat = || Kind::Heartbeat(Era::Current, NODE.to_owned());
    let kinds = vec![Kind::Lookup, Kind::Inspection, heartbeat(), heartbeat(), Kind::Other, heartbeat()];
    let (bad, good) = (stream(BAD), stream(GOOD));
    for size in 1..bad.len() {
        let (out, asked) = split(bad.as_bytes(), || size);
        assert_eq!(String::from_utf8_lossy(&out), good, "in pieces of {size}");
        assert_eq!(asked, kinds);
    }
    assert_eq!(whole(good.as_bytes()), (good.into_bytes(), kinds));
}

#[test]
fn only_a_heartbeat_is_kept_back() {
    let passed = |input: &str| {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        let mut bytes = input.as_bytes();
        while !matches!(splitter.feed(&mut bytes, &mut out), Step::More) {}
        String::from_utf8(out).unwrap()
    };
    for all in ["G", "POST /v1/x HTTP/1.1\r\nHo", "\u{1}", "POSTX", "POST /v1/heartbeat/n HTTP/1.1\nHost"] {
        assert_eq!(passed(all), all);
    }
    for none in ["POST", "POST /v1/heart", "POST /v1/heartbeat/n HTTP/1.1\r\nHost: x\r\n"] {
        assert_eq!(passed(none), "", "{none:?}");
    }
}

#[test]
fn what_cannot_be_separated_passes_raw() {
    let bad = beat(BAD);
    for before in [
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnothing".to_owned(),
        "GET / HTTP/1.1\nHost: x\n\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nA: {}", "a".repeat(9000), "b".repeat(HEAD_BYTES)),
    ] {
        let stream = format!("{before}{bad}");
        assert_eq!(whole(stream.as_bytes()).0, stream.as_bytes(), "{:?}", before.get(..40));
    }
    for unlike in [
        bad.replace("A: b", "Expect: 100-continue"),
        bad.replace("A: b", "Content-Encoding: gzip"),
        bad.replace("Content-Length: ", "Content-Length: 10000"),
    ] {
        assert_eq!(whole(unlike.as_bytes()).0, unlike.as_bytes());
    }
}

/// Bytes that look like HTTP, so that the states behind the first line are reached.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => Just(beat(BAD).into_bytes()),
        2 => Just(beat(GOOD).into_bytes()),
        1 => Just(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        1 => Just(b"POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nT: x\r\n\r\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"PUT /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\r\nc".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => "[A-Z]{1,4} /[a-z0-9/]{0,20} HTTP/1.[01]\r\n([A-Z][a-z-]{1,12}: [ -~]{0,9}\r\n){0,3}\r\n".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn however_it_is_cut_the_same_goes_on(pieces in proptest::collection::vec(piece(), 1..8), sizes in proptest::collection::vec(1usize..40, 1..20)) {
        let input = pieces.concat();
        let mut sizes = sizes.into_iter().cycle();
        let cut = split(&input, || sizes.next().unwrap_or(1));
        prop_assert_eq!(cut, whole(&input));
    }

    #[test]
    fn what_is_not_repaired_is_byte_for_byte(pieces in proptest::collection::vec(piece(), 1..8)) {
        let input = String::from_utf8_lossy(&pieces.concat()).replace(BAD, GOOD).into_bytes();
        prop_assert_eq!(whole(&input).0, input);
    }
}
