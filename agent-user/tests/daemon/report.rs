//! The node's last words: when a report goes out, what is in it, and that nobody waits for it.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipa_fleet::inside::{Cidrs, LastWords, OnResult, ReportParameters, listen, section};
use serde_json::Value;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, Fault, Path, StandIn, TlsIdentity};
use tokio::sync::watch;

use crate::fleet::{Task, ramdisks};
use crate::sight::Client;

const SENT: &str = r#"reports_sent_total{result="accepted"}"#;

/// A flag for a receiver that takes connections, and that answers nothing.
const NOBODY: &str = "--report.url=http://10.77.0.99:10101";

fn sent(result: &str) -> String {
    format!("reports_sent_total{{result=\"{result}\"}}")
}

#[test]
fn an_agent_reports_before_its_heartbeat_after_the_answer_and_at_the_end() {
    root_test!();
    let site = Site::new();
    let (ironic, receiver) = (site.ironic(node_with_mac()), ReportReceiver::start(&site));
    // The answer comes late: what is reported meanwhile was made before.
    ironic.set_fault(Path::Heartbeat, Some(Fault::Late(Duration::from_millis(500))));
    let mut daemon = site.agent(&[ReportReceiver::FLAG, WITHOUT_LISTENER]);
    let before = receiver.wait("before the heartbeat", |report| report.occasion() == "heartbeat");
    assert_eq!(before.body["heartbeats"], serde_json::json!([]), "it was made before the answer");
    let is_answer = |report: &Reported| report.body["heartbeats"][0]["result"] == "accepted";
    let after =
        receiver.wait("after the answer", |report| report.occasion() == "answer" && is_answer(report));
    for report in [&before, &after] {
        assert!(report.head.starts_with("POST /v1/report HTTP/1.1\r\n"), "{}", report.head);
        assert_eq!(report.body["report"]["node_uuid"], NODE);
        assert_eq!(report.body["report"]["left_out"], serde_json::json!([]));
        assert_eq!(report.body["callback_url"], FIRST_URL);
        assert_eq!(report.body["mode"], "agent");
    }
    // It is `/state`, and nothing else but `report`.
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut reported = keys(&after.body);
    reported.retain(|key| key != "report");
    assert_eq!(reported, keys(&daemon.state().unwrap()));

    daemon
        .wait_state("the last report", SOON, |state| state["reports"]["last_result"] == "accepted")
        .unwrap();
    let state = daemon.state().unwrap();
    assert_eq!(state["reports"]["url"], "http://10.77.0.1:10101");
    assert_eq!(state["reports"]["off"], Value::Null);
    assert!(daemon.metric(SENT).unwrap().unwrap() >= 2.0);
    assert_names(daemon.get("/").unwrap().text(), &["<h2>Reports</h2>", "It was accepted."]);
    let before_end = receiver.reports().len();
    assert_ends(&mut daemon, "with reports");
    let all = receiver.reports();
    assert_eq!(all.last().map(Reported::occasion), Some("end"), "{}", daemon.log());
    assert_eq!(all.len(), before_end + 1);
    let token = ironic.token().unwrap();
    assert!(all.iter().all(|report| !report.body.to_string().contains(&token)), "the token shows");
}

#[test]
fn what_sight_sees_is_reported_once_the_node_is_known() {
    root_test!();
    let site = Site::new();
    let (ironic, receiver) = (site.ironic(node_with_mac()), ReportReceiver::start(&site));
    let config_dir = site.directory.config_dir();
    let mut daemon = site.daemon(&["--mode=configure", API_FLAG, &config_dir, ReportReceiver::FLAG]);
    wait_drop_in(&daemon, FIRST, SOON);
    daemon.wait_state("sight", SOON, |state| state["sight"]["http"]["attached"] == true).unwrap();
    assert_eq!(receiver.reports().len(), 0, "it does not know yet which node this is");

    let mut ipa = Client::start(&site);
    ipa.look_up();
    let looked_up = receiver.wait("after the lookup", |report| report.occasion() == "answer");
    assert_eq!(looked_up.body["report"]["node_uuid"], NODE);
    let bad = "http://10.77.0.5%20uid%200:9999";
    ironic.set_fault(Path::Heartbeat, Some(Fault::Late(Duration::from_millis(500))));
    assert_eq!(ipa.beat(bad), 202);
    receiver.wait("when the heartbeat was seen", |report| report.occasion() == "heartbeat");
    let state =
        receiver.wait("what was wrong with it", |report| report.body["bad_agent_urls"][0]["url"] == bad);
    assert_eq!(state.body["bad_agent_urls"][0]["reasons"], serde_json::json!(["percent_encoded_host"]));
    assert_ends(&mut daemon, "with reports");
    assert!(receiver.reports().iter().all(|report| !report.body.to_string().contains(&ipa.token)));
}

