//! Nothing goes wrong: IPA speaks to Ironic through the guard, and the conductor reaches IPA.

use std::fs;
use std::time::Duration;

use serde_json::json;
use testbed::needs_root;

use crate::lab::{DROP_IN, Lab, NEXT_URL, PATIENCE, Setup, URL, accepted, metric, wait_accepted};

#[test]
fn the_conductor_reaches_an_ipa_behind_the_guard() {
    if !needs_root("the_conductor_reaches_an_ipa_behind_the_guard") {
        return;
    }
    let lab = Lab::new("pass", Setup::default());
    let mut sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    lab.tell("the first heartbeat is recorded");
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    // What IPA sent is what it sends without us: its own certificate, its own version.
    let log = ipa.log();
    assert!(log.contains(&format!("announcing callback URL {URL}, API version is 1.68")), "{log}");
    assert!(!log.contains(NEXT_URL), "IPA went past the guard:\n{log}");
    assert_eq!(metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"), 1.0);
    assert!(accepted(&sidecar) >= 1.0);

    let (url, commands) = lab.conductor_asks();
    assert_eq!((url.as_str(), &commands), (URL, &json!([])));
    lab.tell("the conductor's own client reached IPA with the pinned certificate: no commands so far");

    lab.wait_beats(2, &ipa);
    sidecar
        .wait_state("the read-back", PATIENCE, |state| {
            state["pinned_url"] == URL && state["ready"] == true && state["ipa"]["up"] == true
        })
        .unwrap();
    sidecar.wait_log(&format!("Ironic has recorded {URL}"), PATIENCE).unwrap();
    let log = ipa.log();
    assert!(!log.contains("Error in HTTPServer"), "IPA was asked what it does not understand:\n{log}");
    let bad = sidecar.state().unwrap()["bad_agent_urls"].clone();
    assert_eq!(bad, json!([]));
    assert_eq!(metric(&sidecar, "agent_url_pinned"), 1.0);
    assert_eq!(metric(&sidecar, "agent_url_stale"), 0.0);
    assert!(metric(&sidecar, "heartbeat_interval_seconds") == 10.0);
    lab.assert_secret(&sidecar);
    let (status, duration) = sidecar.terminate().unwrap();
    assert!(status.success() && duration < Duration::from_secs(2), "{status} after {duration:?}");
    lab.assert_secret(&sidecar);
    lab.tell("ended");
}

#[test]
fn the_same_over_ipv6() {
    if !needs_root("the_same_over_ipv6") {
        return;
    }
    let setup =
        Setup { bind: "fd77::1".parse().unwrap(), api_url: "http://[fd77::1]:6385", ..Setup::default() };
    let lab = Lab::new("ipv6", setup);
    let sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    sidecar.wait_log("Ironic has recorded", PATIENCE).unwrap();
    let url = "https://[fd77::2]:9999";
    assert_eq!(lab.recorded().as_deref(), Some(url));
    let (asked, commands) = lab.conductor_asks();
    assert_eq!((asked.as_str(), &commands), (url, &json!([])));
    assert!(!ipa.log().contains(NEXT_URL), "IPA went past the guard:\n{}", ipa.log());
    assert_eq!(sidecar.state().unwrap()["bad_agent_urls"], json!([]));
    lab.assert_secret(&sidecar);
    lab.tell("the conductor reached IPA over IPv6");
}

#[test]
fn a_restarted_sidecar_learns_again_what_ironic_holds() {
    if !needs_root("a_restarted_sidecar_learns_again_what_ironic_holds") {
        return;
    }
    let lab = Lab::new("restarted", Setup::default());
    let mut sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    // Right after a heartbeat there are at least three seconds until the next one.
    wait_accepted(&sidecar);
    sidecar.terminate().unwrap();
    lab.assert_secret(&sidecar);
    let again = lab.sidecar();
    again.wait_state("it listens and has decided", PATIENCE, |state| state["ready"] == true).unwrap();
    assert_eq!(again.state().unwrap()["pinned_url"], json!(null));
    wait_accepted(&again);
    again.wait_state("the pin is known again", PATIENCE, |state| state["pinned_url"] == URL).unwrap();
    lab.tell("the pin is known again");
    wait_accepted(&again);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    let asked = "lookup_attempts_total{result=\"masked_token\",sender=\"sidecar\"}";
    assert!(metric(&again, asked) >= 1.0, "it was read back from Ironic");
    assert!(!ipa.log().contains(NEXT_URL), "IPA went past the guard:\n{}", ipa.log());
    lab.assert_secret(&again);
}

#[test]
fn a_rescued_machine_is_left_to_ipa() {
    if !needs_root("a_rescued_machine_is_left_to_ipa") {
        return;
    }
    let lab = Lab::new("rescued", Setup::default());
    let mut sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    assert!(lab.drop_in().is_some());
    fs::write(lab.etc().join(".rescued"), "").unwrap();
    let status = sidecar.ended(Duration::from_secs(2)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", sidecar.log());
    assert!(!lab.config().join(DROP_IN).exists());
    lab.tell("the guard has ended, its drop-in is gone");
    lab.wait_beats(2, &ipa);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    assert!(ipa.log().contains(NEXT_URL));
    lab.assert_secret(&sidecar);
    lab.tell("IPA goes on by itself");
}
