//! The web server: what it answers, what it documents, and how it bears bad clients.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, Fault, Path, StandIn};

const HOSTILE: &str = "http://<script>alert('x')</script>&\"quot\"";

/// The daemon in agent mode after everything happened: lookups and heartbeats of every end, a bad URL that Ironic
/// holds, a lost address, problems with parameters.
fn eventful(site: &Site) -> (Daemon, StandIn, Directory) {
    let ironic = site.ironic(Behaviour { heartbeat_timeout: 10, ..pregenerated() });
    for status in [400, 404, 409, 503] {
        ironic.push_fault(Path::Lookup, Fault::Error(status, "no".to_owned()));
    }
    ironic.push_fault(Path::Lookup, Fault::GarbageJson);
    site.pin(&ironic, "http://<img src=x>:9999");
    ironic.push_fault(Path::Heartbeat, Fault::Error(503, "no".to_owned()));
    let directory = Directory::new("eventful");
    directory.flag("", "cmdline", &format!("ipa-api-url={HOSTILE},http://{API}"));
    let token = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let flags = ["--mode=agent", WITHOUT_LISTENER, "--ironic.request-timeout=1", &token];
    let daemon = site.daemon_with(&directory.file("cmdline"), &[], &flags);
    wait_metric(&daemon, "agent_url_stale", 1.0, Duration::from_secs(60));
    ironic.power_cycle();
    wait_metric(&daemon, ACCEPTED, 1.0, Duration::from_secs(60));
    site.change(FIRST, SECOND);
    wait_metric(&daemon, "agent_url_stale", 1.0, LATER);
    (daemon, ironic, directory)
}

