//! Tests of the targets.

use std::time::Instant;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::Settings;
use crate::cidr::Cidrs;
use crate::moment::Moment;
use crate::node::Node;
use crate::params::Parameters;
use crate::poll::key;
use crate::run::fleet::{Blind, Fleet, Why};
use crate::run::kept::Kept;
use crate::run::metrics::Metrics;
use crate::subject::Subject;

const NOW: u64 = 10_000_000;

fn at(seconds: u64) -> Moment {
    Moment::from_seconds(seconds)
}

fn fleet(nodes: &[(u32, &str)]) -> Fleet {
    fleet_of(nodes.iter().map(|(number, url)| node(*number, url)).collect())
}

fn node(number: u32, url: &str) -> Node {
    Node {
        uuid: format!("{number:08x}-a8d4-4a05-9443-41b0855f1ec3"),
        name: (number % 2 == 1).then(|| format!("rack~{number}")),
        provision_state: "clean wait".to_owned(),
        agent_url: Some(url.to_owned()),
        last_heartbeat: Some(at(NOW - 60)),
        powered_on: true,
        ..Node::default()
    }
}

fn fleet_of(nodes: Vec<Node>) -> Fleet {
    let kept = |node: Node| {
        let (key, powered_on) = (key(&node.uuid), node.powered_on);
        (key, std::sync::Arc::new(Kept::of(&Subject::of(node), key, powered_on, None)))
    };
    Fleet {
        nodes: nodes.into_iter().map(kept).collect(),
        blind: Vec::new(),
        now: at(NOW),
        last_good: Some(Instant::now()),
        ironic: vec!["192.0.2.250".parse().unwrap()],
        ..Fleet::starting()
    }
}

fn settings(change: impl FnOnce(&mut Parameters)) -> Settings {
    let mut parameters = Parameters::for_tests();
    change(&mut parameters);
    let is_own = |address| address == std::net::IpAddr::from([192, 0, 2, 251]);
    let mut settings = Settings::of(&parameters);
    settings.is_own = is_own;
    settings
}

