//! The lookup gate with a restart of IPA's unit, by a systemd on a D-Bus of our own.

use std::sync::mpsc::{Sender, channel};

use super::systemd::{Restart, Systemd};
use super::*;

const UNIT: &str = "ironic-python-agent.service";
const UNIT_FLAG: &str = "--ipa.restart-unit=ironic-python-agent.service";

struct Lab {
    daemon: Daemon,
    systemd: Systemd,
    ironic: StandIn,
    site: Site,
    /// The result of the next job.
    end: Sender<&'static str>,
}

impl Lab {
    fn new(flags: &[&str]) -> Self {
        let site = Site::new();
        let (end, ends) = channel();
        let job = move || ends.recv().unwrap_or("canceled");
        let systemd = Systemd::start(&site.directory.file(DROP_IN), job);
        let ironic = site.ironic(node_with_mac());
        let mut all = vec![UNIT_FLAG];
        all.extend(flags);
        let daemon = site.guard_with(&[("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address())], &all);
        wait_drop_in(&daemon, FIRST, SOON);
        Self { daemon, systemd, ironic, site, end }
    }

    fn wait_restarts(&self, count: usize) -> Vec<Restart> {
        self.daemon
            .wait(&format!("{count} restarts"), SOON, || {
                (self.systemd.restarts().len() >= count).then(|| self.systemd.restarts())
            })
            .unwrap()
    }

    fn assert_held(&self, prefix: &str, why: &str) {
        let answer = self.site.lookup(prefix);
        assert_eq!(answer.status, 409, "{prefix}");
        assert!(fault(&answer).contains(why), "{}", answer.text());
        assert_eq!(seen(&self.ironic, "/v1/lookup"), []);
    }
}

#[test]
fn an_ipa_with_another_drop_in_is_restarted_once_and_then_let_through() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.assert_held(OLD_PREFIX, "started with 10.77.0.9, and 10.77.0.5 is right");
    let restarts = lab.wait_restarts(1);
    assert_eq!((restarts[0].unit.as_str(), restarts[0].mode.as_str()), (UNIT, "replace"));
    let drop_in = &restarts[0].drop_in;
    assert!(drop_in.contains("advertise_host = 10.77.0.5\n"), "not before it is on disk: {drop_in:?}");
    // As long as systemd is at it, nobody gets the token: who asks may be about to be stopped.
    lab.assert_held(OLD_PREFIX, "is being restarted");
    lab.assert_held(PREFIX, "is being restarted");
    lab.end.send("done").unwrap();
    lab.daemon.wait_log("restarted with 10.77.0.5", SOON).unwrap();
    token(&lab.site.lookup(PREFIX));
    assert_eq!(lab.systemd.restarts().len(), 1);
    assert_eq!(ready(&lab.daemon).0, 200);
    // Whatever comes now: its token is spent.
    assert_eq!(lab.site.lookup(OLD_PREFIX).status, 200);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(lab.systemd.restarts().len(), 1);
}

#[test]
fn an_ipa_without_our_drop_in_is_restarted_too() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.assert_held("", "did not start with the drop-in that says 10.77.0.5");
    lab.wait_restarts(1);
    lab.end.send("done").unwrap();
    lab.daemon.wait_log("restarted with 10.77.0.5", SOON).unwrap();
    // It does not read our directory: nothing that we do would help.
    token(&lab.site.lookup(""));
    let events = events(&lab.daemon);
    assert!(events.iter().any(|event| event.contains("does it read the drop-in?")), "{events:?}");
    assert_eq!(lab.systemd.restarts().len(), 1);
}

#[test]
fn a_restart_that_fails_is_said_and_not_repeated() {
    root_test!();
    let lab = Lab::new(&["--advertise.wait=3s"]);
    lab.assert_held(OLD_PREFIX, "10.77.0.5 is right");
    lab.wait_restarts(1);
    lab.end.send("failed").unwrap();
    lab.daemon.wait_log("could not be restarted: systemd's job ended with \"failed\"", SOON).unwrap();
    lab.assert_held(OLD_PREFIX, "has to be restarted");
    assert_unready(&lab.daemon, &["restarted"]);
    let answer = lab
        .daemon
        .wait("the gate to open", SOON, || {
            Some(lab.site.lookup(OLD_PREFIX)).filter(|answer| answer.status != 409)
        })
        .unwrap();
    token(&answer);
    assert_eq!(lab.systemd.restarts().len(), 1);
}

#[test]
fn without_a_bus_it_is_said() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let address = format!("unix:path={}/nothing", site.directory.path().display());
    let daemon = site.guard_with(&[("DBUS_SYSTEM_BUS_ADDRESS", &address)], &[UNIT_FLAG]);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_eq!(site.lookup(OLD_PREFIX).status, 409);
    daemon.wait_log("could not be restarted: somebody has to", SOON).unwrap();
    let answer = site.lookup(OLD_PREFIX);
    assert_eq!(answer.status, 409);
    assert!(fault(&answer).contains("has to be restarted"), "{}", answer.text());
    assert_unready(&daemon, &["restarted"]);
    assert_eq!(ironic.requests(), []);
}

