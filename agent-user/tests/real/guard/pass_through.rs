//! Nothing goes wrong: IPA speaks to Ironic through the guard, and the conductor reaches IPA.

use std::fs;
use std::time::Duration;

use serde_json::json;
use testbed::root_test;
use testbed::site::*;

use super::lab::{Lab, Setup, URL, accepted, wait_accepted};
use crate::{PATIENCE, wait_recorded};

#[test]
fn the_conductor_reaches_an_ipa_behind_the_guard() {
    root_test!();
    let (lab, mut sidecar, ipa) = Lab::running(Setup::default());
    lab.tell("the first heartbeat is recorded");
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    // What IPA sent is what it sends without us: its own certificate, its own version.
    let log = ipa.log();
    assert!(log.contains(&format!("announcing callback URL {URL}, API version is 1.68")), "{log}");
    assert_eq!(metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"), 1.0);
    assert!(accepted(&sidecar) >= 1.0);

    let (url, commands) = lab.conductor_asks();
    assert_eq!((url.as_str(), &commands), (URL, &json!([])));
    lab.tell("the conductor's own client reached IPA with the pinned certificate: no commands so far");

    lab.wait_beats(2, &ipa);
    sidecar
        .wait_state("the pin", PATIENCE, |state| {
            state["pinned_url"] == URL && state["ready"] == true && state["ipa"]["up"] == true
        })
        .unwrap();
    let log = ipa.log();
    assert!(!log.contains("Error in HTTPServer"), "IPA was asked what it does not understand:\n{log}");
    let bad = sidecar.state().unwrap()["bad_agent_urls"].clone();
    assert_eq!(bad, json!([]));
    assert_eq!(metric(&sidecar, "agent_url_pinned"), 1.0);
    assert_eq!(metric(&sidecar, "agent_url_stale"), 0.0);
    lab.assert_secret(&sidecar);
    let (status, duration) = sidecar.terminate().unwrap();
    assert!(status.success() && duration < Duration::from_secs(2), "{status} after {duration:?}");
    lab.assert_secret(&sidecar);
    lab.tell("ended");
}

#[test]
fn the_same_over_ipv6() {
    root_test!();
    let setup =
        Setup { bind: "fd77::1".parse().unwrap(), api_url: "http://[fd77::1]:6385", ..Setup::default() };
    let lab = Lab::new(setup);
    let sidecar = lab.sidecar_with_drop_in();
    let _ipa = lab.ipa();
    let url = "https://[fd77::2]:9999";
    assert_eq!(wait_recorded(&lab.ironic), url);
    assert!(accepted(&sidecar) >= 1.0, "IPA went past the guard");
    let (asked, commands) = lab.conductor_asks();
    assert_eq!((asked.as_str(), &commands), (url, &json!([])));
    assert_eq!(sidecar.state().unwrap()["bad_agent_urls"], json!([]));
    lab.assert_secret(&sidecar);
    lab.tell("the conductor reached IPA over IPv6");
}

#[test]
fn a_restarted_sidecar_learns_again_what_ironic_holds() {
    root_test!();
    let (lab, mut sidecar, _ipa) = Lab::running(Setup::default());
    // Right after a heartbeat there are at least three seconds until the next one.
    wait_accepted(&sidecar);
    sidecar.terminate().unwrap();
    lab.assert_secret(&sidecar);
    let again = lab.sidecar();
    again.wait_state("it listens and has decided", PATIENCE, |state| state["ready"] == true).unwrap();
    wait_accepted(&again);
    again.wait_state("the pin is known again", PATIENCE, |state| state["pinned_url"] == URL).unwrap();
    lab.tell("the pin is known again");
    wait_accepted(&again);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    lab.assert_secret(&again);
}

#[test]
fn a_rescued_machine_is_left_to_ipa() {
    root_test!();
    let (lab, mut sidecar, ipa) = Lab::running(Setup::default());
    assert!(!lab.site.drop_in().is_empty());
    fs::write(lab.etc.file(".rescued"), "").unwrap();
    let status = sidecar.ended(Duration::from_secs(2)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", sidecar.log());
    assert!(!lab.site.directory.file(DROP_IN).exists());
    lab.tell("the guard has ended, its drop-in is gone");
    lab.wait_beats(2, &ipa);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    lab.assert_secret(&sidecar);
    lab.tell("IPA goes on by itself");
}
