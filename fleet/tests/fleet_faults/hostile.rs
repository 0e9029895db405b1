//! Pages and fields of a sender who means harm, or of a conductor that is odd.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::fake::{Answer, Fake, ROOT, TOKEN, assert_blind, command, fleet, node, ok, plain, uuid};

#[test]
fn next_is_never_followed_and_markers_are_our_own() {
    let fake = Fake::start(|target| {
        let page = |numbers: std::ops::Range<u32>, more: bool| {
            let nodes: Vec<_> = numbers.map(|number| node(number, "active", None)).collect();
            let next = "http://192.0.2.66:6385/v1/nodes?evil=1";
            if more { ok(json!({"nodes": nodes, "next": next})) } else { ok(json!({"nodes": nodes})) }
        };
        match target {
            "/" => ok(ROOT),
            _ if target.contains("provision_state=") || target.contains("sort_key") => page(0..0, false),
            _ if target.contains(&format!("marker={}", uuid(9))) => page(10..13, false),
            _ if !target.contains("marker=") => page(0..10, true),
            _ => Answer::Json(500, target.to_owned()),
        }
    });
    let run = fake.check(&[]);
    assert_eq!((run.code, &run.json()["visible"]), (Some(0), &json!(13)), "{}", run.out);
    assert_eq!(fake.count("evil"), 0);
}

#[test]
fn the_marker_may_be_a_node_that_was_deleted_meanwhile() {
    let fake = Fake::start(|target| {
        let page = |numbers: std::ops::Range<u32>| {
            numbers.map(|number| node(number, "active", None)).collect::<Vec<_>>()
        };
        match target {
            "/" => ok(ROOT),
            _ if target.contains("provision_state=") || target.contains("sort_key") => {
                ok(json!({"nodes": []}))
            }
            _ if target.contains(&format!("marker={}", uuid(9))) => Answer::Json(404, "{}".to_owned()),
            _ if target.contains(&format!("marker={}", uuid(8))) => ok(json!({"nodes": page(10..12)})),
            _ if !target.contains("marker=") => ok(json!({"nodes": page(0..10), "next": "x"})),
            _ => Answer::Json(500, target.to_owned()),
        }
    });
    let run = fake.check(&[]);
    assert_eq!((run.code, &run.json()["visible"]), (Some(0), &json!(12)), "{}", run.out);
}

#[test]
fn pages_without_end_end() {
    let fake = Fake::start(|target| match target {
        "/" => ok(ROOT),
        _ => ok(json!({"nodes": [node(1, "active", None)], "next": "x"})),
    });
    assert_blind(&fake.check(&[]), &["do not end"]);
    assert!(fake.count("/v1/nodes") < 10);
}

#[test]
fn an_agent_url_of_a_megabyte_is_judged_and_cut() {
    let long = format!("http://{}:9999", "a.".repeat(1 << 19));
    let nodes: Vec<_> = (0..10).map(|number| node(number, "clean wait", Some(&long))).collect();
    let largest = AtomicU32::new(0);
    // It honours the limit: pages of 10 MB are refused, smaller ones are not.
    let fake = Fake::start(move |target| {
        if !target.contains("clean%20wait") {
            return plain(target, &[]);
        }
        let value =
            |name: &str| target.split(name).nth(1).map(|rest| rest.split('&').next().unwrap().to_owned());
        let limit: usize = value("limit=").unwrap().parse().unwrap();
        let marker = value("marker=").and_then(|uuid| u32::from_str_radix(&uuid[..8], 16).ok());
        let start = marker.map_or(0, |number| number as usize + 1);
        let page: Vec<_> = nodes.iter().skip(start).take(limit).collect();
        largest.fetch_max(u32::try_from(page.len()).unwrap(), Ordering::Relaxed);
        let more = start + page.len() < nodes.len();
        if more { ok(json!({"nodes": page, "next": "x"})) } else { ok(json!({"nodes": page})) }
    });
    let run = fake.check(&[]);
    let found = run.json();
    assert_eq!(found["nodes"].as_array().unwrap().len(), 10, "{}", run.problems());
    assert!(run.out.len() < 100_000, "{} bytes", run.out.len());
}

