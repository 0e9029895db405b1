//! What `run` shows of an Ironic that is well, in trouble, away or hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{Answer, Fake, ROOT, TOKEN, command, node, ok, plain, uuid};
use crate::running::Running;

const GOOD: &str = "http://10.0.0.5:9999";
const SEED: &str = "http://172.25.134.128%20uid%200:9999";
const TIMEOUT: &str = "Timeout reached while waiting for callback for node x";

/// A switch that a test turns while the fake answers.
fn switch() -> (Arc<AtomicU32>, Arc<AtomicU32>) {
    let switch = Arc::new(AtomicU32::new(0));
    (Arc::clone(&switch), switch)
}

fn history(at: &str, text: &str) -> Answer {
    ok(json!({"history": [{"created_at": format!("2026-01-02T{at}+00:00"), "event": text}]}))
}

#[test]
fn pages_metrics_and_documents_show_what_is_wrong_now() {
    let fake = Fake::with_nodes(vec![
        node(1, "clean wait", Some(SEED)),
        node(2, "clean wait", Some(GOOD)),
        node(3, "active", None),
    ]);
    let fleet = Running::start(&fake.url(), &[]).ready();
    let page = fleet.get("/");
    let html = page.text();
    assert!(html.contains("1 of 2 ramdisks have an agent_url that cannot work"), "{html}");
    assert!(html.contains("rack~1</a>") && html.contains("http://172.25.134.128:9999"), "{html}");
    assert!(html.contains(&format!("<a href=\"/nodes/{}\">", uuid(1))), "{html}");
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && !html.contains("<script"),
        "{policy}"
    );
    let one = fleet.text(&format!("/nodes/{}", uuid(1)));
    assert!(one.contains("percent-encoded") && one.contains("clean wait"), "{one}");
    assert_eq!(fleet.get(&format!("/nodes/{}", uuid(3))).status, 200, "without a ramdisk it is known too");
    for path in ["/nodes/x", &format!("/nodes/{}", uuid(9)), "/state", "/nodes/"] {
        assert_eq!(fleet.get(path).status, 404, "{path}");
    }
    for (sample, value) in [
        ("ironic_up", 1.0),
        ("visible_nodes", 3.0),
        ("nodes{provision_state=\"clean wait\"}", 2.0),
        ("nodes{provision_state=\"active\"}", 1.0),
        ("agent_urls{verdict=\"bad\"}", 1.0),
        ("agent_urls{verdict=\"good\"}", 1.0),
        ("bad_agent_url_nodes{reason=\"percent_encoded_host\"}", 1.0),
        ("waiting_nodes{heard=\"recently\",provision_state=\"clean wait\"}", 2.0),
        ("blind{why=\"no_node\"}", 0.0),
        ("failures_total{class=\"name_resolution\",reason=\"percent_encoded_host\"}", 0.0),
        ("node_trouble_omitted", 0.0),
    ] {
        assert_eq!(fleet.metric(sample), Some(value), "{sample}\n{}", fleet.text("/metrics"));
    }
    assert!(fleet.text("/metrics").contains(&format!(
        "ipa_fleet_node_trouble_info{{class=\"bad_agent_url\",name=\"rack~1\",node_uuid=\"{}\",reason=\"percent_encoded_host\"}} 1",
        uuid(1)
    )));
    let refused = fleet.http.post("/", &[], &json!({})).unwrap();
    assert_eq!(refused.status, 405);
    assert_eq!(fleet.terminate().code(), Some(0));
    assert!(fake.requests.lock().unwrap().iter().all(|request| request.starts_with("GET ")));
}

