//! A real Prometheus in a network that the node is not in: the relay of `ipa-fleet run` stands between.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::http::Http;
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::*;

use crate::lab::{PATIENCE, Service, ask, eventually, fleets_pages, heartbeat, is_ready, prometheus, text};

#[test]
fn prometheus_has_the_samples_of_a_node_that_it_cannot_reach() {
    root_test!("prometheus");
    let site = Site::new();
    let monitoring = Arc::new(Netns::new().unwrap());
    monitoring.join("eth0", &site.conductor, "monitoring").unwrap();
    site.conductor.ip("addr add 10.88.0.1/24 dev monitoring").unwrap();
    monitoring.ip("addr add 10.88.0.2/24 dev eth0").unwrap();
    let netns = Some(Arc::clone(&site.conductor));
    let ironic = RealIronic::start(&Options { netns, require_tls: false, ..Options::default() }).unwrap();
    let flags = ["--fast-track", "--relay.allow=10.77.0.0/24", "--sd.allow=10.77.0.0/24"];
    let url = format!("--ironic.url={}", ironic.url());
    let _fleet = Service::fleet(&site.conductor, &[&[url.as_str()], &flags[..]].concat());
    let _sidecar = site.daemon(&["--mode=observe", API_FLAG, "--web.listen-address=0.0.0.0:10099"]);
    let pages = fleets_pages(&site.conductor);
    eventually("ready", PATIENCE, || is_ready(&pages));

    let direct = || TcpStream::connect_timeout(&"10.77.0.5:10099".parse().unwrap(), Duration::from_secs(1));
    assert!(monitoring.enter(direct).unwrap().is_err(), "there is no way from Prometheus to the node");
    let directory = Directory::new("fleet-relay");
    let _prometheus = prometheus(&monitoring, &directory, "http://10.88.0.1:10100/sd?via=relay");
    let prometheus = Http::inside(&monitoring, ([127, 0, 0, 1], 9090).into());
    heartbeat(&ironic, FIRST_URL);
    let start = Instant::now();
    let sample = || ask(&prometheus, "ipa_sidecar_advertise_address_valid");
    eventually("a sample", PATIENCE, || !sample().is_empty());
    println!("from the heartbeat to the first sample: {:.1} s", start.elapsed().as_secs_f64());
    let metric = &sample()[0]["metric"];
    println!("{metric}");
    assert_eq!((&metric["job"], &metric["node_uuid"]), (&json!("ipa-sidecar"), &json!(ironic.node_uuid())));
    let ok = text(&pages, "/metrics");
    assert!(!ok.contains("ipa_fleet_relay_requests_total{result=\"ok\"} 0\n"), "{ok}");
}
