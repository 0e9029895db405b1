//! IPA starts before the address exists, already sent to the guard: it is held at its lookup, restarted, then right.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use testbed::daemon::Daemon;
use testbed::ipa::RealIpa;
use testbed::root_test;
use testbed::site::{DROP_IN, SECOND, assert_names, assert_unready, metric, wait_until};

use super::lab::{API, GUARD, Lab, Setup, URL, wait_written};
use crate::PATIENCE;
use crate::systemd::Systemd;

const UNIT: &str = "ironic-python-agent.service";

#[test]
fn a_redirect_by_hand_without_an_address_is_held_and_restarted() {
    let redirect = format!("[DEFAULT]\napi_url = {GUARD},{API}\n");
    held_and_restarted("10-redirect.conf", &redirect);
}

#[test]
fn a_stale_drop_in_is_held_and_restarted() {
    let stale =
        format!("[DEFAULT]\nadvertise_host = 10.77.0.9\napi_url = {GUARD}/advertise/10.77.0.9,{API}\n");
    held_and_restarted(DROP_IN, &stale);
}

/// IPA as a unit of systemd, which restarts it.
struct Unit {
    ipa: Arc<Mutex<Option<RealIpa>>>,
    systemd: Systemd,
}

impl Unit {
    fn new(lab: &Lab) -> Self {
        let ipa = Arc::<Mutex<Option<RealIpa>>>::default();
        let unit = Arc::clone(&ipa);
        let systemd = Systemd::start(&lab.site.directory.file(DROP_IN), move || {
            unit.lock().unwrap().as_mut().unwrap().restart().unwrap();
            "done"
        });
        Self { ipa, systemd }
    }

    /// The sidecar that may restart it.
    fn sidecar(&self, lab: &Lab) -> Daemon {
        let bus = self.systemd.address();
        let flag = format!("--ipa.restart-unit={UNIT}");
        lab.sidecar_with(&[&flag], &[("DBUS_SYSTEM_BUS_ADDRESS", &bus)])
    }

    fn start(&self, lab: &Lab) {
        *self.ipa.lock().unwrap() = Some(lab.ipa());
    }

    fn with<T>(&self, look: impl FnOnce(&RealIpa) -> T) -> T {
        look(self.ipa.lock().unwrap().as_ref().unwrap())
    }

    fn take(&self) -> RealIpa {
        self.ipa.lock().unwrap().take().unwrap()
    }

    /// Demands one restart, with the right drop-in on disk.
    fn assert_restarted_once(&self) {
        let restarts = self.systemd.restarts();
        assert_eq!(restarts.len(), 1, "{restarts:?}");
        assert_eq!((restarts[0].unit.as_str(), restarts[0].mode.as_str()), (UNIT, "replace"));
        assert!(restarts[0].drop_in.contains("\nadvertise_host = 10.77.0.5\n"), "{restarts:?}");
    }
}

