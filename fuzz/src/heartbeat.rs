//! A heartbeat on its way through the guard, and the paths that get there at all.

use std::net::{IpAddr, Ipv4Addr};

use callback_url::{Context, Host, Local, Verdict, judge, same_to_ironic};
use hyper::Method;
use ipa_sidecar::inside::{
    Era, HeartbeatAction, HeartbeatBody, HeartbeatFacts, Kind, classify, heartbeat as decide, split_path,
};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The first byte chooses what is known, the rest is the body. What is repaired differs from what came in the bytes of
/// the URL only, is good, and stays the same once Ironic holds it; everything else is forwarded as it is.
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
    let local = Local { assigned, ..Local::default() };
    let local = (choice & 8 == 0).then_some(&local);
    let operator = choice & 16 != 0;
    let held = (choice & 32 != 0).then_some("http://172.25.134.128:9999");
    let facts = HeartbeatFacts { decided, operator, local, held };
    let (action, judgement) = decide(&read.url, read.certificate.as_deref(), &facts);
    assert_eq!(judgement.verdict == Verdict::Good, judgement.reasons.is_empty());
    match action {
        HeartbeatAction::Forward => {
            assert!(judgement.verdict == Verdict::Good || held.is_some(), "a bad first URL went through");
        }
        HeartbeatAction::Hold(why) => {
            assert!(held.is_none(), "held although Ironic holds a URL");
            assert!(!why.chars().any(char::is_control), "{why:?}");
        }
        HeartbeatAction::Repair(url) => {
            assert_eq!(judge(&url, &Context::default()).reasons, [], "{url:?}");
            let repaired = read.with_url(&url);
            only_the_url_differs(body, &repaired, era.url_field(), &url);
            if held.is_none() {
                let later = HeartbeatFacts { held: Some(&url), ..facts };
                let (again, _) = decide(&read.url, read.certificate.as_deref(), &later);
                let sent = match &again {
                    HeartbeatAction::Repair(again) => again,
                    HeartbeatAction::Forward => &read.url,
                    HeartbeatAction::Hold(why) => panic!("held after the acceptance: {why}"),
                };
                assert!(same_to_ironic(sent, &url), "{sent:?} after {url:?}");
            }
        }
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

/// The first byte chooses the method. Whatever gets through has the shape of a path of IPA's.
pub fn guard_path(data: &[u8]) {
    let Some((&choice, path)) = data.split_first() else { return };
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
    let method = &methods[usize::from(choice) % methods.len()];
    let path = String::from_utf8_lossy(path);
    let (_, rest) = split_path(&path);
    assert!(path.ends_with(rest) || rest == "/");
    let kind = classify(method, rest);
    if kind.is_some() {
        assert!(rest.starts_with('/') && !rest.contains("//"), "{rest:?}");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
        assert!(rest.chars().all(plain), "{rest:?}");
        assert!(rest == "/" || rest.starts_with("/v1"), "{rest:?}");
    }
    match kind {
        Some(Kind::Heartbeat(_, node)) => assert!(*method == Method::POST && rest.contains(&node)),
        Some(Kind::Inventory) => assert!(*method == Method::POST),
        Some(Kind::Discovery) => assert!(*method == Method::GET || *method == Method::HEAD),
        Some(Kind::Lookup(_)) | None => {}
    }
}