#[test]
fn hidden_fields_are_blindness() {
    let mut hidden = node(1, "clean wait", None);
    hidden["driver_internal_info"] =
        json!({"content": "** Redacted - Requires baremetal:node:get:driver_internal_info permission. **"});
    assert_blind(&Fake::with_nodes(vec![hidden]).check(&[]), &["hides", "reader"]);
    let mut hidden = node(1, "clean failed", None);
    hidden["last_error"] = json!("** Value Redacted - Requires baremetal:node:get:last_error permission. **");
    assert_blind(&Fake::with_nodes(vec![hidden]).check(&[]), &["hides"]);
}

#[test]
fn no_token_and_nothing_that_a_terminal_acts_on_is_shown() {
    let mut bad =
        node(1, "clean wait", Some(&format!("http://\u{1b}[31m\u{202e}x:9999/?agent_token={TOKEN}")));
    bad["name"] = json!("a'\"~\u{1b}]0;x\u{7}\u{202e}b\nc");
    let mut failed = node(2, "clean failed", None);
    failed["last_error"] = json!(format!("X-Auth-Token: {TOKEN}"));
    let nodes = vec![bad, failed];
    let event = format!(
        "agent HTTPSConnectionPool(host='10.0.0.1', port=9999): Max retries exceeded with url: \
         /v1/commands/?agent_token={TOKEN} Authorization: Basic {TOKEN}\u{1b}[2J temp_url_sig={TOKEN}"
    );
    let fake = Fake::start(move |target| match target.contains("/history") {
        true => ok(json!({"history": [{"created_at": "2026-01-02T03:04:00+00:00", "event": event}]})),
        false => plain(target, &nodes),
    });
    for words in
        [vec!["check"], vec!["check", "--json"], vec!["check", "--log.level=trace", "--log.format=json"]]
    {
        let run = fleet(&[&words[..], &[&format!("--ironic.url={}", fake.url())]].concat());
        assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
        let shown = format!("{}{}", run.out, run.err);
        assert!(!shown.contains(TOKEN), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
    // An error text that echoes what was sent.
    let echo = Fake::start(|target| match target {
        "/" => ok(ROOT),
        _ => Answer::Json(400, format!("{{\"error_message\": \"Authorization: Basic {TOKEN} \\u001b[2J\"}}")),
    });
    let run = echo.check(&[]);
    assert!(!run.out.contains(TOKEN) && !run.out.contains('\u{1b}'), "{}", run.out);
}

#[test]
fn ten_thousand_nodes_take_little_memory() {
    const MOST_KIB: u64 = 64 << 10;
    let nodes: Vec<_> = (0..10_000)
        .map(|number| {
            let url =
                format!("http://10.{}.{}.{}%20uid%200:9999", number >> 16, number >> 8 & 255, number & 255);
            let mut node = node(number, "clean wait", Some(&url));
            node["driver_internal_info"]["agent_cached_clean_steps"] = json!("x".repeat(1500));
            node
        })
        .collect();
    let fake = Fake::start(move |target| {
        let value =
            |name: &str| target.split(name).nth(1).map(|rest| rest.split('&').next().unwrap().to_owned());
        let is_wanted =
            target == "/" || !target.contains("provision_state=") || target.contains("clean%20wait");
        if !is_wanted || target.contains("sort_key") || target == "/" {
            return plain(target, &[]);
        }
        let limit: usize = value("limit=").unwrap().parse().unwrap();
        let marker = value("marker=").and_then(|uuid| u32::from_str_radix(&uuid[..8], 16).ok());
        let start = marker.map_or(0, |number| number as usize + 1);
        let page: Vec<_> = nodes.iter().skip(start).take(limit).collect();
        let more = start + page.len() < nodes.len();
        if more { ok(json!({"nodes": page, "next": "x"})) } else { ok(json!({"nodes": page})) }
    });
    let url = format!("--ironic.url={}", fake.url());
    let mut child = command(&["check", "--all", &url]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    let code = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default());
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    println!("10,000 bad nodes: at most {peak} KiB resident");
    assert_eq!(code, Some(1));
    assert!(peak > 0 && peak <= MOST_KIB, "{peak} KiB");
}
