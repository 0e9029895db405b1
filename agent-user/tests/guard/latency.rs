//! What the guard costs: the same requests direct and through it, alternating. Numbers, no threshold.

use std::time::Instant;

use super::*;

const ROUNDS: usize = 200;

#[test]
fn lookup_and_heartbeat_direct_and_through_the_guard() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    let body = beat_body(&token);
    let version = "Host: x\r\nX-OpenStack-Ironic-API-Version: 1.68\r\nConnection: close";
    let lookup =
        |prefix: &str| format!("GET {prefix}/v1/lookup?addresses={MAC} HTTP/1.1\r\n{version}\r\n\r\n");
    let heartbeat = |prefix: &str| {
        let length = body.len();
        format!(
            "POST {prefix}/v1/heartbeat/{NODE} HTTP/1.1\r\n{version}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    // The first one reads back and pins.
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    for (what, direct, guarded, status) in [
        ("lookup", lookup(""), lookup(PREFIX), "200"),
        ("heartbeat", heartbeat(""), heartbeat(PREFIX), "202"),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            without.push(measure(&lab, API, &direct, status));
            with.push(measure(&lab, GUARD, &guarded, status));
        }
        let ((m0, p0), (m1, p1)) = (quantiles(without), quantiles(with));
        println!(
            "latency of a {what}, {ROUNDS} each: direct median {m0:?} p99 {p0:?}; guard median {m1:?} p99 {p1:?}; \
             added median {:?}",
            m1.saturating_sub(m0)
        );
    }
}

/// From connect to the last byte, on a connection of its own as IPA's first ones are.
fn measure(lab: &Lab, address: &str, request: &str, status: &str) -> Duration {
    let (head, took) = lab
        .node
        .enter(|| {
            let started = Instant::now();
            let mut raw = Raw::new(std::net::TcpStream::connect(address).unwrap());
            raw.send(request);
            let (head, _) = raw.answer();
            (head, started.elapsed())
        })
        .unwrap();
    assert_eq!(&head[9..12], status, "{head}");
    took
}

fn quantiles(mut all: Vec<Duration>) -> (Duration, Duration) {
    all.sort_unstable();
    (all[all.len() / 2], all[all.len() * 99 / 100])
}
