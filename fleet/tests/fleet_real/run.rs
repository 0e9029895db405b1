//! `ipa-fleet run` before a real Ironic, with a real Prometheus behind it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::http::Http;
use testbed::ironic::{Auth, Options, RealIronic};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::Directory;

use crate::lab::{
    MEANT, PATIENCE, SEED, SHOWN, Service, ask, eventually, fleets_pages, heartbeat, ironic, is_ready,
    prometheus, text,
};

/// From a heartbeat to the first sample.
const FIRST_SAMPLE: Duration = Duration::from_secs(40);
const NODE: &str = "192.0.2.5";

#[test]
fn the_seeds_failure_shows_within_30_seconds_and_counts_once() {
    root_test!();
    let netns = Arc::new(Netns::new().unwrap());
    let ironic = ironic(Auth::Nobody, &netns);
    let url = format!("--ironic.url={}", ironic.url());
    let fleet = Service::fleet(&netns, &[&url]);
    let pages = fleets_pages(&netns);
    eventually("ready", PATIENCE, || is_ready(&pages));
    let counter = "ipa_fleet_failures_total{class=\"name_resolution\",reason=\"percent_encoded_host\"}";
    let counted =
        |pages: &Http, value: &str| text(pages, "/metrics").contains(&format!("{counter} {value}\n"));
    assert!(counted(&pages, "0"), "{}", text(&pages, "/metrics"));

    ironic.clean_wait().unwrap();
    let token = heartbeat(&ironic, SEED);
    let start = Instant::now();
    eventually("the counter", SHOWN, || counted(&pages, "1"));
    println!("from the heartbeat to the counter: {:.1} s", start.elapsed().as_secs_f64());
    let failures: Value = serde_json::from_str(&text(&pages, "/failures")).unwrap();
    println!("{failures:#}");
    let failure = &failures["failures"][0];
    assert_eq!((&failure["url"], &failure["suggestion"]), (&json!(SEED), &json!(MEANT)));
    assert_eq!((&failure["node_uuid"], &failure["counted"]), (&json!(ironic.node_uuid()), &json!(true)));
    for path in ["/".to_owned(), format!("/nodes/{}", ironic.node_uuid())] {
        let page = text(&pages, &path);
        assert!(page.contains(SEED) && page.contains(MEANT) && !page.contains(&token), "{page}");
    }
    // Three more looks, and a restart: it counts no second time.
    std::thread::sleep(Duration::from_secs(32));
    assert!(counted(&pages, "1"), "{}", text(&pages, "/metrics"));
    drop(fleet);
    let _fleet = Service::fleet(&netns, &[&url]);
    eventually("ready again", PATIENCE, || is_ready(&pages));
    let failures: Value = serde_json::from_str(&text(&pages, "/failures")).unwrap();
    let known = failures["failures"].as_array().unwrap();
    assert_eq!(
        (known.len(), &known[0]["counted"], &known[0]["url"]),
        (1, &json!(false), &json!(SEED)),
        "{failures:#}"
    );
    assert!(counted(&pages, "0"));
}

/// The pages of a sidecar, of which only the metrics count here.
fn sidecar(netns: &Netns) {
    let listener = netns.enter(|| TcpListener::bind((NODE, 10_099)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let body = "# TYPE stub_alive gauge\nstub_alive 1\n";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        }
    });
}

#[test]
fn prometheus_finds_a_ramdisk_and_keeps_it_while_ironic_is_away() {
    root_test!("prometheus");
    let (hub, node) = (Arc::new(Netns::new().unwrap()), Netns::new().unwrap());
    hub.join("nodes", &node, "eth0").unwrap();
    hub.ip("address add 192.0.2.1/24 dev nodes").unwrap();
    node.ip(&format!("address add {NODE}/24 dev eth0")).unwrap();
    sidecar(&node);
    let options = Options { netns: Some(Arc::clone(&hub)), require_tls: false, ..Options::default() };
    let mut ironic = RealIronic::start(&options).unwrap();
    let url = format!("--ironic.url={}", ironic.url());
    let _fleet = Service::fleet(&hub, &[&url, "--fast-track", "--sd.allow=192.0.2.0/24"]);
    let directory = Directory::new("fleet-prometheus");
    let _prometheus = prometheus(&hub, &directory, "http://127.0.0.1:10100/sd");
    let (pages, prometheus) = (fleets_pages(&hub), Http::inside(&hub, ([127, 0, 0, 1], 9090).into()));
    eventually("ready", PATIENCE, || is_ready(&pages) && !ask(&prometheus, "up").is_empty());
    assert_eq!(text(&pages, "/sd"), "[]", "a node is visible, and it has no ramdisk");

    heartbeat(&ironic, &format!("http://{NODE}:9999"));
    let start = Instant::now();
    eventually("a sample", PATIENCE, || !ask(&prometheus, "stub_alive").is_empty());
    let took = start.elapsed();
    println!("from the heartbeat to the first sample: {:.1} s", took.as_secs_f64());
    let labels = &ask(&prometheus, "stub_alive")[0]["metric"];
    println!("{labels}");
    assert_eq!(labels["node_uuid"], json!(ironic.node_uuid()));
    assert_eq!((&labels["job"], &labels["instance"]), (&json!("ipa-sidecar"), &json!(ironic.node_uuid())));
    assert!(took <= FIRST_SAMPLE, "{took:?}");

    // Prometheus asks on; each answer of /sd is a 503 or has the target, and none is empty.
    let is_there = || ask(&prometheus, "up%7Bjob%3D%22ipa-sidecar%22%7D%3D%3D1").len() == 1;
    let looks = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let (mut looks, start) = (Vec::new(), Instant::now());
            while start.elapsed() < Duration::from_secs(60) {
                let answer = pages.get("/sd", &[]).unwrap();
                assert!(answer.status == 503 || answer.text().contains(NODE), "{}", answer.text());
                assert!(is_there(), "{}", answer.text());
                looks.push(answer.status);
                std::thread::sleep(Duration::from_millis(250));
            }
            looks
        });
        ironic.restart(Duration::from_secs(25)).unwrap();
        looking.join().unwrap()
    });
    println!(
        "{} answers of /sd, {} of them 503",
        looks.len(),
        looks.iter().filter(|look| **look == 503).count()
    );
    assert!(looks.contains(&503), "it was away");
    eventually("seen again", PATIENCE, || text(&pages, "/sd").contains(NODE));
    assert!(is_there());
}
