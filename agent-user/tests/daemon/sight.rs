//! Sight over plain http: what IPA and Ironic say to each other is seen, with nothing in their way.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Fault, Path, StandIn};

use crate::execve::{assert_hidden, readable};

/// A client that speaks as IPA does, on one kept connection: a request for each line, `METHOD PATH [BODY]`.
const CLIENT: &str = r#"
import encodings.idna, http.client, json, os, sys
api = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
if len(sys.argv) > 3:
    os.seteuid(int(sys.argv[3]))
api.connect()
os.seteuid(0)
for line in sys.stdin:
    method, path, *body = line.rstrip("\n").split(" ", 2)
    headers = {"X-OpenStack-Ironic-API-Version": "1.68", "Connection": "keep-alive", "User-Agent": "python-requests/2"}
    if body:
        headers["Content-Type"] = "application/json"
    api.request(method, path, body=body[0] if body else None, headers=headers)
    answer = api.getresponse()
    print(json.dumps([answer.status, answer.read().decode()]), flush=True)
"#;

/// It keeps its connection, as IPA does, until it is dropped.
pub struct Client {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
    pub token: String,
}

impl Client {
    pub fn start(site: &Site) -> Self {
        Self::spawn(site, &[])
    }

    /// Of another user.
    fn nobody(site: &Site) -> Self {
        Self::spawn(site, &["65534"])
    }

    fn spawn(site: &Site, user: &[&str]) -> Self {
        let (host, port) = API.split_once(':').unwrap();
        let mut command = site.node.command("python3");
        command.args(["-c", CLIENT, host, port]).args(user);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, answers, token: "none".to_owned() }
    }

    fn ask(&mut self, request: &str) -> (u16, String) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{request}").unwrap();
        stdin.flush().unwrap();
        let answer = self.answers.next().unwrap().unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// Version and lookup.
    pub fn look_up(&mut self) -> u16 {
        self.ask("GET /");
        let (status, body) = self.ask(&format!("GET /v1/lookup?addresses={MAC}"));
        if let Ok(found) = serde_json::from_str::<Value>(&body) {
            self.token = found["config"]["agent_token"].as_str().unwrap_or("none").to_owned();
        }
        status
    }

    pub fn beat(&mut self, url: &str) -> u16 {
        self.beat_of(NODE, url)
    }

    fn beat_of(&mut self, node: &str, url: &str) -> u16 {
        let body = json!({"callback_url": url, "agent_token": self.token, "agent_version": "13.0.0"});
        self.ask(&format!("POST /v1/heartbeat/{node} {body}")).0
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // The end of its input ends it.
        let _ = self.child.wait();
    }
}

/// Mode configure, with an eye on what passes.
fn seeing(site: &Site, flags: &[&str]) -> Daemon {
    let config_dir = site.directory.config_dir();
    let daemon = site.daemon(&[&["--mode=configure", API_FLAG, &config_dir], flags].concat());
    wait_drop_in(&daemon, FIRST, SOON);
    wait_sight(&daemon);
    daemon
}

fn wait_sight(daemon: &Daemon) {
    daemon.wait_state("sight", SOON, |state| state["sight"]["http"]["attached"] == true).unwrap();
}

fn of_ipa(family: &str, result: &str) -> String {
    format!("{family}{{result=\"{result}\",sender=\"ipa\"}}")
}

fn seen_by(daemon: &Daemon, who: &str) -> f64 {
    metric(daemon, &format!("exchanges_seen_total{{seen_by=\"{who}\"}}"))
}

fn wait_seen(daemon: &Daemon, who: &str, count: f64) {
    wait_metric(daemon, &format!("exchanges_seen_total{{seen_by=\"{who}\"}}"), count, SOON);
}

/// Lookups and heartbeats with their URLs, as Ironic's log has them.
fn logged(ironic: &StandIn) -> Vec<(String, Option<String>)> {
    let what = |request: testbed::stand_in::Recorded| {
        if request.path() == "/v1/lookup" {
            return Some(("lookup".to_owned(), None));
        }
        let url = || request.json()["callback_url"].as_str().map(str::to_owned);
        request.path().starts_with("/v1/heartbeat/").then(|| ("heartbeat".to_owned(), url()))
    };
    ironic.requests().into_iter().filter_map(what).collect()
}

