//! The node's last words, where the guard carries its heartbeats.

use super::*;

#[test]
fn a_report_is_made_before_a_heartbeat_is_forwarded_and_names_what_was_wrong() {
    root_test!();
    let site = Site::new();
    let receiver = ReportReceiver::start(&site);
    let lab = Lab::on(site, node_with_mac(), &[ReportReceiver::FLAG]);
    let token = token(&lab.lookup());
    // Its answer comes late: what is reported meanwhile was made before.
    lab.ironic.set_fault(Path::Heartbeat, Some(Fault::Late(Duration::from_millis(500))));
    let mut raw = lab.sent(beat(SEED_URL, &token));
    let before = receiver.wait("before the answer", |report| report.occasion() == "heartbeat");
    assert_eq!(before.body["heartbeats"], serde_json::json!([]));
    assert_eq!(before.body["report"]["node_uuid"], NODE);
    assert_eq!(before.body["bad_agent_urls"].as_array().map(Vec::len), Some(1));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    let is_answer = |report: &Reported| report.body["heartbeats"][0]["result"] == "accepted";
    receiver.wait("after the answer", |report| report.occasion() == "answer" && is_answer(report));
    assert!(receiver.reports().iter().all(|report| !report.body.to_string().contains(&token)));
}

#[test]
fn a_silent_receiver_delays_no_heartbeat_through_the_guard() {
    root_test!();
    let site = Site::new();
    let receiver = ReportReceiver::start(&site);
    receiver.set_status(0);
    let mut lab = Lab::on(site, node_with_mac(), &[ReportReceiver::FLAG]);
    let token = token(&lab.lookup());
    let mut raw = lab.raw();
    for _ in 0..12 {
        raw.send(beat(FIRST_URL, &token));
        assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    }
    assert_eq!(lab.ironic.heartbeats(), 12);
    wait_counted(&lab.daemon, r#"reports_sent_total{result="timeout"}"#, SOON);
    assert!(receiver.reports().len() < 12, "one at a time, and the newest wins");
    drop(raw);
    assert_ends(&mut lab.daemon, "a silent receiver");
}
