//! All slots taken: who comes then is better served by Ironic itself.

use std::net::TcpStream;

use super::*;

#[test]
fn with_16_idle_connections_new_ones_go_to_ironic_directly() {
    root_test!();
    let lab = Lab::new(&[]);
    let peer = || lab.node.enter(|| TcpStream::connect(API).unwrap()).unwrap();
    let mut idle = Vec::new();
    while idle.len() < 16 {
        let stream = peer();
        assert_eq!(stream.peer_addr().unwrap().to_string(), GUARD, "{} of them", idle.len());
        idle.push(stream);
    }
    wait_until(&lab.daemon, "no redirect", SOON, || {
        lab.daemon.state().unwrap()["guard"]["redirecting"] == false
    });
    assert_eq!(peer().peer_addr().unwrap().to_string(), API);
    assert_eq!(lab.lookup().status, 200);
    assert_eq!(ready(&lab.daemon).0, 200, "it is no failure");
    idle.pop();
    wait_redirect(&lab.daemon);
    assert_eq!(peer().peer_addr().unwrap().to_string(), GUARD);
}

/// Whoever connects to the guard itself is carried where there is one Ironic only; else it is a failure of the guard.
#[test]
fn a_connection_of_unknown_destination_never_goes_to_the_wrong_ironic() {
    root_test!();
    let lab = Lab::new(&[]);
    let mut raw = Raw::connect(&lab.node, GUARD);
    raw.send(get("/v1"));
    assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    let site = Site::new();
    let two = "--ironic.api-url=http://10.77.0.1:6385,http://10.77.0.2:6385";
    let lab = Lab::on(site, node_with_mac(), &[two]);
    let mut raw = Raw::connect(&lab.node, GUARD);
    assert_eq!(raw.rest().0, b"");
    assert_unready(&lab.daemon, &["not known where it was to go", "60 s"]);
    assert_eq!(lab.ironic.requests(), []);
    let direct = lab.node.enter(|| TcpStream::connect(API).unwrap()).unwrap();
    assert_eq!(direct.peer_addr().unwrap().to_string(), API);
}
