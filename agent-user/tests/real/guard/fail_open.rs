//! The sidecar dies, is not there, or Ironic is not: IPA gets on, and Ironic has the right URL.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::{API, metric, signal, wait_until};

use super::lab::{Lab, Setup, URL, accepted, wait_accepted};
use crate::PATIENCE;

/// Kills it as the kernel does when memory is short.
fn kill(lab: &Lab, sidecar: &mut Daemon) {
    signal(sidecar, Signal::KILL);
    sidecar.ended(PATIENCE).unwrap();
    let direct = lab.site.node.enter(|| std::net::TcpStream::connect(API).unwrap().peer_addr().unwrap());
    assert_eq!(direct.unwrap().to_string(), API);
}

#[test]
fn killed_before_the_lookup() {
    root_test!();
    let lab = Lab::new(Setup::default());
    kill(&lab, &mut lab.sidecar_with_drop_in());
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    lab.tell("IPA went past the dead guard");
    assert_eq!(lab.conductor_asks().0, URL);
    // The machine's sidecar comes back later: nothing of what IPA does changes.
    let sidecar = lab.sidecar();
    sidecar.wait_state("it listens", PATIENCE, |state| state["ready"] == true).unwrap();
    lab.wait_beats(2, &ipa);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    // The same when IPA starts again after a power cycle through Ironic.
    drop(ipa);
    lab.ironic.power_cycle().unwrap();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    assert!(accepted(&sidecar) >= 1.0, "this one came by the guard");
    lab.assert_secret(&sidecar);
    lab.tell("and a later start comes by the new guard");
}

#[test]
fn killed_between_lookup_and_first_heartbeat() {
    root_test!();
    let lab = Lab::new(Setup::default());
    // Between the two is a tenth of a second: a busy machine may miss it.
    for attempt in 1..=5 {
        let mut sidecar = lab.sidecar_with_drop_in();
        let ipa = lab.ipa();
        sidecar.wait_log("guard: lookup: ok", PATIENCE).unwrap();
        kill(&lab, &mut sidecar);
        lab.wait_right(&ipa);
        lab.assert_secret(&sidecar);
        if sidecar.log().contains("Ironic accepted") {
            lab.tell(&format!("attempt {attempt} came too late"));
            drop(ipa);
            lab.ironic.power_cycle().unwrap();
            continue;
        }
        assert_eq!(lab.conductor_asks().0, URL);
        lab.wait_beats(1, &ipa);
        lab.tell("killed between: the first heartbeat went to Ironic itself");
        return;
    }
    panic!("the sidecar was never killed in time");
}

#[test]
fn killed_after_the_first_heartbeat() {
    root_test!();
    let lab = Lab::new(Setup::default());
    let mut sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    wait_until(&sidecar, "the first heartbeat", PATIENCE, || accepted(&sidecar) >= 1.0);
    lab.wait_right(&ipa);
    lab.assert_secret(&sidecar);
    kill(&lab, &mut sidecar);
    let killed = Instant::now();
    lab.wait_beats(2, &ipa);
    lab.tell(&format!(
        "killed after the first: two more heartbeats within {:.1} s",
        killed.elapsed().as_secs_f64()
    ));
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    assert_eq!(lab.conductor_asks().0, URL);
}

#[test]
fn ironic_goes_and_comes_back() {
    root_test!();
    let setup = Setup { cmdline: "ipa-http-request-timeout=5", ..Setup::default() };
    let (lab, sidecar, ipa) = Lab::running(setup);
    let outages = [
        // Packets are lost on the way back: no answer at all.
        ("silence", "route add blackhole 10.77.0.5/32", "route del blackhole 10.77.0.5/32"),
        // The node's NIC loses its carrier as well.
        ("no carrier", "link set ironic down", "link set ironic up"),
    ];
    for (what, down, up) in outages {
        wait_accepted(&sidecar);
        let failures = || ipa.log().matches("error sending heartbeat").count();
        let (before, gone) = (failures(), Instant::now());
        lab.site.conductor.ip(down).unwrap();
        while failures() == before {
            assert!(gone.elapsed() < PATIENCE, "{}", ipa.log_tail(40));
            sleep(Duration::from_millis(100));
        }
        assert_eq!(sidecar.state().unwrap()["address"], "10.77.0.5", "the decision stays");
        assert!(!lab.site.drop_in().is_empty());
        lab.site.conductor.ip(up).unwrap();
        let back = Instant::now();
        lab.wait_beats(1, &ipa);
        lab.tell(&format!(
            "{what}: down for {:.1} s, recorded again {:.1} s after it was back",
            (back - gone).as_secs_f64(),
            back.elapsed().as_secs_f64()
        ));
        assert_eq!(lab.recorded().as_deref(), Some(URL));
    }
    assert_eq!(metric(&sidecar, "agent_url_stale"), 0.0);
    wait_accepted(&sidecar);
    assert_eq!(lab.conductor_asks().0, URL);
    lab.assert_secret(&sidecar);
}

#[test]
fn a_first_api_url_that_is_silent_costs_only_time() {
    root_test!();
    let setup = Setup {
        api_url: "http://10.99.0.1:6385,http://10.77.0.1:6385",
        cmdline: "ipa-http-request-timeout=8",
        ..Setup::default()
    };
    let lab = Lab::new(setup);
    // The server is no router: what it is sent for 10.99.0.1 gets no answer.
    lab.site.node.ip("route add 10.99.0.0/24 via 10.77.0.1").unwrap();
    let sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa();
    lab.wait_right(&ipa);
    lab.tell("recorded");
    wait_accepted(&sidecar);
    assert_eq!(lab.conductor_asks().0, URL);
    lab.assert_secret(&sidecar);
}
