//! What Ironic refuses is reported: in the log, in the state, in the readiness.

use super::*;

#[test]
fn a_refused_heartbeat_is_no_secret() {
    root_test!();
    let lab = Lab::with(Behaviour { require_tls: true, ..node_with_mac() }, &[]);
    let known = token(&lab.lookup());
    let answer = lab.heartbeat(FIRST_URL, &known);
    assert_eq!((answer.status, fault(&answer).as_str()), (400, "TLS is required by configuration"));
    assert_eq!(lab.beats("tls_required"), 1.0);
    let names = ["status 400", "TLS is required"];
    assert_unready(&lab.daemon, &names);
    assert_names(lab.daemon.log(), &names);
    let state = lab.daemon.state().unwrap();
    assert_names(state["guard"]["refused"].as_str().unwrap(), &names);

    assert_eq!(lab.heartbeat("https://10.77.0.5:9999", "wrong").status, 400);
    assert_unready(&lab.daemon, &["Invalid or missing agent token"]);
    assert_eq!(lab.beats("token_refused"), 1.0);

    let away = Fault::Redirect("https://elsewhere/".to_owned());
    lab.ironic.push_fault(Path::Heartbeat, away);
    assert_eq!(lab.heartbeat("https://10.77.0.5:9999", &known).status, 302);
    assert_unready(&lab.daemon, &["status 302", "a redirect"]);

    assert_eq!(lab.heartbeat("https://10.77.0.5:9999", &known).status, 202);
    assert_eq!(ready(&lab.daemon).0, 200);
    let log = lab.daemon.log();
    assert!(!log.contains(&known), "the token is in the log");
}

#[test]
fn another_pinned_url_is_reported_with_what_helps() {
    root_test!();
    let (lab, token) = Lab::asked();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    for _ in 0..2 {
        let answer = lab.heartbeat("http://10.77.0.5:9998", &token);
        assert!(fault(&answer).starts_with("Detected change"), "{}", answer.text());
    }
    assert_eq!(lab.beats("pinned_refused"), 2.0);
    assert_eq!(lab.metric("agent_url_stale"), 1.0);
    assert_unready(&lab.daemon, &["through Ironic"]);
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!((lab.metric("agent_url_stale"), ready(&lab.daemon).0), (0.0, 200));
}

#[test]
fn foreign_strings_forge_no_line_and_are_cut() {
    root_test!();
    const FORGED: &str = "x\\n2026-01-01T00:00:00.000000Z ERROR forged line\\r\\n\\u001b[2J";
    let (lab, token) = Lab::asked();
    for url in [format!("http://{FORGED}"), format!("http://x?agent_token={token}:x"), "a".repeat(100_000)] {
        let mut raw = lab.sent(beat(&url, &token));
        raw.answer();
        lab.ironic.power_cycle();
        lab.lookup();
    }
    lab.ironic.push_fault(Path::Heartbeat, Fault::Error(400, "y\n2026 ERROR forged\u{1b}[2J".to_owned()));
    lab.heartbeat(FIRST_URL, &token);
    let log = lab.daemon.log();
    assert_no_forgery(&log);
    let state = lab.daemon.get("/state").unwrap().text();
    for shown in [&log, &state, &ready(&lab.daemon).1] {
        assert!(!shown.contains(&"a".repeat(1000)) && !shown.contains(&token) && !shown.contains('\u{1b}'));
    }
}
