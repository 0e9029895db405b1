//! What Ironic may answer instead of a listing: none of it passes for health.

use serde_json::json;

use crate::fake::{Answer, Fake, ROOT, assert_blind, fleet, node, ok, plain, uuid};

const GOOD: &str = "http://10.0.0.5:9999";

#[test]
fn all_good_is_0_and_a_bad_url_is_1() {
    let good = Fake::with_nodes(vec![node(1, "clean wait", Some(GOOD)), node(2, "active", None)]);
    let run = good.check(&[]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert_eq!(run.json(), json!({"visible": 2, "nodes": [], "problems": []}));
    // By a name of /etc/hosts.
    let named = good.url().replace("127.0.0.1", "localhost");
    let run = fleet(&["check", "--json", &format!("--ironic.url={named}")]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let all = good.check(&["--all"]).json();
    let verdicts: Vec<_> =
        all["nodes"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!((verdicts.len(), verdicts.contains(&json!("good"))), (2, true), "{all}");

    let bad = Fake::with_nodes(vec![
        node(1, "clean wait", Some("http://10.0.0.1%20uid%200:9999")),
        node(2, "clean wait", Some(GOOD)),
    ]);
    let run = bad.check(&[]);
    let found = &run.json()["nodes"];
    assert_eq!((run.code, found.as_array().unwrap().len()), (Some(1), 1), "{}", run.out);
    assert_eq!(found[0]["suggestion"], json!("http://10.0.0.1:9999"));
    assert_eq!(found[0]["last_heartbeat"], json!("2026-01-02T03:04:05Z"));
    let run = fleet(&["check", &format!("--ironic.url={}", bad.url())]);
    assert!(run.out.contains("1 of 2 agent URLs cannot work") && run.out.contains("rack~1"), "{}", run.out);
    assert!(run.out.contains("heard 60 s ago"), "by Ironic's clock: {}", run.out);
}

#[test]
fn an_ironic_that_is_away_or_slow_is_blindness() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = fleet(&["check", "--json", &format!("--ironic.url=http://{gone}")]);
    assert_blind(&run, &["cannot connect", "refused"]);
    let slow = Fake::start(|_| Answer::Silence);
    assert_blind(&slow.check(&["--ironic.request-timeout=1s"]), &["did not answer within 1s"]);
    let run = fleet(&["check", "--json", "--ironic.url=http://no-such-host.invalid:6385"]);
    assert_blind(&run, &["does not resolve"]);
}

#[test]
fn an_empty_ironic_is_blindness() {
    assert_blind(&Fake::with_nodes(Vec::new()).check(&[]), &["no node is visible"]);
}

#[test]
fn every_refusal_is_named() {
    for (status, words) in
        [(401, "http_basic"), (403, "does not permit"), (406, "406"), (500, "500"), (302, "302")]
    {
        let fake = Fake::start(move |target| match target {
            "/" => ok(ROOT),
            _ => Answer::Json(status, r#"{"error_message": "{\"faultstring\": \"No way.\"}"}"#.to_owned()),
        });
        let run = fake.check(&[]);
        assert_blind(&run, &[words, "No way."]);
        // Once, and once more where the server may have had a bad moment.
        assert!(fake.count("/v1/nodes") <= 2, "{status}: {}", fake.count("/v1/nodes"));
    }
}

#[test]
fn what_is_no_listing_is_named_without_its_content() {
    let cases: [(&str, &str); 4] = [
        ("<html>secret</html>", "HTML"),
        (r#"{"nodes": "secret"}"#, "no list"),
        (r#"{"nodes": [{"uuid": "secret"#, "no JSON"),
        ("", "no JSON"),
    ];
    for (body, words) in cases {
        let fake = Fake::start(move |target| if target == "/" { ok(ROOT) } else { ok(body) });
        let run = fake.check(&[]);
        assert_blind(&run, &[words]);
        assert!(!run.out.contains("secret"), "{}", run.out);
    }
    assert_blind(&Fake::start(|_| ok("<html>")).check(&[]), &["no JSON"]);
    let old = r#"{"default_version": {"version": "1.6"}}"#;
    assert_blind(&Fake::start(move |_| ok(old)).check(&[]), &["needs 1.8"]);
}

#[test]
fn half_a_page_and_a_page_without_end() {
    let half = Fake::start(|target| match target {
        "/" => ok(ROOT),
        _ => Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"nodes\": [".to_vec()),
    });
    assert_blind(&half.check(&[]), &["broke off"]);
    let endless = Fake::start(|target| match target {
        "/" => ok(ROOT),
        _ => Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n                    ".to_vec()),
    });
    assert_blind(&endless.check(&[]), &["larger than"]);
}

#[test]
fn one_state_that_fails_makes_the_look_blind_and_the_others_are_looked_at() {
    let nodes = vec![node(1, "clean wait", Some("http://None:9999"))];
    let fake = Fake::start(move |target| match target.contains("service%20failed") {
        true => Answer::Json(500, "{}".to_owned()),
        false => plain(target, &nodes),
    });
    let run = fake.check(&[]);
    assert_blind(&run, &["service failed"]);
    assert_eq!(run.json()["nodes"][0]["reasons"], json!(["placeholder_host"]));
}

#[test]
fn an_old_ironic_without_history_is_read_by_last_error() {
    let mut failed = node(1, "clean failed", None);
    failed["last_error"] = json!(
        "agent HTTPConnectionPool(host='10.0.0.1 uid 0', port=9999): Max retries exceeded with url: /v1/commands (NameResolutionError"
    );
    let nodes = vec![failed];
    let fake = Fake::start(move |target| match target {
        "/" => ok(r#"{"default_version": {"version": "1.77"}}"#),
        target if target.contains("/history") => Answer::Json(406, "{}".to_owned()),
        target => plain(target, &nodes),
    });
    let run = fake.check(&[]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert_eq!(run.json()["nodes"][0]["failure"]["class"], json!("name_resolution"));
    assert!(run.problems().contains("1.78"), "{}", run.out);
    assert_eq!(
        fake.count("/history") + fake.count("service"),
        0,
        "states that it does not know are not asked for"
    );
}

#[test]
fn a_history_that_is_refused_makes_the_look_blind() {
    let nodes: Vec<_> = (1..40).map(|number| node(number, "clean failed", None)).collect();
    let fake = Fake::start(move |target| match target.contains("/history") {
        true => Answer::Json(403, "{}".to_owned()),
        false => plain(target, &nodes),
    });
    assert_blind(&fake.check(&[]), &["failures may be missing"]);
    assert_eq!(fake.count("/history"), 5, "no hammering");
}

#[test]
fn a_clock_that_is_wrong_here_or_there_loses_no_failure() {
    // Ironic's own clock counts: its answers are of 2026-01-02, whatever the clock here says.
    let nodes = vec![node(7, "clean failed", None)];
    let fake = Fake::start(move |target| match target.contains("/history") {
        true => ok(json!({"history": [{"created_at": "2026-01-02T03:04:00+00:00",
            "event": "Timeout reached while waiting for callback for node x"}]})),
        false => plain(target, &nodes),
    });
    let run = fake.check(&["--since=2m"]);
    assert_eq!(run.json()["nodes"][0]["failure"]["class"], json!("callback_timeout"), "{}", run.out);
    assert_eq!(run.json()["nodes"][0]["uuid"], json!(uuid(7)));
}

#[test]
fn nothing_but_get_is_sent_to_ironic() {
    let fake = Fake::with_nodes(vec![
        node(1, "clean failed", None),
        node(2, "clean wait", Some("http://None:9999")),
    ]);
    for words in [&[][..], &["--all", "--fast-track"], &["--node", "rack~1"], &["--ironic.conductor-group=a"]]
    {
        fake.check(words);
    }
    let requests = fake.requests.lock().unwrap();
    assert!(requests.len() > 60, "{}", requests.len());
    for request in requests.iter() {
        assert!(request.starts_with("GET /v1/nodes") || request.starts_with("GET / "), "{request}");
        assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
    }
    // Names of others stay inside their segment of the path.
    let odd = Fake::with_nodes(Vec::new());
    odd.check(&["--node", "../x?y=1#z'\" ~"]);
    assert_eq!(odd.count("GET /v1/nodes/..%2Fx%3Fy%3D1%23z%27%22%20~?fields="), 1);
}