#[test]
fn a_failure_is_counted_once_and_one_from_before_the_start_is_only_shown() {
    let (turn, turned) = switch();
    let fake = Fake::start(move |target| {
        let state = if turned.load(Ordering::Relaxed) == 0 { "clean wait" } else { "clean failed" };
        let mut nodes = vec![node(1, state, Some(SEED)), node(2, "deploy failed", None)];
        if state == "clean failed" {
            nodes[0]["driver_internal_info"] = json!({});
            nodes[0]["provision_updated_at"] = json!("2026-01-02T03:05:05+00:00");
        }
        match target {
            target if target.contains(&format!("{}/history", uuid(1))) && state == "clean failed" => {
                history("03:05:05", TIMEOUT)
            }
            target if target.contains(&format!("{}/history", uuid(1))) => plain(target, &[]),
            target if target.contains("/history") => history("03:04:00", TIMEOUT),
            target => plain(target, &nodes),
        }
    });
    let fleet = Running::start(&fake.url(), &[]).ready();
    let counter = "failures_total{class=\"callback_timeout\",reason=\"percent_encoded_host\"}";
    let old = &fleet.json("/failures")["failures"];
    assert_eq!(
        (old[0]["node_uuid"].clone(), old[0]["counted"].clone()),
        (json!(uuid(2)), json!(false)),
        "{old}"
    );
    assert_eq!(fleet.metric("failures_total{class=\"callback_timeout\",reason=\"none\"}"), Some(0.0));
    turn.store(1, Ordering::Relaxed);
    fleet.eventually("the failure is counted", |fleet| fleet.metric(counter) == Some(1.0));
    let known = fleet.json("/failures");
    let new = &known["failures"][0];
    // Ironic has forgotten the URL; we have not.
    assert_eq!(
        (&new["url"], &new["suggestion"]),
        (&json!(SEED), &json!("http://172.25.134.128:9999")),
        "{new}"
    );
    assert_eq!((&new["counted"], &new["reasons"]), (&json!(true), &json!(["percent_encoded_host"])));
    let polls = fake.count("service%20failed");
    fleet.eventually("two more polls", |_| fake.count("service%20failed") >= polls + 2);
    assert_eq!(fleet.metric(counter), Some(1.0));
    assert_eq!(fake.count("/history"), 3, "each history once, and the live node's at the start");
    let page = fleet.text(&format!("/nodes/{}", uuid(1)));
    assert!(page.contains(TIMEOUT) && page.contains("172.25.134.128%20uid%200"), "{page}");
}

#[test]
fn blindness_is_never_shown_as_health() {
    let (turn, turned) = switch();
    let nodes = vec![node(1, "clean wait", Some(GOOD))];
    let fake = Fake::start(move |target| match (turned.load(Ordering::Relaxed), target) {
        (1, _) => Answer::Json(503, "{}".to_owned()),
        (2, "/") => ok(ROOT),
        (2, _) => ok(json!({"nodes": []})),
        (3, target) => {
            let mut hidden = node(1, "clean wait", None);
            hidden["driver_internal_info"] = json!({"content": "** Redacted - Requires x permission. **"});
            plain(target, &[hidden])
        }
        (_, target) => plain(target, &nodes),
    });
    let fleet = Running::start(&fake.url(), &[]).ready();
    assert!(fleet.text("/").contains("Healthy:"));
    for (value, why, words) in
        [(1, "ironic_away", "503"), (2, "no_node", "no node is visible"), (3, "redacted", "Redacted")]
    {
        turn.store(value, Ordering::Relaxed);
        let blind = format!("blind{{why=\"{why}\"}}");
        // A state that fails alone makes the look incomplete; an Ironic that is away says so at its root.
        let seen = |fleet: &Running| {
            fleet.metric(&blind) == Some(1.0)
                || (value == 1 && fleet.metric("blind{why=\"incomplete\"}") == Some(1.0))
        };
        fleet.eventually(why, seen);
        let ready = fleet.get("/-/ready");
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains(words), "{}", ready.text());
        let page = fleet.text("/");
        assert!(page.contains("Blind:") && !page.contains("Healthy:") && page.contains(words), "{page}");
        assert_eq!(fleet.metric("agent_urls{verdict=\"good\"}"), None);
        assert_eq!(fleet.metric("nodes{provision_state=\"clean wait\"}"), None);
        assert!(fleet.json("/failures")["problems"][0].as_str().unwrap().contains(words));
        turn.store(0, Ordering::Relaxed);
        fleet.eventually("it sees again", |fleet| fleet.get("/-/ready").status == 200);
        assert_eq!(fleet.metric("agent_urls{verdict=\"good\"}"), Some(1.0));
    }
}

