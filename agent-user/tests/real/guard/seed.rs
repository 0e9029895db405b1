//! The agent of the seed's time, which takes its address from the text of `ip route get`, over http.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use testbed::netns::Netns;
use testbed::root_test;
use testbed::seed_ipa::{Dialect, SeedIpa, SeedOptions};
use testbed::site::{API_FLAG, FIRST, FIRST_URL, MAC, Site, metric, wait_redirect};
use testbed::stand_in::Behaviour;

use super::lab::{API, Lab, Setup, accepted};
use crate::{PATIENCE, wait_recorded};

const WRONG: &str = "http://10.77.0.5 uid 0:9999";
const RIGHT: &str = FIRST_URL;
/// Heartbeats after the first.
const LATER: usize = 10;

/// With nothing but the API's URL in its configuration.
fn seed(node: &Arc<Netns>) -> SeedIpa {
    let mut seed = SeedIpa::new(SeedOptions::new(node, API));
    assert_eq!(seed.advertised_url().unwrap(), WRONG);
    seed
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
    root_test!();
    let setup = Setup { require_tls: false, ..Setup::default() };
    let lab = Lab::new(setup);
    let mut alone = seed(&lab.site.node);
    assert_eq!(alone.beat().unwrap().0, 202);
    assert_eq!(wait_recorded(&lab.ironic), WRONG);
    alone.set_advertise_host(FIRST);
    let (status, body) = alone.beat().unwrap();
    assert!(status == 400 && body.contains("Detected change"), "{status} {body}");
    lab.tell(&format!("without the guard Ironic holds {WRONG:?} and refuses {RIGHT:?}"));

    lab.ironic.power_cycle().unwrap();
    let mut sidecar = lab.sidecar_with_drop_in();
    let mut guarded = seed(&lab.site.node);
    beats(&mut guarded, 1);
    assert_eq!(wait_recorded(&lab.ironic), RIGHT);
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
    again.wait_state("it has decided", PATIENCE, |state| state["ready"] == true).unwrap();
    wait_redirect(&again);
    beats(&mut guarded, LATER);
    assert_eq!((accepted(&again), metric(&again, repaired)), (LATER as f64, LATER as f64));
    assert_eq!(lab.recorded().as_deref(), Some(RIGHT));
    assert_eq!(again.state().unwrap()["pinned_url"], RIGHT);
    lab.assert_secret(&again);
    lab.tell(&format!("a restarted sidecar: {LATER} more are accepted"));
}

#[test]
fn the_vendor_passthru_of_mitaka_is_repaired_too() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(Behaviour { macs: vec![MAC.to_owned()], ..Behaviour::mitaka() });
    let mitaka = || {
        let mut options = SeedOptions::new(&site.node, API);
        options.dialect = Dialect::Passthru { driver: "agent_ipmitool".to_owned() };
        SeedIpa::new(options)
    };
    beats(&mut mitaka(), 1);
    assert_eq!(ironic.agent_url().as_deref(), Some(WRONG));
    ironic.power_cycle();

    let start = || {
        let sidecar = site.daemon(&["--mode=guard", API_FLAG, &site.directory.config_dir()]);
        sidecar.wait_state("it has decided", PATIENCE, |state| state["ready"] == true).unwrap();
        wait_redirect(&sidecar);
        sidecar
    };
    let mut agent = mitaka();
    for _ in 0..2 {
        let sidecar = start();
        beats(&mut agent, LATER);
        assert_eq!(ironic.agent_url().as_deref(), Some(RIGHT));
        assert_eq!(accepted(&sidecar), LATER as f64);
    }
    println!("Mitaka's passthru: {WRONG:?} without, {RIGHT:?} with the guard, also with a restarted one");
}