fn ask(settings: &Settings, fleet: &Fleet, query: Option<&str>, host: Option<&str>) -> (u16, String) {
    let answer = settings.answer(fleet, query, host, &Metrics::new().unwrap());
    let status = answer.status().as_u16();
    if status == 200 {
        assert_eq!(answer.headers()["content-type"], "application/json");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn listed(settings: &Settings, fleet: &Fleet) -> Vec<String> {
    let (status, body) = ask(settings, fleet, None, None);
    assert_eq!(status, 200, "{body}");
    let groups: Value = serde_json::from_str(&body).unwrap();
    groups.as_array().unwrap().iter().map(|group| group["targets"][0].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_target_needs_no_relabelling() {
    let fleet = fleet(&[(2, "http://192.0.2.2%20uid%200:9999"), (1, "https://[2001:db8::1]:9999")]);
    let (_, body) = ask(&settings(|_| {}), &fleet, None, None);
    let expected = json!([
        {"targets": ["[2001:db8::1]:10099"], "labels": {
            "instance": "rack~1", "node_uuid": "00000001-a8d4-4a05-9443-41b0855f1ec3", "__scheme__": "http",
            "__meta_ironic_name": "rack~1", "__meta_ironic_provision_state": "clean wait",
            "__meta_ironic_address": "2001:db8::1"}},
        {"targets": ["192.0.2.2:10099"], "labels": {
            "instance": "00000002-a8d4-4a05-9443-41b0855f1ec3", "node_uuid": "00000002-a8d4-4a05-9443-41b0855f1ec3",
            "__scheme__": "http", "__meta_ironic_name": "", "__meta_ironic_provision_state": "clean wait",
            "__meta_ironic_address": "192.0.2.2"}},
    ]);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[test]
fn port_and_scheme_are_ours_and_the_relay_is_named_as_it_is_reached() {
    let fleet = fleet(&[(1, "http://192.0.2.2:1")]);
    let own = settings(|p| {
        (p.sidecar.port, p.sidecar.scheme) = (7, callback_url::Scheme::Https);
        p.relay_allow = everywhere();
    });
    let (_, body) = ask(&own, &fleet, None, None);
    assert!(body.contains("192.0.2.2:7") && body.contains(r#""__scheme__":"https""#), "{body}");
    let (_, body) = ask(&own, &fleet, Some("via=relay"), Some("fleet.example:10100"));
    let groups: Value = serde_json::from_str(&body).unwrap();
    let labels = &groups[0]["labels"];
    assert_eq!(groups[0]["targets"], json!(["fleet.example:10100"]));
    assert_eq!((&labels["__metrics_path__"], &labels["__scheme__"]), (&json!("/relay"), &Value::Null));
    assert_eq!(labels["__param_node"], labels["node_uuid"]);
    let external = settings(|p| {
        p.relay_allow = everywhere();
        p.web.external_url = Some(callback_url::ApiUrl::parse("https://fleet.example/ipa").unwrap());
    });
    let (_, body) = ask(&external, &fleet, Some("via=relay"), None);
    for part in ["\"fleet.example:443\"", "\"/ipa/relay\"", r#""__scheme__":"https""#] {
        assert!(body.contains(part), "{part}: {body}");
    }
    assert_eq!(ask(&own, &fleet, Some("via=relay"), None).0, 400);
    assert_eq!(ask(&own, &fleet, Some("via=relay"), Some("a\"b")).0, 400);
    assert_eq!(ask(&own, &fleet, Some("via=magic"), Some("a")).0, 400);
}

fn everywhere() -> Cidrs {
    Cidrs::parse("0.0.0.0/0,::/0").unwrap()
}

#[test]
fn targets_of_the_relay_are_those_that_it_may_ask() {
    let two = fleet(&[(1, "http://192.0.2.2:9999"), (2, "http://198.51.100.7:9999")]);
    let (status, body) = ask(&settings(|_| {}), &two, Some("via=relay"), Some("h"));
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("--relay.allow"), "{body}");
    let some = settings(|p| {
        p.relay_allow = Cidrs::parse("198.51.100.0/24").unwrap();
        p.sd_allow = Some(Cidrs::parse("192.0.2.0/24").unwrap());
    });
    let (_, body) = ask(&some, &two, Some("via=relay"), Some("h"));
    assert!(body.contains("00000002-") && !body.contains("00000001-"), "{body}");
    assert_eq!(listed(&some, &two), ["192.0.2.2:10099"]);
}

#[test]
fn only_running_ramdisks_with_an_address_of_their_own_are_listed() {
    let any = settings(|_| {});
    for (url, why) in [
        ("http://127.0.0.1:9999", "loopback"),
        ("http://[::1]:9999", "loopback"),
        ("http://[::ffff:127.0.0.1]:9999", "loopback, mapped"),
        ("http://0.0.0.0:9999", "unspecified"),
        ("http://169.254.1.1:9999", "link-local"),
        ("http://[fe80::1]:9999", "link-local"),
        ("http://224.0.0.1:9999", "multicast"),
        ("http://255.255.255.255:9999", "broadcast"),
        ("http://192.0.2.250:9999", "Ironic's own"),
        ("http://192.0.2.251:9999", "the fleet's own"),
        ("http://node1.example:9999", "a name"),
        ("http://None:9999", "no address"),
        ("", "nothing"),
    ] {
        assert_eq!(listed(&any, &fleet(&[(1, url)])), [""; 0], "{why}");
    }
    let good = "http://192.0.2.2:9999";
    assert_eq!(listed(&any, &fleet(&[(1, good)])), ["192.0.2.2:10099"]);
    let off = Node { powered_on: false, ..node(1, good) };
    let failed = Node { provision_state: "clean failed".to_owned(), ..node(1, good) };
    let silent = Node { last_heartbeat: Some(at(NOW - 900)), ..node(1, good) };
    for node in [off, failed, silent] {
        assert_eq!(listed(&any, &fleet_of(vec![node])), [""; 0]);
    }
    // A node that was not heard by Ironic for long, and has reported.
    let silent = Node { last_heartbeat: Some(at(NOW - 9000)), ..node(1, good) };
    let reported = [key(&silent.uuid)].into();
    assert_eq!(listed(&any, &Fleet { reported, ..fleet_of(vec![silent]) }), ["192.0.2.2:10099"]);
    let narrow = settings(|p| p.sd_allow = Some(Cidrs::parse("198.51.100.0/24").unwrap()));
    let both = fleet(&[(1, good), (2, "http://198.51.100.7:9999")]);
    assert_eq!(listed(&narrow, &both), ["198.51.100.7:10099"]);
}

#[test]
fn an_address_that_two_claim_is_listed_for_neither() {
    let any = settings(|_| {});
    let shared =
        [(1, "http://192.0.2.2:9999"), (2, "http://192.0.2.2%20uid%200:9999"), (3, "http://192.0.2.3:9999")];
    assert_eq!(listed(&any, &fleet(&shared)), ["192.0.2.3:10099"]);
    let troubles = crate::run::trouble::of(&fleet(&shared));
    assert_eq!(
        troubles.iter().map(|one| one.class()).collect::<Vec<_>>(),
        ["bad_agent_url", "shared_address"]
    );
    // One that is gone claims nothing.
    let gone = Node { last_heartbeat: Some(at(NOW - 9000)), ..node(1, "http://192.0.2.2:9999") };
    assert_eq!(listed(&any, &fleet_of(vec![gone, node(2, "http://192.0.2.2:9999")])), ["192.0.2.2:10099"]);
}

#[test]
fn blindness_keeps_the_targets() {
    let any = settings(|_| {});
    let mut fleet = fleet(&[(1, "http://192.0.2.2:9999")]);
    assert_eq!(ask(&any, &Fleet::starting(), None, None).0, 503);
    fleet.last_good = Instant::now().checked_sub(std::time::Duration::from_secs(301));
    assert_eq!(ask(&any, &fleet, None, None).0, 503, "too old");
    fleet.last_good = Some(Instant::now());
    fleet.blind = vec![Blind { why: Why::IronicAway, text: "away".to_owned() }];
    assert_eq!(ask(&any, &fleet, None, None), (503, "no targets: away\n".to_owned()));
    assert_eq!(ask(&any, &fleet_of(Vec::new()), None, None), (200, "[]".to_owned()), "no ramdisk");
}
