//! What is seen is what was said.

use std::time::Duration;

use testbed::root_test;

use crate::lab::{Lab, Request, Watching};

const LOOKUP: Request = ("GET", "/v1/lookup?addresses=52:54:00:00:00:01", None);
const LARGE: Request = ("GET", "/v1/lookup?size=102400", None);
const HEARTBEAT: Request = ("POST", "/v1/heartbeat/5f4c7ed8-1a7e-4a2c-9b9c-0d1f6d3f9a11", Some(700));

#[test]
fn a_blocking_client_is_seen_word_by_word() {
    root_test!();
    let Some(lab) = Lab::new("sight-blocking") else { return };
    let (mut watching, report) = Watching::of(&lab.library, 1024);
    assert!(report.answers, "{report:?}");
    assert_eq!(report.libraries, std::slice::from_ref(&lab.library));
    let spoken = lab.speak("blocking", &[LOOKUP, HEARTBEAT, ("GET", "/", None), HEARTBEAT]);
    let flow = watching.one();
    assert_eq!((flow.pid, flow.uid), (spoken.pid, 0));
    assert!(!flow.own_namespace, "the client is in another network namespace");
    assert!(flow.gaps.is_empty());
    assert_eq!(String::from_utf8_lossy(&flow.sent), String::from_utf8_lossy(&spoken.sent));
    assert_eq!(flow.received, spoken.received);
    assert!(flow.sent.starts_with(b"GET /v1/lookup?addresses="));
    assert!(flow.received.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn memory_bios_and_asyncio_are_seen_too() {
    root_test!();
    let Some(lab) = Lab::new("sight-memory") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 1024);
    let spoken = lab.speak("memory", &[LOOKUP, HEARTBEAT, LARGE]);
    let flow = watching.one();
    assert_eq!(flow.pid, spoken.pid);
    assert_eq!(flow.sent, spoken.sent);
    assert_eq!(flow.received, spoken.received);
}

#[test]
fn an_answer_of_100_kib_comes_through_in_pieces() {
    root_test!();
    let Some(lab) = Lab::new("sight-large") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 1024);
    let spoken = lab.speak("blocking", &[LARGE, HEARTBEAT]);
    assert!(spoken.received.len() > 102_400);
    let flow = watching.one();
    assert_eq!(flow.sent, spoken.sent);
    assert!(flow.received == spoken.received, "{} of {}", flow.received.len(), spoken.received.len());
}

#[test]
fn what_is_not_ipas_leaves_nothing() {
    root_test!();
    let Some(lab) = Lab::new("sight-unrelated") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 1024);
    let unrelated =
        [("GET", "/size=100000", None), ("POST", "/v2/lookup", Some(5000)), ("GET", "/v1/ports", None)];
    lab.speak("blocking", &unrelated);
    assert!(watching.next(Duration::from_millis(300)).is_none());
    assert!(watching.slots.are_empty());
    // An API behind a path is one.
    let spoken = lab.speak("blocking", &[("GET", "/baremetal/v1/lookup?x", None)]);
    assert_eq!(watching.one().sent, spoken.sent);
}

#[test]
fn no_text_stays_in_the_slots() {
    root_test!();
    let Some(lab) = Lab::new("sight-slots") else { return };
    let (mut watching, _) = Watching::held(&lab.library, 1024);
    lab.speak("blocking", &[LOOKUP, HEARTBEAT, LARGE]);
    assert!(!watching.slots.are_empty(), "nobody has read them yet");
    watching.drain();
    watching.one();
    assert!(watching.slots.are_empty());
    // What nobody reads is wiped at the end.
    let (mut unread, _) = Watching::held(&lab.library, 1024);
    lab.speak("blocking", &[HEARTBEAT]);
    assert!(!unread.slots.are_empty());
    unread.stop();
    assert!(unread.slots.are_empty());
}

#[test]
fn processes_with_the_same_addresses_are_distinguished() {
    root_test!();
    let Some(lab) = Lab::new("sight-several") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 1024);
    let requests = [LOOKUP, HEARTBEAT, HEARTBEAT, HEARTBEAT];
    let clients: Vec<_> = (0..4).map(|_| lab.start("blocking", &requests)).collect();
    let spoken: Vec<_> = clients.into_iter().map(Lab::end).collect();
    let (flows, lost) = watching.until(4);
    assert_eq!((flows.len(), lost), (4, 0));
    for spoken in spoken {
        let flow = flows.values().find(|flow| flow.pid == spoken.pid).unwrap();
        assert_eq!(flow.sent, spoken.sent);
        assert_eq!(flow.received, spoken.received);
    }
}