fn shown(state: &Value) -> Vec<(String, Option<String>)> {
    let exchanges = state["sight"]["exchanges"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    exchanges.map(|one| (text(&one["request"]).unwrap(), text(&one["callback_url"]))).collect()
}

#[test]
fn what_ipa_and_ironic_say_is_seen_as_ironic_has_it() {
    root_test!("python3");
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = seeing(&site, &[]);
    assert_eq!(ready(&daemon).0, 200);
    let tls = || Fault::Error(400, "TLS is required by configuration".to_owned());
    ironic.push_fault(Path::Heartbeat, tls());
    ironic.push_fault(Path::Heartbeat, Fault::Error(409, "Node x is locked by host y".to_owned()));
    let bad = "http://10.77.0.5%20uid%200:9999";
    let mut ipa = Client::start(&site);
    assert_eq!(ipa.look_up(), 200);
    let urls = [bad, bad, FIRST_URL, FIRST_URL, SECOND_URL];
    assert_eq!(urls.map(|url| ipa.beat(url)), [400, 409, 202, 202, 400]);
    wait_seen(&daemon, "sight", 6.0);
    let count = |family: &str, result: &str| metric(&daemon, &of_ipa(family, result));
    assert_eq!(count("lookup_attempts_total", "ok"), 1.0);
    for (result, times) in
        [("tls_required", 1.0), ("conflict", 1.0), ("accepted", 2.0), ("pinned_refused", 1.0)]
    {
        assert_eq!(count("heartbeats_total", result), times, "{result}");
    }
    assert_eq!(
        metric(&daemon, r#"bad_agent_url_total{action="none",source="ipa"}"#),
        3.0,
        "{}",
        daemon.log()
    );
    assert_eq!(metric(&daemon, "heartbeat_duration_seconds_count"), 5.0);
    assert_eq!(metric(&daemon, "heartbeat_interval_seconds"), 300.0);
    assert_eq!(seen_by(&daemon, "foreign") + seen_by(&daemon, "guard") + seen_by(&daemon, "self"), 0.0);
    let state = daemon.state().unwrap();
    assert_eq!(shown(&state), logged(&ironic));
    assert_eq!((&state["pinned_url"], &state["sight"]["node_uuid"]), (&json!(FIRST_URL), &json!(NODE)));
    let statuses: Vec<_> =
        state["sight"]["exchanges"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [200, 400, 409, 202, 202, 400]);
    let first = &state["sight"]["exchanges"][0];
    assert_eq!(
        (&first["token"], &first["uid"], &first["endpoint"]),
        (&json!("real"), &json!(0), &json!(API))
    );
    assert_eq!((&state["sight"]["lost"], &state["sight"]["given_up"]), (&json!(0), &json!(0)));
    // What Ironic refuses is no readiness.
    assert_unready(&daemon, &["Ironic holds another callback URL", SECOND_URL]);
    let mut other = Client::start(&site);
    assert_eq!((other.look_up(), other.beat(FIRST_URL)), (200, 400), "another client has no token");
    daemon.wait_state("a refusal", SOON, |state| state["sight"]["refused"].is_string()).unwrap();
    assert_eq!(metric(&daemon, &of_ipa("lookup_attempts_total", "masked_token")), 1.0);
}

#[test]
fn a_refusal_is_the_reason_until_a_heartbeat_is_accepted() {
    root_test!("python3");
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = seeing(&site, &[]);
    let mut ipa = Client::start(&site);
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, "TLS is required by configuration".to_owned()));
    assert_eq!((ipa.look_up(), ipa.beat(FIRST_URL)), (200, 400));
    wait_seen(&daemon, "sight", 2.0);
    assert_unready(&daemon, &["TLS is required by configuration", "require_tls"]);
    assert_names(
        daemon.get("/").unwrap().text(),
        &["TLS is required by configuration", "exchange over http"],
    );
    assert_eq!(ipa.beat(FIRST_URL), 202);
    wait_seen(&daemon, "sight", 3.0);
    assert_eq!(ready(&daemon).0, 200);
    assert_eq!(daemon.state().unwrap()["pinned_url"], FIRST_URL);
    assert_names(daemon.get("/").unwrap().text(), &["Ironic calls this node back at"]);
}

#[test]
fn another_user_and_another_node_decide_nothing() {
    root_test!("python3");
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = seeing(&site, &[]);
    let mut nobody = Client::nobody(&site);
    assert_eq!((nobody.look_up(), nobody.beat(SECOND_URL)), (200, 202));
    wait_seen(&daemon, "foreign", 2.0);
    assert_eq!(metric(&daemon, &of_ipa("heartbeats_total", "accepted")), 0.0);
    assert_eq!(metric(&daemon, &of_ipa("lookup_attempts_total", "ok")), 0.0);
    let state = daemon.state().unwrap();
    assert_eq!((&state["pinned_url"], &state["sight"]["exchanges"]), (&Value::Null, &json!([])));
    assert_eq!(state["sight"]["foreign"][1]["uid"], 65534);
    assert_eq!(ready(&daemon).0, 200);
    // Root, and about another node, once this one is known.
    let mut ipa = Client::start(&site);
    assert_eq!(ipa.look_up(), 200);
    wait_seen(&daemon, "sight", 1.0);
    ipa.beat_of("22222222-2222-4222-8222-222222222222", SECOND_URL);
    wait_seen(&daemon, "foreign", 3.0);
    // Another network namespace, and what goes elsewhere, is not seen at all.
    let lookup = format!("/v1/lookup?addresses={MAC}");
    Http::inside(&site.conductor, ironic.address()).get(&lookup, &[]).unwrap();
    let other = StandIn::start(site.listener("10.77.0.1:6386"), node_with_mac()).unwrap();
    Http::inside(&site.node, other.address()).get(&lookup, &[]).unwrap();
    assert_eq!(ipa.look_up(), 200);
    wait_seen(&daemon, "sight", 2.0);
    assert_eq!(seen_by(&daemon, "foreign"), 3.0);
}

