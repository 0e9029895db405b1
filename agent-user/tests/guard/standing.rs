//! Connections that were made while no guard worked, and stand when it is back.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use rustix::process::Signal;

use super::*;

/// Longer than a connection has to be quiet before it is ended.
const QUIET: Duration = Duration::from_millis(1200);

fn back(lab: &mut Lab) {
    if lab.daemon.ended_already().is_none() {
        signal(&lab.daemon, Signal::KILL);
        lab.daemon.ended(SOON).unwrap();
    }
    lab.daemon = lab.site.guard(&[]);
    wait_redirect(&lab.daemon);
    lab.daemon.wait_state("generation", SOON, |state| state["generation"] != 0).unwrap();
}

fn peer(stream: &TcpStream) -> String {
    stream.peer_addr().unwrap().to_string()
}

/// A gap over one heartbeat of a repaired node, of a server that keeps the connection longer than IPA's pause.
#[test]
fn a_heartbeat_on_a_connection_from_the_gap_comes_back_to_the_guard() {
    root_test!();
    let (mut lab, token) = Lab::asked();
    let mut first = lab.raw();
    first.send(beat(SEED_URL, &token));
    assert!(first.answer().0.starts_with("HTTP/1.1 202 "));
    signal(&lab.daemon, Signal::KILL);
    lab.daemon.ended(SOON).unwrap();

    let mut kept = lab.raw();
    assert_eq!(peer(&kept.stream), API);
    // The kernel dates what passes in its ticks.
    lab.ironic.push_fault(Path::Heartbeat, Fault::Late(Duration::from_millis(50)));
    kept.send(beat(SEED_URL, &token));
    assert!(kept.answer().0.starts_with("HTTP/1.1 400 "), "IPA's own goes to Ironic");
    lab.ironic.push_fault(Path::Root, Fault::SlowBody(Duration::from_millis(300)));
    let mut download = lab.sent(get("/"));
    assert_eq!(download.stream.read(&mut [0]).unwrap(), 1);
    lab.ironic.push_fault(Path::Lookup, Fault::Late(Duration::from_secs(8)));
    let mut asked = lab.sent(lookup());
    std::thread::sleep(QUIET);

    back(&mut lab);
    assert_eq!(kept.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    // As IPA's HTTP client does where a kept connection has ended.
    let mut again = lab.raw();
    assert_eq!(peer(&again.stream), GUARD);
    again.send(beat(SEED_URL, &token));
    assert!(again.answer().0.starts_with("HTTP/1.1 202 "), "{}", lab.daemon.log());
    assert_eq!(beat_urls(&lab.ironic), [FIRST_URL, SEED_URL, FIRST_URL]);
    // What was under way goes on.
    assert_eq!((peer(&download.stream), peer(&asked.stream)), (API.to_owned(), API.to_owned()));
    let before = lab.ironic.connections();
    for _ in 0..3 {
        assert!(download.stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    assert!(asked.answer().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(lab.ironic.connections(), before);
    assert!(
        !lab.daemon.log().contains("could not drop privileges; continuing with them"),
        "{}",
        lab.daemon.log()
    );
    assert_names(lab.daemon.log(), &["idle connection that bypassed the guard", "in use bypass the guard"]);
}

/// Only a repaired node depends on the guard.
#[test]
fn without_a_repaired_heartbeat_no_connection_is_ended() {
    root_test!();
    let (mut lab, token) = Lab::asked();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    signal(&lab.daemon, Signal::KILL);
    lab.daemon.ended(SOON).unwrap();
    let mut kept = lab.raw();
    for _ in 0..2 {
        kept.send(beat(FIRST_URL, &token));
        assert!(kept.answer().0.starts_with("HTTP/1.1 202 "));
        std::thread::sleep(QUIET);
        back(&mut lab);
    }
    assert_eq!(peer(&kept.stream), API);
}