#[test]
#[cfg_attr(not(feature = "ebpf"), ignore = "the guard needs the eBPF programs")]
fn after_everything_happened_metrics_state_and_page_are_as_documented() {
    root_test!();
    let site = Site::new();
    let (daemon, _ironic, _directory) = eventful(&site);

    let metrics = daemon.get("/metrics").unwrap();
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    let metrics = metrics.text();
    let samples = metrics.lines().filter(|line| !line.starts_with('#')).count();
    assert!((100..=300).contains(&samples), "{samples} samples");
    promtool_is_silent(&metrics);
    assert_eq!(families(&metrics), expected_families(&metrics));

    let state = daemon.get("/state").unwrap();
    assert_eq!(state.header("content-type"), Some("application/json"));
    assert_eq!(state.header("cache-control"), Some("no-store"));
    let state = state.json().unwrap();
    for list in ["problems", "heartbeats", "bad_agent_urls", "api_urls"] {
        assert!(!state[list].as_array().unwrap().is_empty(), "{list}");
    }
    let page = daemon.get("/").unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let page = page.text();
    assert!(page.contains("&lt;script&gt;alert(") && page.contains("&lt;img src=x&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(!page.contains("alert('x')"), "{page}");
    assert_names(&page, &[SECOND_URL, "Not ready", "pinned_refused", "pinned_stale", "power the node off"]);
    for text in [&page, &metrics, &state.to_string()] {
        assert!(!text.contains(TOKEN));
    }
    drop(daemon);
    let guarded = state_of_a_guard(&site);
    let off = site.guard(&["--guard.redirect=off"]);
    let _ipa = IpaProcess::start(&site.node); // It reads what oslo.config reads by itself.
    let is_there = |state: &Value| state["guard"]["off"].is_object() && state["passed_by"].is_object();
    let off = off.wait_state("no guard, and an IPA that does not read the drop-in", LATER, is_there).unwrap();
    assert_is_documented(&[state, guarded, off, state_of_sight(&site)]);
}

/// A guard that has seen a lookup and a process of IPA's.
fn state_of_a_guard(site: &Site) -> Value {
    let ipa = IpaProcess::start(&site.node);
    let daemon = site.guard(&[]);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    daemon.wait_state("IPA's process", LATER, |state| state["ipa"]["process"]["pid"] == ipa.pid()).unwrap();
    wait_redirect(&daemon);
    site.lookup();
    let nobody = Http::inside(&site.node, "127.0.0.1:1".parse().unwrap());
    nobody.get("/", &[]).unwrap_err();
    daemon
        .wait_state("an event of the guard's and a failed connect", SOON, |state| {
            let seen = state["probes"]["connect_failures"][0]["peer"].is_string();
            state["guard"]["events"][0]["what"].is_string() && (seen || !sees_connects(state))
        })
        .unwrap()
}

/// A daemon that has seen an exchange of IPA's, and one about another node.
fn state_of_sight(site: &Site) -> Value {
    let daemon = site.daemon(&[API_FLAG]);
    daemon.wait_state("sight", SOON, |state| state["sight"]["http"]["attached"] == true).unwrap();
    let ipa = Kept::connect(&site.node, API.parse().unwrap());
    ipa.ask("GET", &format!("/v1/lookup?addresses={MAC}"), None);
    let body = serde_json::json!({"callback_url": FIRST_URL});
    ipa.ask("POST", "/v1/heartbeat/22222222-2222-4222-8222-222222222222", Some(&body));
    let both = |state: &Value| ["exchanges", "foreign"].iter().all(|list| !state["sight"][list][0].is_null());
    daemon.wait_state("both kinds of exchanges", SOON, both).unwrap()
}

/// Whether failed connects are seen: not by every binary, and not on every kernel.
fn sees_connects(state: &Value) -> bool {
    let probes = state["probes"]["list"].as_array().unwrap();
    let attached = |probe: &Value| probe["probe"] == "connect" && probe["attached"] == true;
    probes.iter().any(attached)
}

/// What is written down, without the two families that have no sample here: what the probes do not see is not counted,
/// and where all are attached there is no reason why one is not.
fn expected_families(metrics: &str) -> String {
    let attached = |value: &str| {
        let samples = metrics.lines().filter_map(|line| line.strip_prefix("ipa_sidecar_probe_attached{"));
        samples.filter(|sample| sample.ends_with(value)).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut without = Vec::new();
    if attached("} 0").is_empty() {
        without.push("ipa_sidecar_probe_unavailable_info ");
    }
    if !attached("} 1").iter().any(|sample| sample.starts_with("probe=\"connect\"")) {
        without.push("ipa_sidecar_connect_failures_total ");
    }
    let lines = include_str!("../fixtures/metrics.txt").lines();
    let kept = lines.filter(|line| !without.iter().any(|name| line.contains(name)));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Name, type and label names of each family, and what it is for.
fn families(metrics: &str) -> String {
    let mut labels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name_end = line.find(['{', ' ']).unwrap();
        let found = labels.entry(line[..name_end].to_owned()).or_default();
        if line[name_end..].starts_with('{') {
            let inside = &line[name_end + 1..line.rfind('}').unwrap()];
            for label in inside.split("\",").filter_map(|pair| pair.split_once('=')) {
                if label.0 != "le" && !found.contains(&label.0.to_owned()) {
                    found.push(label.0.to_owned());
                }
            }
        }
    }
    let mut text = String::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let sample = if kind == "histogram" { format!("{name}_bucket") } else { name.to_owned() };
        let labels = labels.get(&sample).unwrap_or_else(|| panic!("{name} has no sample")).join(",");
        text.push_str(&format!("# TYPE {name} {kind} {{{labels}}}\n"));
    }
    text
}

fn promtool_is_silent(metrics: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI has promtool: {error}");
            eprintln!("SKIP: promtool is not installed: {error}");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

/// Every key with the types that it has, entries of arrays under `[]`.
fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, Vec<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !path.is_empty() && !path.ends_with("[]") {
        found.entry(path.to_owned()).or_default().push(kind);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let separator = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{separator}{key}"), value, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                flatten(&format!("{path}[]"), item, found);
            }
        }
        _ => {}
    }
}