#[test]
fn a_call_back_is_reported() {
    root_test!();
    let site = Site::new();
    let (_ironic, receiver) = (site.ironic(node_with_mac()), ReportReceiver::start(&site));
    let _agent = site.listen("10.77.0.5:9999");
    let daemon = site.agent(&[ReportReceiver::FLAG]);
    wait_metric(&daemon, READ_BACK, 1.0, SOON);
    let called = site.conductor.enter(|| TcpStream::connect("10.77.0.5:9999").unwrap()).unwrap();
    let report = receiver.wait("the call-back", |report| report.occasion() == "callback");
    assert_eq!(report.body["probes"]["callback"]["connections"], 1);
    drop(called);
}

/// Its heartbeats are as those of one without reports. How long they take is compared by `cargo lab bench report`.
#[test]
fn a_silent_receiver_holds_nothing_up() {
    root_test!();
    for (flag, silent) in [(NOBODY, "its address"), (ReportReceiver::FLAG, "what listens there")] {
        let site = Site::new();
        let receiver = ReportReceiver::start(&site);
        receiver.set_status(0);
        let ironic = site.ironic(fast());
        let mut daemon = site.agent(&[flag, WITHOUT_LISTENER]);
        wait_metric(&daemon, ACCEPTED, 2.0, LATER);
        assert_eq!(beat_urls(&ironic), [FIRST_URL; 2], "{silent} is silent");
        wait_until(&daemon, "a report that is given up", SOON, || metric(&daemon, &sent("timeout")) >= 2.0);
        let state = daemon.state().unwrap();
        assert_names(state["reports"]["last_failure"].as_str().unwrap(), &["within 300ms"]);
        assert_names(daemon.get("/").unwrap().text(), &["It was not accepted", "[timeout]"]);
        let (status, words) = ready(&daemon);
        assert_eq!(status, 200, "{words}");
        let warned = daemon.log().matches("WARN ipa_sidecar::report").count();
        assert!(warned <= 1, "what repeats is a line once:\n{}", daemon.log());
        let began = Instant::now();
        assert_ends(&mut daemon, silent);
        assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    }
}