fn held_and_restarted(file: &str, config: &str) {
    root_test!();
    let setup = Setup { addressed: false, ..Setup::default() };
    let lab = Lab::new(setup);
    let unit = Unit::new(&lab);
    // Both read the redirect by hand; the sidecar removes a drop-in of its own that is wrong, so that one comes later.
    let redirect = lab.site.directory.file(file);
    fs::write(&redirect, config).unwrap();
    let sidecar = unit.sidecar(&lab);
    sidecar.wait_address(None, PATIENCE).unwrap();
    fs::write(&redirect, config).unwrap();
    unit.start(&lab);
    let (first, line) = unit.with(|ipa| {
        let line = ipa.wait_log("Ironic has responded with a conflict", PATIENCE);
        (ipa.pid(), line.unwrap())
    });
    assert!(line.contains("ipa-sidecar holds this request: there is no advertise address yet"), "{line}");
    lab.tell("held: IPA shows why");
    assert!(metric(&sidecar, "lookup_attempts_total{result=\"held\",sender=\"ipa\"}") >= 1.0);
    assert_eq!(lab.token(), None, "Ironic has given out the token");
    assert!(unit.systemd.restarts().is_empty());
    assert_eq!(sidecar.get("/-/ready").unwrap().status, 503);

    let came = Instant::now();
    lab.add_addresses();
    wait_until(&sidecar, "a restart", PATIENCE, || !unit.systemd.restarts().is_empty());
    lab.tell(&format!("restart asked for {:.1} s after the address came", came.elapsed().as_secs_f64()));
    sidecar.wait_log(&format!("{UNIT} restarted with 10.77.0.5"), PATIENCE).unwrap();
    let ipa = unit.take();
    assert_ne!(ipa.pid(), first);
    lab.wait_right(&ipa);
    lab.tell(&format!("right {:.1} s after the address came", came.elapsed().as_secs_f64()));
    unit.assert_restarted_once();
    assert_eq!(lab.conductor_asks().0, URL);
    assert_eq!(metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"), 1.0);
    assert_eq!(metric(&sidecar, "lookup_attempts_total{result=\"masked_token\",sender=\"ipa\"}"), 0.0);
    sidecar
        .wait_state("ready", PATIENCE, |state| state["ready"] == true && state["pinned_url"] == URL)
        .unwrap();
    lab.assert_secret(&sidecar);
}

#[test]
fn an_address_that_changes_while_ironic_is_silent_is_noticed() {
    root_test!();
    let setup = Setup { addressed: false, cmdline: "ipa-http-request-timeout=5", ..Setup::default() };
    let lab = Lab::new(setup);
    // As behind a switch port that does not forward yet: 10.77.0.5 and .6 get no answer.
    lab.site.conductor.ip("route add blackhole 10.77.0.4/30").unwrap();
    lab.site.add(SECOND);
    let unit = Unit::new(&lab);
    let sidecar = unit.sidecar(&lab);
    wait_written(&sidecar);
    unit.start(&lab);
    unit.with(|ipa| ipa.wait_log("Error detected while attempting to perform lookup", PATIENCE)).unwrap();
    lab.tell("IPA has asked in vain");
    lab.site.node.ip("addr flush dev eth0.77").unwrap();
    lab.add_addresses();
    sidecar.wait_log(&format!("{UNIT} restarted with 10.77.0.5"), PATIENCE).unwrap();
    lab.site.conductor.ip("route del blackhole 10.77.0.4/30").unwrap();
    let ipa = unit.take();
    lab.wait_right(&ipa);
    unit.assert_restarted_once();
    assert_eq!(lab.conductor_asks().0, URL);
    assert_eq!(metric(&sidecar, "bad_agent_url_total{action=\"held\",source=\"ipa\"}"), 0.0);
    lab.assert_secret(&sidecar);
    lab.tell("restarted with the new address, and right");
}

#[test]
fn without_anybody_to_restart_it_a_wrong_certificate_is_never_pinned() {
    root_test!();
    let lab = Lab::new(Setup::default());
    let sidecar = lab.sidecar_with(&["--advertise.wait=2s"], &[]);
    wait_written(&sidecar);
    let right = lab.site.drop_in();
    fs::write(lab.site.directory.file(DROP_IN), right.replace("10.77.0.5", "10.77.0.9")).unwrap();
    let ipa = lab.ipa();
    let line = ipa.wait_log("Ironic has responded with a conflict", PATIENCE).unwrap();
    assert_names(&line, &["started with 10.77.0.9, and 10.77.0.5 is right: it has to be restarted"]);
    // The gate opens after a while; the URL of another machine still does not get past.
    sidecar.wait_log("letting a lookup through although", PATIENCE).unwrap();
    ipa.wait_log("announcing callback URL https://10.77.0.9:9999", PATIENCE).unwrap();
    ipa.wait_log("conflict error sending heartbeat", PATIENCE).unwrap();
    lab.tell("held: its certificate is for another address");
    assert_eq!(lab.recorded(), None);
    assert_unready(&sidecar, &["restart ironic-python-agent with advertise_host = 10.77.0.5"]);
    assert!(metric(&sidecar, "bad_agent_url_total{action=\"held\",source=\"ipa\"}") >= 1.0);
    assert!(metric(&sidecar, "heartbeats_total{result=\"held\",sender=\"ipa\"}") >= 1.0);
    lab.assert_secret(&sidecar);

    // What readiness asks for: a restart with the right drop-in, and as the token is spent a power cycle as well.
    fs::write(lab.site.directory.file(DROP_IN), right).unwrap();
    drop(ipa);
    lab.ironic.power_cycle().unwrap();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    sidecar
        .wait_state("ready again", PATIENCE, |state| state["ready"] == true && state["pinned_url"] == URL)
        .unwrap();
    assert_eq!(lab.conductor_asks().0, URL);
    lab.assert_secret(&sidecar);
    lab.tell("right after a power cycle");
}