#[test]
fn an_ironic_that_comes_late_or_goes_is_asked_again() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fleet = Running::start(&format!("http://{gone}"), &[]);
    fleet.eventually("it is away", |fleet| fleet.metric("blind{why=\"ironic_away\"}") == Some(1.0));
    assert_eq!((fleet.metric("ironic_up"), fleet.metric("visible_nodes")), (Some(0.0), Some(0.0)));
    assert!(fleet.metric("poll_failures_total{reason=\"connect\"}") >= Some(1.0));
    assert!(fleet.text("/").contains("Blind:"), "{}", fleet.text("/"));
    assert_eq!(fleet.terminate().code(), Some(0));
    // Credentials that are not taken are not tried every 10 seconds.
    let fake = Fake::start(|target| match target {
        "/" => ok(ROOT),
        _ => Answer::Json(401, "{}".to_owned()),
    });
    let fleet = Running::start(&fake.url(), &[]);
    fleet.eventually("asked twice", |_| fake.count("/v1/nodes") >= 2);
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(fake.count("/v1/nodes"), 2, "the pause has doubled");
    assert!(fleet.metric("poll_failures_total{reason=\"unauthorized\"}") == Some(2.0));
}

#[test]
fn what_keeps_it_from_starting_has_its_code() {
    let fails = |words: &[&str], code: i32, part: &str| {
        let run: testbed::run::Run = command(&[&["run"], words].concat()).output().unwrap().into();
        assert_eq!(run.code, Some(code), "{words:?}: {}{}", run.out, run.err);
        assert!(run.err.contains(part), "{words:?}: {}", run.err);
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--web.listen-address={}", taken.local_addr().unwrap());
    let url = "--ironic.url=http://127.0.0.1:1";
    fails(&[url, &listen], 69, "--web.listen-address");
    let free = "--web.listen-address=127.0.0.1:0";
    fails(&[url, free, "--web.config.file=/nowhere.yml"], 69, "/nowhere.yml");
    fails(&[free], 64, "--ironic.url");
    fails(&[url, "--web.listen-address=x"], 64, "an address with a port");
    fails(&[url, "--since=1h"], 64, "--since");
    let run: testbed::run::Run = command(&["check", url, listen.as_str()]).output().unwrap().into();
    assert_eq!(run.code, Some(64), "a flag of run only: {}", run.err);
}

#[test]
fn the_pages_are_behind_the_password_of_the_web_configuration() {
    let fake = Fake::with_nodes(vec![node(1, "active", None)]);
    let directory = testbed::site::Directory::new("fleet-web");
    let file = directory.flag(
        "--web.config.file",
        "web.yml",
        "basic_auth_users:\n  prometheus: '$2b$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi'\n",
    );
    let fleet = Running::start(&fake.url(), &[&file]);
    let answered = |fleet: &Running| fleet.http.get("/", &[]).is_ok_and(|answer| answer.status == 401);
    let start = std::time::Instant::now();
    while !answered(&fleet) {
        assert!(start.elapsed() < crate::running::PATIENCE, "{}", fleet.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(fleet.get("/metrics").status, 401);
}

#[test]
fn foreign_text_stays_text_and_no_token_shows() {
    let hostile = "</td><script>alert(1)</script>\u{202e}\u{1b}[31m";
    let mut bad = node(1, "clean wait", Some(&format!("http://{hostile}:9999/?agent_token={TOKEN}")));
    bad["name"] = json!(hostile);
    let mut failed = node(2, "clean failed", None);
    failed["name"] = json!(hostile);
    let text = format!(
        "{hostile} HTTPConnectionPool(host='a b', port=9999): Max retries exceeded with url: /v1/commands/?agent_token={TOKEN} X-Auth-Token: {TOKEN}"
    );
    let nodes = vec![bad, failed];
    let fake = Fake::start(move |target| match target.contains("/history") {
        true => history("03:05:05", &text),
        false => plain(target, &nodes),
    });
    let fleet = Running::start(&fake.url(), &[]).ready();
    for path in ["/", "/failures", "/metrics", &format!("/nodes/{}", uuid(1)), &format!("/nodes/{}", uuid(2))]
    {
        let text = fleet.text(path);
        assert!(!text.contains(TOKEN), "{path}: {text}");
        if path.contains("nodes") || path == "/" {
            assert!(!text.contains("<script") && text.contains("&lt;script"), "{path}: {text}");
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{path}: {text}");
        }
    }
    assert!(!fleet.log().contains(TOKEN), "{}", fleet.log());
}

/// Pages of 10,000 nodes that have all failed, or have a bad URL.
pub fn crowd(count: u32) -> Fake {
    let nodes: Vec<_> = (0..count)
        .map(|number| {
            let url =
                format!("http://10.{}.{}.{}%20uid%200:9999", number >> 16, number >> 8 & 255, number & 255);
            let mut node = node(number, "clean wait", Some(&url));
            node["driver_internal_info"]["agent_cached_clean_steps"] = json!("x".repeat(1500));
            node
        })
        .collect();
    Fake::start(move |target| pages(target, &nodes))
}

/// The pages of a listing, as Ironic gives them.
fn pages(target: &str, nodes: &[Value]) -> Answer {
    let value = |name: &str| target.split(name).nth(1).map(|rest| rest.split('&').next().unwrap().to_owned());
    let is_wanted = !target.contains("provision_state=") || target.contains("clean%20wait");
    if !is_wanted || target == "/" || target.contains("/history") {
        return plain(target, &[]);
    }
    let limit: usize = value("limit=").unwrap().parse().unwrap();
    let marker = value("marker=").and_then(|uuid| u32::from_str_radix(&uuid[..8], 16).ok());
    let start = marker.map_or(0, |number| number as usize + 1);
    let page: Vec<_> = nodes.iter().skip(start).take(limit).collect();
    let more = start + page.len() < nodes.len() && !target.contains("sort_key");
    if more { ok(json!({"nodes": page, "next": "x"})) } else { ok(json!({"nodes": page})) }
}

#[test]
fn ten_thousand_nodes_take_little_memory_and_few_series() {
    const MOST_KIB: u64 = 64 << 10;
    const MOST_SERIES: usize = 1100;
    let fake = crowd(10_000);
    let fleet = Running::start(&fake.url(), &[]).ready();
    let polls = fake.count("service%20failed");
    fleet.eventually("one more poll", |_| fake.count("service%20failed") > polls);
    let html = fleet.text("/");
    assert!(
        html.contains("10000 of 10000 ramdisks") && html.contains("9800 more are not shown"),
        "{}",
        html.len()
    );
    assert_eq!(fleet.metric("node_trouble_omitted"), Some(9800.0));
    let metrics = fleet.text("/metrics");
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    let status = std::fs::read_to_string(format!("/proc/{}/status", fleet.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("10,000 bad nodes: at most {peak} KiB resident, {series} series");
    assert!(series <= MOST_SERIES, "{series} series");
    assert!(peak <= MOST_KIB, "{peak} KiB");
}

#[test]
fn the_metrics_are_those_of_the_golden_list_and_the_documentation_has_each() {
    let fake = Fake::with_nodes(vec![node(1, "clean wait", Some(SEED))]);
    let fleet = Running::start(&fake.url(), &[]).ready();
    let metrics = fleet.text("/metrics");
    let types: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let golden: Vec<_> = include_str!("../fixtures/metrics.txt").lines().collect();
    assert_eq!(types, golden, "fixtures/metrics.txt is the list");
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet.md")).unwrap();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# HELP ipa_fleet_")) {
        let (name, help) = line.split_once(' ').unwrap();
        let (start, end) = (format!("| `ipa_fleet_{name}` |"), format!("| {help} |"));
        assert!(
            docs.lines().any(|row| row.starts_with(&start) && row.ends_with(&end)),
            "docs/fleet.md has no row of {name}: {help}"
        );
    }
}
