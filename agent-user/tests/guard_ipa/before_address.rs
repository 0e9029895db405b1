//! IPA starts before the address exists, already sent to the guard: it is held at its lookup, restarted, then right.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use testbed::ipa::RealIpa;
use testbed::needs_root;

use crate::lab::{API, DROP_IN, GUARD, Lab, PATIENCE, Setup, URL, metric};
use crate::systemd::Systemd;

const UNIT: &str = "ironic-python-agent.service";

#[test]
fn a_redirect_by_hand_without_an_address_is_held_and_restarted() {
    let redirect = format!("[DEFAULT]\napi_url = {GUARD},{API}\n");
    held_and_restarted("by-hand", "10-redirect.conf", &redirect);
}

#[test]
fn a_stale_drop_in_is_held_and_restarted() {
    let stale =
        format!("[DEFAULT]\nadvertise_host = 10.77.0.9\napi_url = {GUARD}/advertise/10.77.0.9,{API}\n");
    held_and_restarted("stale", DROP_IN, &stale);
}

fn held_and_restarted(name: &str, file: &str, config: &str) {
    if !needs_root(name) {
        return;
    }
    let setup = Setup {
        addressed: false,
        ..Setup::default()
    };
    let lab = Lab::new(name, setup);
    let ipa: Arc<Mutex<Option<RealIpa>>> = Arc::default();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default(); // The drop-in at each restart.
    let systemd = {
        let (ipa, seen, path) = (Arc::clone(&ipa), Arc::clone(&seen), lab.config().join(DROP_IN));
        Systemd::start(move || {
            seen.lock()
                .unwrap()
                .push(fs::read_to_string(&path).unwrap_or_default());
            ipa.lock().unwrap().as_mut().unwrap().restart().unwrap();
        })
    };
    let bus = systemd.address();
    let flag = format!("--ipa.restart-unit={UNIT}");
    // Both read the redirect by hand; the sidecar removes a drop-in of its own that is wrong, so that one comes later.
    let redirect = lab.config().join(file);
    fs::write(&redirect, config).unwrap();
    let sidecar = lab.sidecar_with(&[&flag], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)]);
    sidecar.wait_address(None, PATIENCE).unwrap();
    fs::write(&redirect, config).unwrap();
    *ipa.lock().unwrap() = Some(lab.ipa());
    let first = ipa.lock().unwrap().as_ref().unwrap().pid();
    let line = ipa
        .lock()
        .unwrap()
        .as_ref()
        .unwrap()
        .wait_log("Ironic has responded with a conflict", PATIENCE)
        .unwrap();
    assert!(
        line.contains("ipa-sidecar holds this request: there is no advertise address yet"),
        "{line}"
    );
    lab.tell("held: IPA shows why");
    assert!(metric(&sidecar, "lookup_attempts_total{result=\"held\",sender=\"ipa\"}") >= 1.0);
    assert_eq!(lab.token(), None, "Ironic has given out the token");
    assert!(systemd.calls().is_empty());
    assert_eq!(sidecar.get("/-/ready").unwrap().status, 503);

    let came = Instant::now();
    lab.add_addresses();
    sidecar
        .wait_log("restarting ironic-python-agent", PATIENCE)
        .unwrap();
    lab.tell(&format!(
        "restart asked for {:.1} s after the address came",
        came.elapsed().as_secs_f64()
    ));
    sidecar
        .wait_log(&format!("{UNIT} restarted with 10.77.0.2"), PATIENCE)
        .unwrap();
    let ipa = ipa.lock().unwrap().take().unwrap();
    assert_ne!(ipa.pid(), first);
    lab.wait_right(&ipa);
    lab.tell(&format!(
        "right {:.1} s after the address came",
        came.elapsed().as_secs_f64()
    ));
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    assert_eq!(systemd.calls(), [(UNIT.to_owned(), "replace".to_owned())]);
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].contains("\nadvertise_host = 10.77.0.2\n"), "{seen:?}");
    assert_eq!(lab.conductor_asks().0, URL);
    assert_eq!(
        metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"),
        1.0
    );
    assert_eq!(
        metric(
            &sidecar,
            "lookup_attempts_total{result=\"masked_token\",sender=\"ipa\"}"
        ),
        0.0
    );
    sidecar
        .wait_state("ready", PATIENCE, |state| {
            state["ready"] == true && state["pinned_url"] == URL
        })
        .unwrap();
    lab.assert_secret(&sidecar);
}

#[test]
fn without_anybody_to_restart_it_a_wrong_certificate_is_never_pinned() {
    if !needs_root("without_anybody_to_restart_it_a_wrong_certificate_is_never_pinned") {
        return;
    }
    let lab = Lab::new("held", Setup::default());
    let sidecar = lab.sidecar_with(&["--advertise.wait=2s"], &[]);
    sidecar.wait_log("IPA's drop-in changed", PATIENCE).unwrap();
    let right = lab.drop_in().unwrap();
    fs::write(
        lab.config().join(DROP_IN),
        right.replace("10.77.0.2", "10.77.0.9"),
    )
    .unwrap();
    let ipa = lab.ipa();
    let line = ipa
        .wait_log("Ironic has responded with a conflict", PATIENCE)
        .unwrap();
    assert!(
        line.contains("started with 10.77.0.9, and 10.77.0.2 is right: it has to be restarted"),
        "{line}"
    );
    // The gate opens after a while; the URL of another machine still does not get past.
    sidecar
        .wait_log("letting a lookup through although", PATIENCE)
        .unwrap();
    ipa.wait_log("announcing callback URL https://10.77.0.9:9999", PATIENCE)
        .unwrap();
    ipa.wait_log("conflict error sending heartbeat", PATIENCE)
        .unwrap();
    lab.tell("held: its certificate is for another address");
    assert_eq!(lab.recorded(), None);
    let ready = sidecar.get("/-/ready").unwrap();
    assert!(
        ready.status == 503
            && ready
                .text()
                .contains("restart ironic-python-agent with advertise_host = 10.77.0.2"),
        "{}",
        ready.text()
    );
    assert!(metric(&sidecar, "bad_agent_url_total{action=\"held\",source=\"ipa\"}") >= 1.0);
    assert!(metric(&sidecar, "heartbeats_total{result=\"held\",sender=\"ipa\"}") >= 1.0);
    lab.assert_secret(&sidecar);

    // What readiness asks for: a restart with the right drop-in, and as the token is spent a power cycle as well.
    fs::write(lab.config().join(DROP_IN), right).unwrap();
    drop(ipa);
    lab.ironic.power_cycle().unwrap();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    sidecar
        .wait_state("ready again", PATIENCE, |state| {
            state["ready"] == true && state["pinned_url"] == URL
        })
        .unwrap();
    assert_eq!(lab.conductor_asks().0, URL);
    lab.assert_secret(&sidecar);
    lab.tell("right after a power cycle");
}