#[test]
fn a_receiver_that_refuses_is_shown_and_changes_nothing() {
    root_test!();
    let site = Site::new();
    let receiver = ReportReceiver::start(&site);
    receiver.set_status(429);
    let _ironic = site.ironic(node_with_mac());
    let daemon = site.agent(&[ReportReceiver::FLAG, WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    wait_counted(&daemon, &sent("refused"), SOON);
    let state = daemon.state().unwrap();
    assert_names(state["reports"]["last_failure"].as_str().unwrap(), &["429"]);
    assert!(!daemon.log().contains('\u{1b}'), "a receiver's text forges no line");
    drop(receiver);
    assert_eq!(ready(&daemon).0, 200);
}

#[test]
fn over_tls_the_secret_is_sent_and_shown_nowhere() {
    root_test!();
    let site = Site::new();
    let key = rcgen::generate_simple_self_signed(vec!["10.77.0.1".to_owned()]).unwrap();
    let identity =
        TlsIdentity { certificates: key.cert.pem(), key: key.signing_key.serialize_pem(), client_ca: None };
    // It knows no such path: what it has recorded counts.
    let tls = Behaviour { tls: Some(identity), ..node_with_mac() };
    let receiver = StandIn::start(site.listener(ReportReceiver::ADDRESS), tls).unwrap();
    let _ironic = site.ironic(node_with_mac());
    site.directory.write("ca.pem", key.cert.pem());
    site.directory.write("secret", "s3cret-of-the-fleet\n");
    let flag = |name: &str, file: &str| format!("--report.{name}={}", site.directory.file(file).display());
    let (cafile, token_file) = (flag("cafile", "ca.pem"), flag("token-file", "secret"));
    let url = "--report.url=https://10.77.0.1:10101/v1/report";
    let daemon = site.agent(&[url, &cafile, &token_file, WITHOUT_LISTENER]);
    wait_counted(&daemon, &sent("refused"), SOON);
    let report = receiver.requests().remove(0);
    assert_eq!((report.method.as_str(), report.path()), ("POST", "/v1/report"));
    assert_eq!(report.header("authorization"), Some("Bearer s3cret-of-the-fleet"));
    for (place, text) in [
        ("the log", daemon.log()),
        ("the page", daemon.get("/").unwrap().text()),
        ("/state", daemon.get("/state").unwrap().text()),
        ("the report", report.json().to_string()),
    ] {
        assert!(!text.contains("s3cret"), "{place}");
    }
    drop(daemon);

    // Without the CA nothing is sent, the secret least of all.
    let before = receiver.requests().len();
    site.directory
        .write("ca.pem", rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap().cert.pem());
    // It knows its node although it has no token: that is the time to say so.
    let daemon = site.agent(&[url, &cafile, &token_file, WITHOUT_LISTENER]);
    wait_counted(&daemon, &sent("tls_error"), SOON);
    assert_eq!(receiver.requests().len(), before);
}

#[test]
fn files_that_cannot_be_used_are_reported_and_the_duty_goes_on() {
    root_test!();
    let site = Site::new();
    let (ironic, receiver) = (site.ironic(node_with_mac()), ReportReceiver::start(&site));
    site.directory.write("empty", "");
    for (name, file) in [("token-file", "none"), ("token-file", "empty"), ("cafile", "empty")] {
        let path = site.directory.file(file);
        let flag = format!("--report.{name}={}", path.display());
        let url = ReportReceiver::FLAG.replace("http:", "https:");
        let daemon = site.agent(&[&url, &flag, WITHOUT_LISTENER]);
        ironic.power_cycle();
        wait_metric(&daemon, ACCEPTED, 1.0, LATER);
        let off = daemon.state().unwrap()["reports"]["off"].as_str().unwrap().to_owned();
        assert_names(&off, &[format!("--report.{name}"), path.display().to_string()]);
        assert_names(daemon.log(), &["sending no reports"]);
        assert_names(daemon.get("/").unwrap().text(), &["No reports are sent to"]);
    }
    assert_eq!(receiver.reports().len(), 0);
}

#[test]
fn the_kernel_command_line_may_give_the_url_and_a_bad_one_is_a_problem_only() {
    root_test!();
    let site = Site::new();
    let (ironic, receiver) = (site.ironic(node_with_mac()), ReportReceiver::start(&site));
    for (url, is_good) in [("http://10.77.0.1:10101", true), ("10.77.0.1:10101", false), ("ftp://x", false)] {
        site.directory.write("cmdline", format!("quiet ipa-sidecar-report-url={url}\n"));
        let flags = ["--mode=agent", API_FLAG, WITHOUT_LISTENER];
        let daemon = site.daemon_with(&site.directory.file("cmdline"), &[], &flags);
        ironic.power_cycle();
        wait_metric(&daemon, ACCEPTED, 1.0, LATER);
        if is_good {
            receiver.wait("a report", |report| report.occasion() == "answer");
        } else {
            let problems = daemon.state().unwrap()["problems"].to_string();
            assert_names(problems, &["report.url", "a URL like http://192.0.2.1:10101"]);
        }
    }
}

#[test]
fn without_a_node_nothing_is_reported() {
    root_test!();
    let site = Site::new();
    let receiver = ReportReceiver::start(&site);
    let (_ironic, mut daemon) = {
        // Ironic knows no such node.
        let behaviour = Behaviour { macs: vec!["52:54:00:aa:00:99".to_owned()], ..node_with_mac() };
        (site.ironic(behaviour), site.agent(&[ReportReceiver::FLAG, WITHOUT_LISTENER]))
    };
    let missing = r#"lookup_attempts_total{result="not_found",sender="sidecar"}"#;
    wait_counted(&daemon, missing, SOON);
    assert_ends(&mut daemon, "without a node");
    assert_eq!(receiver.reports().len(), 0);
}

/// The intake of a real `ipa-fleet`, which knows the node at [`FIRST`]; and where the last words appear.
fn intake(site: &Site, token_file: PathBuf) -> (Task, watch::Receiver<LastWords>) {
    let words = watch::Sender::new(LastWords::default());
    let (heard, known) = (words.subscribe(), ramdisks(FIRST));
    let parameters = ReportParameters {
        listen_address: ReportReceiver::ADDRESS.parse().ok(),
        allow: Cidrs::parse("10.77.0.0/24").unwrap(),
        token_file: Some(token_file),
        config_file: None,
    };
    let begin = move || {
        let on_result: OnResult<_> = Arc::new(|_| ());
        listen(&parameters, known.subscribe(), words, on_result).unwrap().unwrap()
    };
    (Task::start(site, begin), heard)
}

#[test]
fn a_fleet_keeps_the_last_words_of_a_node_that_is_gone() {
    root_test!();
    let site = Site::new();
    site.directory.write("secret", "of-the-fleet\n");
    let token_file = site.directory.file("secret");
    let (_fleet, heard) = intake(&site, token_file.clone());
    let ironic = site.ironic(node_with_mac());
    let flag = format!("--report.token-file={}", token_file.display());
    let mut daemon = site.agent(&[ReportReceiver::FLAG, &flag, WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    assert_ends(&mut daemon, "with a fleet");
    drop(daemon);
    let words = heard.borrow().of(NODE).cloned().unwrap();
    let own = words.own.clone().expect("it came from the node's own address");
    assert!(words.unverified.is_empty());
    let state: Value = serde_json::from_str(&own.text).unwrap();
    assert_eq!(state["report"]["occasion"], "end");
    assert_eq!(state["heartbeats"][0]["callback_url"], FIRST_URL);
    assert!(!own.text.contains(&ironic.token().unwrap()) && !own.text.contains("of-the-fleet"));
    let mut sheet = exporter::Sheet::html();
    section(&mut sheet, &words, None).unwrap();
    assert_names(sheet.into_text(), &["Last words", "The node says", FIRST_URL, "accepted"]);
}
