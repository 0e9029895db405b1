//! The end of the sidecar, at the worst moments.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testbed::needs_root;
use testbed::stand_in::{Fault, Path};

use super::setup::raw::Raw;
use super::setup::{API, GUARD, Lab, MAC, OLD_PREFIX, PREFIX};

fn lookup() -> String {
    format!("GET {PREFIX}/v1/lookup?addresses={MAC} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[test]
fn sigterm_while_a_lookup_is_held_and_while_ironic_is_silent() {
    if !needs_root("the guard") {
        return;
    }
    for silent in [false, true] {
        let mut lab = Lab::new(&format!("sigterm-{silent}"), &[]);
        let mut raw = lab.raw();
        if silent {
            lab.ironic.set_fault(Path::Any, Some(Fault::Silent));
            raw.send(lookup());
            lab.daemon
                .wait("the lookup to reach Ironic", Duration::from_secs(5), || {
                    (!lab.ironic.requests().is_empty()).then_some(())
                })
                .unwrap();
        } else {
            assert_eq!(lab.lookup(OLD_PREFIX).status, 409);
        }
        let (status, waited) = lab.daemon.terminate().unwrap();
        assert_eq!(status.code(), Some(0), "{}", lab.daemon.log());
        assert!(waited < Duration::from_secs(2), "{waited:?}");
        assert_eq!(raw.rest().0, b"", "no half answer");
        assert!(lab.drop_in().contains(&format!(",http://{API}\n")), "{}", lab.drop_in());
    }
}

#[test]
fn kill_9_leaves_a_refused_port_and_a_drop_in_with_ironic_behind_it() {
    if !needs_root("the guard") {
        return;
    }
    let mut lab = Lab::new("kill", &[]);
    lab.ironic.set_fault(Path::Any, Some(Fault::Silent));
    let mut raw = lab.raw();
    raw.send(lookup());
    let pid = Pid::from_raw(i32::try_from(lab.daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    lab.daemon.ended(Duration::from_secs(5)).unwrap();
    assert_eq!(raw.rest().0, b"");
    let refused = Raw::try_connect(&lab.node, GUARD).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let line = format!("api_url = http://{GUARD}{PREFIX},http://{API}\n");
    assert!(lab.drop_in().contains(&line), "{}", lab.drop_in());
    assert!(lab.drop_in().contains("advertise_host = 10.77.0.2\n"));
}
