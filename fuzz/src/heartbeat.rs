//! A heartbeat on its way through the guard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use callback_url::{Context, Host, Local, judge, same_to_ironic};
use ipa_sidecar::inside::{Era, HeartbeatAction, HeartbeatBody, HeartbeatFacts, heartbeat as decide};
use serde_json::Value;
use serde_json::value::RawValue;

/// The first byte chooses what is known, the rest is the body. What is repaired differs from what came in the bytes of
/// the URL only, is good, and stays the same once Ironic holds it; everything else passes as it is.
pub fn heartbeat(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else { return };
    let era = if choice & 1 == 0 { Era::Current } else { Era::VendorPassthru };
    let Some(read) = HeartbeatBody::read(body, era) else { return };
    let ours: IpAddr = Ipv4Addr::new(172, 25, 134, 128).into();
    let (decided, other) = (Host::Ip(ours), Host::parse("fd77::9").expect("an address"));
    let decided = match choice >> 1 & 3 {
        0 => None,
        1 => Some(&other),
        _ => Some(&decided),
    };
    let assigned = vec![ours, "fd77::9".parse().expect("an address")];
    let were_ours: BTreeSet<_> = assigned.iter().copied().collect();
    let local = Local { assigned, ..Local::default() };
    let facts = HeartbeatFacts {
        decided,
        operator: choice & 16 != 0,
        port: 9999,
        local: (choice & 8 == 0).then_some(&local),
        were_ours: &were_ours,
        listened: choice & 64 == 0,
        may_repair: choice & 128 == 0,
        held: (choice & 32 != 0).then_some("http://172.25.134.128:9999"),
        holds_another: false,
        repaired: None,
    };
    let (action, judgement) = decide(&read.url, &facts);
    let HeartbeatAction::Repair(url) = action else { return };
    assert!(facts.held.is_none(), "changed although Ironic holds a URL");
    assert!(facts.may_repair && facts.listened);
    assert!(!judgement.reasons.is_empty(), "a sound heartbeat was changed");
    assert_eq!(judge(&url, &Context::default()).reasons, [], "{url:?}");
    only_the_url_differs(body, &read.with_url(&url), era.url_field(), &url);
    let later = HeartbeatFacts { held: Some(&url), repaired: Some(&url), ..facts };
    match decide(&read.url, &later).0 {
        HeartbeatAction::Repair(again) => assert!(same_to_ironic(&again, &url), "{again:?} after {url:?}"),
        HeartbeatAction::Pass => panic!("{url:?} is not repaired again"),
    }
}

/// By the text of each field, and by the bytes before and behind the URL.
fn only_the_url_differs(body: &[u8], repaired: &[u8], field: &str, url: &str) {
    let before: BTreeMap<String, &RawValue> = serde_json::from_slice(body).expect("it was read");
    let after: BTreeMap<String, &RawValue> = serde_json::from_slice(repaired).expect("it is JSON");
    assert!(before.keys().eq(after.keys()));
    for (name, value) in &before {
        assert!(name == field || after[name].get() == value.get(), "{name:?} was changed");
    }
    let (old, new) = (before[field].get(), after[field].get());
    assert_eq!(serde_json::from_str::<Value>(new).expect("a text"), Value::from(url));
    let start = old.as_ptr() as usize - body.as_ptr() as usize;
    let (head, tail) = (&body[..start], &body[start + old.len()..]);
    assert_eq!(repaired.len(), head.len() + new.len() + tail.len());
    assert!(repaired.starts_with(head) && repaired.ends_with(tail));
}
