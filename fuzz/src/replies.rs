//! What Ironic, or whoever answers in its place, sends back.

use ipa_sidecar::inside::{LookupReply, error_text, is_uuid, refusal};
use text::foreign_text;

/// The reply to a lookup: what is taken out of it is sound, and no refusal quotes more than an identifier.
pub fn ironic_lookup(data: &[u8]) {
    match LookupReply::parse(data) {
        Ok(reply) => {
            assert!(is_uuid(&reply.uuid));
            assert!((1..=86_400).contains(&reply.heartbeat_timeout.as_secs()));
            assert!(!(reply.token_masked && reply.agent_token.is_some()));
            if let Some(token) = &reply.agent_token {
                assert!(!token.expose().is_empty());
                assert_eq!(format!("{token}"), text::MASK);
            }
        }
        Err(problem) => assert!(is_plain(&problem), "{problem:?}"),
    }
}

/// An error body: some text comes out of every one that is not blank, and as it is shown it forges no log line.
pub fn ironic_error(data: &[u8]) {
    let text = error_text(data);
    let blank = String::from_utf8_lossy(data).trim().is_empty();
    assert!(!(blank && text.is_some()));
    let text = text.unwrap_or_default();
    for status in [200, 301, 400, 404, 406, 409, 500] {
        let _ = refusal(status, &text);
    }
    let shown = foreign_text(&text, None);
    assert!(is_plain(&shown), "{shown:?}");
    assert!(shown.chars().count() <= 16 * 303, "{} characters", shown.chars().count());
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
