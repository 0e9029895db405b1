//! What there is no room for is counted, and its connection knows.

use std::time::Duration;

use testbed::root_test;

use crate::lab::{Lab, Request, Watching};

const LARGE: Request = ("GET", "/v1/lookup?size=100000", None);
const HEARTBEAT: Request = ("POST", "/v1/heartbeat/5f4c7ed8-1a7e-4a2c-9b9c-0d1f6d3f9a11", Some(700));

#[test]
fn where_all_slots_are_taken_the_rest_is_counted() {
    root_test!();
    let Some(lab) = Lab::new("sight-full") else { return };
    let (mut watching, _) = Watching::held(&lab.library, 4096);
    let spoken = lab.speak("blocking", &[LARGE; 8]);
    watching.drain();
    let (flows, lost) = watching.until(1);
    let flow = flows.into_values().next().unwrap();
    assert!(lost > 0);
    assert!(flow.received.len() < spoken.received.len());
    assert!(watching.slots.are_empty());
    // The next connection has room again.
    let spoken = lab.speak("blocking", &[LARGE, HEARTBEAT]);
    let flow = watching.one();
    assert_eq!((flow.gaps, flow.received == spoken.received), (Vec::new(), true));
}

#[test]
fn a_body_beyond_the_limit_marks_what_comes_after_it() {
    root_test!();
    let Some(lab) = Lab::new("sight-body") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 4096);
    let inspection = ("POST", "/v1/continue_inspection", Some(3_000_000));
    lab.speak("blocking", &[HEARTBEAT, inspection, HEARTBEAT]);
    let (flows, lost) = watching.until(1);
    let flow = flows.into_values().next().unwrap();
    assert!(lost > 0 && !flow.gaps.is_empty());
    let last = flow.sent.len() - flow.gaps[0];
    assert!(flow.sent[flow.gaps[0]..].starts_with(b"POST /v1/heartbeat/"), "{last}");
    assert!(flow.sent.ends_with(&[b'b'; 700]));
}

#[test]
fn a_channel_without_room_counts_too() {
    root_test!();
    let Some(lab) = Lab::new("sight-channel") else { return };
    let (mut watching, _) = Watching::of(&lab.library, 2);
    lab.speak("blocking", &[HEARTBEAT; 5]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(watching.slots.are_empty(), "the slots do not wait for the receiver");
    let mut lost = 0;
    while let Some(seen) = watching.next(Duration::from_millis(300)) {
        if let ipa_sidecar::inside::SightSeen::Lost(count) = seen {
            lost += count;
        }
    }
    assert!(lost > 0);
}
