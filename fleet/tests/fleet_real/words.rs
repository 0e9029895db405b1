//! A real Ironic, a real sidecar in the node, and `ipa-fleet run` beside the conductor: what is left of a node.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use testbed::http::Http;
use testbed::ironic::{Options, RealIronic};
use testbed::root_test;
use testbed::site::*;

use crate::lab::{
    MEANT, PATIENCE, SEED, SHOWN, Service, eventually, fleets_pages, heartbeat_from, is_ready, text,
};

#[test]
fn a_node_that_is_gone_has_its_last_words_and_its_failure_on_the_page() {
    root_test!();
    let site = Site::new();
    let options = Options {
        bind: [10, 77, 0, 1].into(),
        port: 6385,
        netns: Some(Arc::clone(&site.conductor)),
        ..Options::default()
    };
    let options = Options { fast_track: false, require_tls: false, power_sync: 5, ..options };
    let ironic = RealIronic::start(&options).unwrap();
    let reports = ["--report.listen-address=10.77.0.1:10101", "--report.allow=10.77.0.0/24"];
    let url = format!("--ironic.url={}", ironic.url());
    let _fleet = Service::fleet(&site.conductor, &[&[url.as_str()], &reports[..]].concat());
    let pages = fleets_pages(&site.conductor);
    eventually("ready", PATIENCE, || is_ready(&pages));

    let sidecar = site.daemon(&["--mode=observe", API_FLAG, "--report.url=http://10.77.0.1:10101"]);
    sidecar.wait_state("sight", SOON, |state| state["sight"]["http"]["attached"] == true).unwrap();
    ironic.clean_wait().unwrap();
    let from_the_node = Http::inside(&site.node, API.parse().unwrap());
    let token = heartbeat_from(&from_the_node, &ironic, SEED);
    let start = Instant::now();
    let page = || text(&pages, &format!("/nodes/{}", ironic.node_uuid()));
    eventually("the last words", SHOWN, || page().contains("Last words"));
    println!("from the heartbeat to the last words: {:.1} s", start.elapsed().as_secs_f64());
    drop(sidecar);

    let counter = "ipa_fleet_failures_total{class=\"name_resolution\",reason=\"percent_encoded_host\"} 1\n";
    eventually("the counter", SHOWN, || text(&pages, "/metrics").contains(counter));
    println!("from the heartbeat to the counter: {:.1} s", start.elapsed().as_secs_f64());
    let failures: Value = serde_json::from_str(&text(&pages, "/failures")).unwrap();
    assert_eq!(failures["failures"][0]["url"], SEED);
    eventually("the evidence is gone", PATIENCE, || {
        ironic.agent_url().unwrap().is_none() && ironic.node().unwrap()["last_error"].is_null()
    });
    let page = page();
    println!("{page}");
    let words = page.split("Last words").nth(1).unwrap();
    assert!(words.contains("percent_encoded_host") && words.contains("10.77.0.5"), "{page}");
    assert!(page.contains(SEED) && page.contains(MEANT) && !page.contains(&token), "{page}");
}
