//! Whoever reaches the guard's port or answers in Ironic's place means it ill.

use std::io::{Read, Write};
use std::time::Instant;

use super::*;

const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z ERROR forged line\r\n\u{1b}[2J";

#[test]
fn slow_heads_and_bodies_are_dropped_and_ipa_gets_through_meanwhile() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    let begun = Instant::now();
    let body = format!("{}Content-Length: 1000\r\n\r\n{{", beat_head());
    let mut slow: Vec<(&str, Raw)> = Vec::new();
    for _ in 0..6 {
        slow.push(("head", lab.sent("GET /v1/lookup HTTP/1.1\r\nX-Slow: ")));
        slow.push(("body", lab.sent(&body)));
    }
    // A byte now and then buys no time.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_secs(1));
        for (_, raw) in &mut slow {
            raw.send("x");
        }
    }
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202, "the other connections are free");
    let mut took = [Duration::ZERO; 2];
    slow.sort_by_key(|(kind, _)| *kind); // Bodies, which are given up first.
    for (kind, raw) in &mut slow {
        raw.stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let (bytes, _) = raw.rest();
        assert!(bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 408"), "{bytes:?}");
        took[usize::from(*kind == "body")] = begun.elapsed();
    }
    let [head, body] = took.map(|took| took.as_secs_f64());
    println!("seen: heads dropped after {head:.1} s, bodies after {body:.1} s");
    assert!(body < 17.0 && head < 30.0, "{took:?}");
    assert_eq!(lab.ironic.heartbeats(), 1);
}

#[test]
fn what_is_no_http_or_could_be_read_in_two_ways_never_reaches_ironic() {
    root_test!();
    let lab = Lab::new(&[]);
    let (beat, smuggled) = (beat_head(), get("/v1/nodes"));
    let lines = "X: y\r\n".repeat(1000);
    let requests = [
        format!("{beat}Content-Length: 4\r\nContent-Length: 40\r\n\r\n{smuggled}"),
        format!("{beat}Content-Length: -1\r\n\r\n"),
        format!("{beat}Content-Length: 4, 4000\r\n\r\n{smuggled}"),
        format!("{beat}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{smuggled}"),
        format!("{beat}Transfer-Encoding: identity, chunked, x\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{beat}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{beat}X-A: b\r\n folded\r\n\r\n"),
        format!("{beat}X-A: b\0c\r\nContent-Length: 0\r\n\r\n"),
        format!("{beat}{lines}\r\n"),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /v1/lookup\r\n".to_owned(),
    ];
    for request in &requests {
        let mut raw = lab.raw();
        let _ = raw.stream.write_all(request.as_bytes());
        let _ = raw.stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = raw.stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains(" 200 ") && !answer.contains(" 202 "), "{request:?}: {answer}");
    }
    let reached: Vec<_> = lab.ironic.requests().into_iter().map(|request| request.target).collect();
    assert!(reached.is_empty(), "{reached:?}");
    let token = lab.token();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    println!("seen: {} requests refused, IPA is served", requests.len());
}

#[test]
fn foreign_strings_forge_no_line_of_the_log() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    lab.heartbeat(&format!("http://{FIRST}:9999/{FORGED}"), &token);
    lab.heartbeat(&format!("http://{FORGED}"), &token);
    lab.ironic.push_fault(Path::Heartbeat, Fault::Error(400, FORGED.to_owned()));
    lab.heartbeat(FIRST_URL, &token);
    lab.http().get(&format!("{PREFIX}/%0a2026%20ERROR%1b[2J"), &[]).unwrap();
    let log = lab.daemon.log();
    assert!(log.contains("forged"), "{log}");
    assert_no_forgery(&log);
    let page = lab.daemon.get("/").unwrap().text();
    assert!(!page.contains('\u{1b}'), "{page}");
    println!("seen: every line begins with its own time, no control character anywhere");
}

/// What is promised of a user of this machine who is not root: the guard gives no way to Ironic but IPA's own, and what
/// such a user sends cannot change what Ironic holds without the token.
#[test]
fn a_local_user_gets_no_further_than_ipas_paths() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    let curl = |words: &[&str]| {
        let output = lab
            .node
            .command("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig", "KILL", "--"])
            .args(["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
            .args(["--write-out", " %{http_code}"])
            .args(["--header", "X-OpenStack-Ironic-API-Version: 1.68"])
            .args(words)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let code = said.rsplit(' ').next().unwrap().to_owned();
        (code, said)
    };
    let at = |path: &str| format!("http://{GUARD}{path}");
    assert_eq!(curl(&[&at("/v1/nodes")]).0, "404");
    assert_eq!(curl(&["--request", "PUT", &at(&format!("/v1/nodes/{NODE}/states/power"))]).0, "404");
    // The token is masked in every lookup but the first.
    let (code, said) = curl(&[&at(&format!("/v1/lookup?addresses={MAC}"))]);
    assert!(code == "200" && said.contains("******") && !said.contains(&token), "{said}");
    // Without the token no heartbeat is taken.
    for url in ["http://10.77.0.66:9999", FIRST_URL] {
        let body =
            format!(r#"{{"callback_url": "{url}", "agent_token": "guessed", "agent_version": "13.0.0"}}"#);
        let beat = at(&format!("{PREFIX}/v1/heartbeat/{NODE}"));
        assert_eq!(curl(&["--header", "Content-Type: application/json", "--data", &body, &beat]).0, "400");
    }
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202, "IPA goes on");
    println!("seen: 404 beyond IPA's paths, token masked, foreign heartbeats refused");
}

#[test]
fn an_endless_answer_of_ironics_costs_no_memory() {
    root_test!();
    let lab = Lab::new(&[]);
    let resident = || resident(lab.daemon.pid());
    let before = resident();
    lab.ironic.push_fault(Path::Lookup, Fault::HugeBody(1 << 30));
    let mut raw = lab.sent(lookup());
    let (mut got, mut most) = (0, 0);
    let mut piece = vec![0; 1 << 20];
    while got < 100 << 20 {
        got += raw.stream.read(&mut piece).unwrap();
        most = most.max(resident());
    }
    drop(raw);
    let grown = most.saturating_sub(before);
    println!("seen: {} MiB passed, memory grew by {grown} KiB", got >> 20);
    assert!(grown < 6 * 1024, "grew by {grown} KiB");
    // Cut off, it may have been the token: IPA is not restarted, and is served.
    wait_until(&lab.daemon, "served", SOON, || lab.lookup(PREFIX).status == 200);
}