#[test]
fn after_a_forwarded_lookup_a_change_of_address_restarts_nothing() {
    root_test!();
    let lab = Lab::new(&[]);
    let token = token(&lab.site.lookup(PREFIX));
    lab.site.change(FIRST, SECOND);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    // The old prefix is now that of another address, and a second lookup asks with it.
    assert_eq!(lab.site.lookup(PREFIX).status, 200);
    let answer = lab.site.heartbeat(FIRST_URL, &token);
    assert_eq!(answer.status, 202, "repaired to the address of now: {}", answer.text());
    assert_eq!(lab.ironic.agent_url().as_deref(), Some("http://10.77.0.6:9999"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(lab.systemd.restarts(), []);
}

#[test]
fn while_a_lookup_is_under_way_or_broke_off_nothing_is_restarted() {
    root_test!();
    let lookup = format!(
        "GET {PREFIX}/v1/lookup?addresses={MAC} HTTP/1.1\r\nHost: x\r\nX-OpenStack-Ironic-API-Version: 1.62\r\n\r\n"
    );
    for breaks_off in [false, true] {
        let lab = Lab::new(&[]);
        let late = Fault::Late(Duration::from_millis(500));
        lab.ironic.push_fault(Path::Lookup, late);
        let mut raw = lab.site.sent(&lookup);
        wait_request(&lab.daemon, &lab.ironic);
        if breaks_off {
            drop(raw); // IPA was stopped: Ironic gives the token out all the same.
            std::thread::sleep(Duration::from_millis(800));
        } else {
            // Somebody else asks meanwhile, and is refused.
            let gone = Fault::Error(404, "Resource could not be found.".to_owned());
            lab.ironic.push_fault(Path::Lookup, gone);
            assert_eq!(lab.site.lookup(OLD_PREFIX).status, 404, "not held");
            assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
        }
        assert_eq!(lab.site.lookup(OLD_PREFIX).status, 200, "not held");
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(lab.systemd.restarts(), []);
    }
}

#[test]
fn an_address_that_comes_back_during_the_restart_costs_no_token() {
    root_test!();
    // IPA started with the first address, another one was right for a moment, and IPA is being stopped for it.
    let lab = Lab::new(&[]);
    let prefer = |address: &str| {
        lab.site.prefer(address);
        wait_drop_in(&lab.daemon, address, SOON);
        assert!(lab.site.drop_in().contains(&format!("advertise_host = {address}\n")));
    };
    lab.site.add(SECOND);
    prefer(SECOND);
    lab.assert_held(PREFIX, "10.77.0.6 is right");
    let restarts = lab.wait_restarts(1);
    assert!(restarts[0].drop_in.contains("advertise_host = 10.77.0.6\n"));
    prefer(FIRST);
    lab.assert_held(PREFIX, "is being restarted");
    lab.end.send("done").unwrap();
    lab.daemon.wait_log("restarted with 10.77.0.6", SOON).unwrap();
    token(&lab.site.lookup(PREFIX));
    assert_eq!(lab.systemd.restarts().len(), 1);
}