fn assert_is_documented(states: &[Value]) {
    let mut found = BTreeMap::new();
    for state in states {
        flatten("", state, &mut found);
    }
    let table = include_str!("../../../docs/state.md");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let seen = states.iter().any(sees_connects);
    let rows = rows.filter(|row| seen || !row.starts_with("probes.connect_failures[]"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let (key, rest) = row.split_once("` | ").unwrap();
            let (kind, meaning) = rest.split_once(" | ").unwrap();
            assert!(meaning.len() > 5, "{key} has no meaning");
            (key.to_owned(), kind.to_owned())
        })
        .collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        documented.keys().collect::<Vec<_>>(),
        "what is served and what docs/state.md says"
    );
    for (key, kinds) in found {
        let allowed: Vec<_> = documented[&key].split(" or ").collect();
        for kind in kinds {
            assert!(allowed.contains(&kind), "{key} is {kind}, documented as {allowed:?}");
        }
    }
}

#[test]
fn requests_of_every_kind_are_answered() {
    root_test!();
    let (site, daemon) = Site::observed();
    assert_is_subset_of_the_documented(&daemon.state().unwrap());
    for (path, kind) in [
        ("/-/healthy", "text/plain; charset=utf-8"),
        ("/-/ready", "text/plain; charset=utf-8"),
        ("/metrics?name[]=x", "text/plain; version=0.0.4"),
    ] {
        let answer = daemon.get(path).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
    }
    assert_eq!(daemon.get("/-/healthy").unwrap().text(), "healthy\n");
    let missing = daemon.get("/nothing/here").unwrap();
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("/-/ready"));

    let ask = |request: &str| raw(&site.node, WEB, request).unwrap();
    for path in ["/", "/metrics", "/state", "/-/ready"] {
        let answer = ask(&format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\ncontent-length: "), "{head}");
        assert_eq!(body, "", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let head = "Host: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
        let answer = ask(&format!("{method} /state HTTP/1.1\r\n{head}"));
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nallow: get, head\r\n"), "{answer}");
    }
    assert!(ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let huge = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "x".repeat(15_000));
    assert!(ask(&format!("{huge}GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).contains(" 200 "));
}

/// Where nothing has happened some arrays are empty, but no key is new.
fn assert_is_subset_of_the_documented(state: &Value) {
    let mut found = BTreeMap::new();
    flatten("", state, &mut found);
    let table = include_str!("../../../docs/state.md");
    for key in found.keys() {
        assert!(table.contains(&format!("| `{key}` | ")), "{key} is not documented");
    }
}

#[test]
fn too_large_a_head_is_refused() {
    root_test!();
    let (site, daemon) = Site::observed();
    let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "x".repeat(100_000));
    // It may close before all was sent, which is an error here; or answer.
    if let Ok(answer) = raw(&site.node, WEB, &request) {
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
}

#[test]
fn slow_and_many_clients_are_borne() {
    root_test!();
    let (site, daemon) = Site::observed();
    let before = open_files(&daemon);
    let begun = Instant::now();
    let mut idle: Vec<TcpStream> = Vec::new();
    site.node
        .enter(|| {
            for _ in 0..200 {
                let address = WEB.parse().unwrap();
                // The kernel's queue is full at some time, and then no more come.
                let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) else {
                    break;
                };
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ");
                idle.push(stream);
            }
        })
        .unwrap();
    assert!(idle.len() > 32, "{} connections", idle.len());
    let open = open_files(&daemon);
    assert!(open < before + 70, "{open} open files, {before} before");
    let mut first = idle.remove(0);
    first.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = Vec::new();
    let _ = first.read_to_end(&mut answer);
    let dropped = begun.elapsed().as_secs_f64();
    assert!((8.0..15.0).contains(&dropped), "dropped after {dropped} s");
    // The others go as well, and then there is room.
    drop(idle);
    let answer = daemon.wait("room", Duration::from_secs(30), || daemon.get("/metrics").ok()).unwrap();
    assert_eq!(answer.status, 200);
    wait_until(&daemon, "closed files", SOON, || open_files(&daemon) < before + 10);
}

#[test]
fn clients_that_do_not_read_hold_up_no_other_host_and_are_dropped() {
    root_test!();
    let (site, daemon) = Site::observed();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400);
    let from = |host: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
        socket.connect(&WEB.parse::<SocketAddr>().unwrap().into()).unwrap();
        TcpStream::from(socket)
    };
    let ask = |host: [u8; 4]| {
        let mut stream = from(host);
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let mut first = [0; 12];
        let asked = stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n");
        asked.and_then(|()| stream.read_exact(&mut first)).is_ok_and(|()| first == *b"HTTP/1.1 200")
    };
    site.node
        .enter(|| {
            let silent: Vec<_> = (0..64)
                .map(|_| {
                    let mut stream = from([127, 0, 0, 1]);
                    stream.set_nonblocking(true).unwrap();
                    let _ = stream.write(request.as_bytes());
                    stream
                })
                .collect();
            assert!(ask([127, 0, 0, 2]), "another host");
            wait_until(&daemon, "room for the same host", Duration::from_secs(30), || ask([127, 0, 0, 1]));
            drop(silent);
        })
        .unwrap();
}

#[test]
fn a_port_in_use_is_named_and_tried_again_and_the_duty_goes_on() {
    root_test!();
    let site = Site::new();
    let other = site.listen(WEB);
    let daemon = site.daemon(&["--mode=configure", API_FLAG, &site.directory.config_dir()]);
    daemon.wait_log("the pages are not served: ", SOON).unwrap();
    assert_names(daemon.log(), &["127.0.0.1:10099", "in use", "--web.listen-address"]);
    daemon.wait("the drop-in", SOON, || site.drop_in().contains(FIRST).then_some(())).unwrap();
    assert_names(crate::status::status(&site, &[]).out, &["the pages are not served"]);
    drop(other);
    assert_eq!(daemon.wait("an answer", SOON, || daemon.get("/-/healthy").ok()).unwrap().status, 200);
}

#[test]
fn a_second_daemon_ends_and_one_that_only_watches_does_not() {
    root_test!();
    let site = Site::new();
    let first = site.daemon(&["--mode=configure", API_FLAG, &site.directory.config_dir()]);
    wait_drop_in(&first, FIRST, SOON);
    let flags = ["--mode=guard", API_FLAG, &site.directory.config_dir(), "--web.listen-address=127.0.0.1:1"];
    assert_refuses(&mut site.daemon(&flags), 69, &["another ipa-sidecar", "daemon.lock", "observe"]);
    let watching = site.daemon(&[API_FLAG, "--web.listen-address=127.0.0.1:1"]);
    watching.wait_log("serving the pages", SOON).unwrap();
    let status = crate::status::status(&site, &["--json"]).out;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&status).unwrap()["mode"], "configure");
}

#[test]
fn by_default_it_listens_on_both_families() {
    root_test!();
    let site = Site::new();
    let ask = |address: &str| Http::inside(&site.node, address.parse().unwrap()).get("/-/healthy", &[]);
    for (ipv6, works) in [("0", true), ("1", false)] {
        site.node.sysctl("net/ipv6/conf/all/disable_ipv6", ipv6).unwrap();
        let mut command = site.node.command(binary());
        command.args(["run", "--no-vmedia", "--cmdline.path=/dev/null", API_FLAG]);
        let daemon = Daemon::from_command(command, &site.node).unwrap();
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        assert_eq!(ask("127.0.0.1:10099").unwrap().status, 200);
        assert_eq!(ask("10.77.0.5:10099").unwrap().status, 200);
        assert_eq!(ask("[::1]:10099").is_ok(), works);
    }
}
