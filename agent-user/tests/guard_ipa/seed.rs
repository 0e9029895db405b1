//! The agent of the seed's time, which takes its address from the text of `ip route get`, over http.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::daemon::Daemon;
use testbed::needs_root;
use testbed::netns::Netns;
use testbed::seed_ipa::{Dialect, SeedIpa, SeedOptions};
use testbed::stand_in::{Behaviour, StandIn};

use crate::lab::{API, GUARD, Lab, MAC, PATIENCE, SIDECAR, Setup, accepted, metric};

const WRONG: &str = "http://10.77.0.2 uid 0:9999";
const RIGHT: &str = "http://10.77.0.2:9999";
/// Nothing listens there; the way to it is the way to Ironic.
const NOBODY: &str = "http://10.77.0.1:1";
/// Heartbeats after the first.
const LATER: usize = 10;

/// Its address is the one towards Ironic, its requests go to `url`.
fn seed(node: &Arc<Netns>, url: &str) -> SeedIpa {
    let mut options = SeedOptions::new(node, NOBODY);
    options.api_urls.push(url.to_owned());
    let mut seed = SeedIpa::new(options);
    assert_eq!(seed.advertised_url().unwrap(), WRONG);
    seed
}

fn wait_recorded(lab: &Lab) -> String {
    let start = Instant::now();
    loop {
        if let Some(url) = lab.recorded() {
            return url;
        }
        assert!(start.elapsed() < PATIENCE, "no URL is recorded");
        sleep(Duration::from_millis(50));
    }
}

/// Sends heartbeats; each must be accepted.
fn beats(seed: &mut SeedIpa, count: usize) {
    for _ in 0..count {
        assert_eq!(seed.beat().unwrap(), (202, String::new()));
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn without_the_guard_the_wrong_url_is_pinned_and_with_it_the_right_one() {
    if !needs_root("without_the_guard_the_wrong_url_is_pinned_and_with_it_the_right_one") {
        return;
    }
    let setup = Setup { require_tls: false, ..Setup::default() };
    let lab = Lab::new("seed", setup);
    let mut alone = seed(&lab.node, API);
    assert_eq!(alone.beat().unwrap().0, 202);
    assert_eq!(wait_recorded(&lab), WRONG);
    alone.set_advertise_host("10.77.0.2");
    let (status, body) = alone.beat().unwrap();
    assert!(status == 400 && body.contains("Detected change"), "{status} {body}");
    lab.tell(&format!("without the guard Ironic holds {WRONG:?} and refuses {RIGHT:?}"));

    lab.ironic.power_cycle().unwrap();
    let mut sidecar = lab.sidecar_with_drop_in();
    let mut guarded = seed(&lab.node, GUARD);
    beats(&mut guarded, 1);
    assert_eq!(wait_recorded(&lab), RIGHT);
    let first = lab.ironic.agent_last_heartbeat().unwrap();
    beats(&mut guarded, LATER);
    assert_ne!(lab.ironic.agent_last_heartbeat().unwrap(), first);
    assert_eq!(lab.recorded().as_deref(), Some(RIGHT));
    let repaired = "bad_agent_url_total{action=\"repaired\",source=\"ipa\"}";
    let all = 1.0 + LATER as f64;
    assert_eq!((accepted(&sidecar), metric(&sidecar, repaired)), (all, all));
    assert!(metric(&sidecar, "bad_agent_url_reasons_total{reason=\"whitespace\"}") >= all);
    lab.assert_secret(&sidecar);
    lab.tell(&format!("with it Ironic holds {RIGHT:?} and accepts {LATER} more"));

    sidecar.terminate().unwrap();
    let again = lab.sidecar();
    again.wait_state("it listens", PATIENCE, |state| state["ready"] == true).unwrap();
    beats(&mut guarded, LATER);
    assert_eq!((accepted(&again), metric(&again, repaired)), (LATER as f64, LATER as f64));
    assert_eq!(lab.recorded().as_deref(), Some(RIGHT));
    assert_eq!(again.state().unwrap()["pinned_url"], RIGHT);
    lab.assert_secret(&again);
    lab.tell(&format!("a restarted sidecar: {LATER} more are accepted"));
}

#[test]
fn the_vendor_passthru_of_mitaka_is_repaired_too() {
    if !needs_root("the_vendor_passthru_of_mitaka_is_repaired_too") {
        return;
    }
    let (server, node) = (Netns::new().unwrap(), Arc::new(Netns::new().unwrap()));
    node.join("eth0.77", &server, "server").unwrap();
    server.ip("addr add 10.77.0.1/24 dev server").unwrap();
    node.ip("addr add 10.77.0.2/24 dev eth0.77").unwrap();
    let listener = server.enter(|| TcpListener::bind("10.77.0.1:6385").unwrap()).unwrap();
    let behaviour = Behaviour { macs: vec![MAC.to_owned()], ..Behaviour::mitaka() };
    let ironic = StandIn::start(listener, behaviour).unwrap();
    let mitaka = |url: &str| {
        let mut options = SeedOptions::new(&node, NOBODY);
        options.api_urls.push(url.to_owned());
        options.dialect = Dialect::Passthru { driver: "agent_ipmitool".to_owned() };
        SeedIpa::new(options)
    };
    beats(&mut mitaka(API), 1);
    assert_eq!(ironic.agent_url().as_deref(), Some(WRONG));
    ironic.power_cycle();

    let directory = std::env::temp_dir().join(format!("guard-ipa-mitaka-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = format!("--ipa.config-dir={}", directory.display());
    let api = format!("--ironic.api-url={API}");
    let start = || {
        let sidecar = Daemon::start(SIDECAR, &node, &["--mode=guard", &api, &config]).unwrap();
        sidecar.wait_state("it has decided", PATIENCE, |state| state["ready"] == true).unwrap();
        sidecar
    };
    let mut agent = mitaka(GUARD);
    for _ in 0..2 {
        let sidecar = start();
        beats(&mut agent, LATER);
        assert_eq!(ironic.agent_url().as_deref(), Some(RIGHT));
        assert_eq!(accepted(&sidecar), LATER as f64);
    }
    println!("Mitaka's passthru: {WRONG:?} without, {RIGHT:?} with the guard, also with a restarted one");
    std::fs::remove_dir_all(directory).unwrap();
}