#[test]
fn the_token_is_seen_and_kept_nowhere() {
    root_test!("python3");
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let daemon = seeing(&site, &["--log.level=trace"]);
    let token = format!("stand-in_token_{:0>28}", 1);
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, format!("No: agent_token={token} is refused")));
    let mut ipa = Client::start(&site);
    assert_eq!(ipa.look_up(), 200);
    assert_eq!([FIRST_URL; 3].map(|url| ipa.beat(url)), [400, 202, 202]);
    wait_seen(&daemon, "sight", 4.0);
    assert_eq!(ironic.token().as_deref(), Some(token.as_str()));
    let all = readable(&daemon);
    assert!(all.contains(" DEBUG ") && all.contains("is refused"), "{all}");
    assert_hidden(&token, &all);
    assert_eq!(copies_in_memory(daemon.pid(), token.as_bytes()), 0);
}

#[test]
fn both_families_and_loopback_are_seen_once() {
    root_test!();
    let site = Site::new();
    site.node.ip(&format!("addr add fd77::5/64 dev {DEVICE} nodad")).unwrap();
    site.conductor.ip("addr add fd77::1/64 dev ironic nodad").unwrap();
    for (api, listener) in [
        ("[fd77::1]:6385", site.listener("[fd77::1]:6385")),
        // Each packet passes twice.
        ("127.0.0.1:6385", site.listen("127.0.0.1:6385")),
    ] {
        let ironic = StandIn::start(listener, node_with_mac()).unwrap();
        let daemon = site.daemon(&[&format!("--ironic.api-url=http://{api}")]);
        wait_sight(&daemon);
        let kept = Kept::connect(&site.node, ironic.address());
        for _ in 0..3 {
            kept.ask("GET", &format!("/v1/lookup?addresses={MAC}"), None);
        }
        wait_seen(&daemon, "sight", 3.0);
        assert_eq!(metric(&daemon, &of_ipa("lookup_attempts_total", "masked_token")), 2.0, "{api}");
        let state = daemon.state().unwrap();
        assert_eq!((&state["sight"]["lookups_begun"], &state["sight"]["given_up"]), (&json!(3), &json!(0)));
    }
}

#[test]
fn without_the_privilege_that_is_reported_and_the_rest_works() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let config_dir = site.directory.config_dir();
    let daemon = site.daemon_under(
        &["setpriv", "--bounding-set", "-net_raw", "--"],
        &["--mode=configure", API_FLAG, &config_dir],
    );
    wait_drop_in(&daemon, FIRST, SOON);
    let sight = &daemon.state().unwrap()["sight"];
    assert_eq!(
        (&sight["http"]["attached"], &sight["http"]["reason"]),
        (&json!(false), &json!("not_permitted"))
    );
    assert_names(sight["http"]["detail"].as_str().unwrap(), &["CAP_NET_RAW"]);
    assert_eq!(ready(&daemon).0, 200);
}

/// What the guard carries is the guard's; its own connection to Ironic is nobody else's.
#[cfg(feature = "ebpf")]
#[test]
fn what_passes_the_guard_counts_once() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let daemon = site.guard(&[]);
    wait_drop_in(&daemon, FIRST, SOON);
    wait_redirect(&daemon);
    wait_sight(&daemon);
    let kept = Kept::connect(&site.node, API.parse().unwrap());
    let token = token(&kept.ask("GET", &format!("/v1/lookup?addresses={MAC}"), None));
    let body = json!({"callback_url": FIRST_URL, "agent_token": token, "agent_version": "13.0.0"});
    assert_eq!(kept.ask("POST", &format!("/v1/heartbeat/{NODE}"), Some(&body)).status, 202);
    wait_seen(&daemon, "guard", 2.0);
    assert_eq!(taken(&daemon), 1);
    assert_eq!(metric(&daemon, &of_ipa("heartbeats_total", "accepted")), 1.0);
    assert_eq!(seen_by(&daemon, "sight") + seen_by(&daemon, "foreign"), 0.0, "{}", daemon.log());
}
