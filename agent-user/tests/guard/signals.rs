//! The end of the sidecar, at the worst moments.

use rustix::process::Signal;

use super::*;

#[test]
fn sigterm_while_a_lookup_is_held_and_while_ironic_is_silent() {
    root_test!();
    for silent in [false, true] {
        let mut lab = Lab::new(&[]);
        let mut raw = lab.raw();
        if silent {
            lab.ironic.set_fault(Path::Any, Some(Fault::Silent));
            raw.send(lookup());
            wait_request(&lab.daemon, &lab.ironic);
        } else {
            assert_eq!(lab.lookup(OLD_PREFIX).status, 409);
        }
        assert_ends(&mut lab.daemon, if silent { "silent" } else { "held" });
        assert_eq!(raw.rest().0, b"", "no half answer");
        assert!(lab.drop_in().contains(&format!(",http://{API}\n")), "{}", lab.drop_in());
    }
}

#[test]
fn kill_9_leaves_a_refused_port_and_a_drop_in_with_ironic_behind_it() {
    root_test!();
    let mut lab = Lab::new(&[]);
    lab.ironic.set_fault(Path::Any, Some(Fault::Silent));
    let mut raw = lab.sent(lookup());
    signal(&lab.daemon, Signal::KILL);
    lab.daemon.ended(Duration::from_secs(5)).unwrap();
    assert_eq!(raw.rest().0, b"");
    let refused = Raw::try_connect(&lab.node, GUARD).err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let line = format!("api_url = http://{GUARD}{PREFIX},http://{API}\n");
    assert!(lab.drop_in().contains(&line), "{}", lab.drop_in());
    assert!(lab.drop_in().contains("advertise_host = 10.77.0.5\n"));
}
