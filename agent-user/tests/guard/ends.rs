//! The end of the daemon, while something is on its way.

use std::net::TcpStream;

use super::*;

#[test]
fn a_lookup_in_flight_at_sigterm_gets_its_answer() {
    root_test!();
    let mut lab = Lab::new(&[]);
    lab.ironic.push_fault(Path::Lookup, Fault::Late(Duration::from_secs(4)));
    let mut asked = lab.sent(lookup());
    wait_request(&lab.daemon, &lab.ironic);
    signal(&lab.daemon, rustix::process::Signal::TERM);
    // The redirect is over at once.
    let direct = || lab.node.enter(|| TcpStream::connect(API).unwrap().peer_addr().unwrap()).unwrap();
    wait_until(&lab.daemon, "direct connects", SOON, || direct().to_string() == API);
    let (head, body) = asked.answer();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(!body.is_empty());
    assert_eq!(lab.daemon.ended(SOON).unwrap().code(), Some(0), "{}", lab.daemon.log());
}

#[test]
fn at_sigterm_all_else_ends_within_2_s() {
    root_test!();
    let mut lab = Lab::new(&[]);
    assert_ends(&mut lab.daemon, "no connection");
    lab.daemon = lab.site.guard(&[]);
    wait_redirect(&lab.daemon);
    lab.ironic.set_fault(Path::Root, Some(Fault::Silent));
    let mut silent = lab.sent(get("/"));
    let mut kept = lab.sent(get("/v1"));
    assert!(kept.answer().0.starts_with("HTTP/1.1 200 "));
    let mut fresh = lab.raw();
    assert_ends(&mut lab.daemon, "silent, kept and fresh connections");
    for raw in [&mut silent, &mut kept, &mut fresh] {
        assert_eq!(raw.rest().0, b"");
    }
}
