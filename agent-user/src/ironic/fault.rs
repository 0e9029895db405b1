//! Ironic's error answers: a JSON document whose `error_message` is a string that holds JSON again
//! (ironic/api/middleware/parsable_error.py), or the same as an object, or whatever a proxy sends instead.

use std::borrow::Cow;

use text::{Secret, foreign_text};

use super::error::{IronicError, Peer, Refusal};
use super::http::Reply;
use super::json;

json::parts! {
    /// What is read of an error: Ironic's own text is `faultstring`, the others come from its web framework (406) or a proxy.
    struct Fault { error_message, faultstring, description, message, title }
}

impl Fault<'_> {
    fn text(&self) -> Option<String> {
        [self.faultstring, self.description, self.message, self.title]
            .into_iter()
            .filter_map(|part| json::text(part?))
            .find(|text| !text.trim().is_empty())
            .map(Cow::into_owned)
    }
}

/// The text for people in an error body; the body itself where it is not Ironic's; `None` for an empty one.
pub fn error_text(body: &[u8]) -> Option<String> {
    let text = serde_json::from_slice::<Fault>(body).ok().and_then(|outer| match outer.error_message {
        None => outer.text(),
        Some(part) => match json::text(part) {
            Some(inner) => match serde_json::from_str::<Fault>(&inner) {
                Ok(fault) => fault.text(),
                Err(_) => Some(inner.into_owned()),
            },
            None => json::read::<Fault>(part).map_or_else(|| outer.text(), |fault| fault.text()),
        },
    });
    text.or_else(|| Some(String::from_utf8_lossy(body).into_owned())).filter(|text| !text.trim().is_empty())
}

/// What a status means; `text` is Ironic's error text.
pub fn refusal(status: u16, text: &str) -> Refusal {
    match status {
        300..=399 => Refusal::Redirect,
        400 => bad_request(&text.to_ascii_lowercase()),
        404 => Refusal::NotFound,
        406 => Refusal::VersionNotAccepted,
        409 => Refusal::Locked,
        401..=499 => Refusal::Client,
        _ => Refusal::Server,
    }
}

/// Ironic has one status for all of these; only the text tells them apart.
fn bad_request(text: &str) -> Refusal {
    let has = |part: &str| text.contains(part);
    if has("detected change") && has("callback_url") {
        Refusal::PinnedUrl
    } else if has("detected change") && has("agent_verify_ca") {
        Refusal::PinnedCertificate
    } else if has("token is required") {
        Refusal::TokenRequired
    } else if has("agent token received") {
        Refusal::TokenInvalid
    } else if has("tls is required") {
        Refusal::TlsRequired
    } else if has("did not transmit a version") {
        Refusal::AgentVersionRequired
    } else if has("callback_url") {
        Refusal::CallbackUrlMalformed
    } else if has("not recognised") {
        Refusal::FieldUnknown
    } else if has("'addresses' and 'node_uuid'") {
        Refusal::LookupIncomplete
    } else {
        Refusal::Client
    }
}

/// The error for an answer with another status than `expected`. `secret` was in the request; should the server echo
/// it, it is masked.
pub(super) fn unexpected(
    peer: Box<Peer>,
    reply: &Reply,
    expected: u16,
    secret: Option<&Secret>,
) -> IronicError {
    let status = reply.status.as_u16();
    if status < 300 {
        let problem = format!("HTTP status {status} where {expected} is the success");
        return IronicError::InvalidResponse { peer, problem };
    }
    let text = match (&reply.location, &reply.body) {
        (Some(location), _) if status < 400 => format!("see {location}"),
        (_, Ok(body)) => error_text(body).unwrap_or_else(|| "no text".to_owned()),
        (_, Err(error)) => format!("no text ({error})"),
    };
    let refusal = refusal(status, &text);
    let message = foreign_text(&text, secret);
    IronicError::Refused { peer, status, refusal, message }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_encoding() {
        for (body, text) in [
            (r#"{"error_message": "{\"faultcode\": \"Client\", \"faultstring\": \"Oops.\"}"}"#, "Oops."),
            (r#"{"error_message": {"faultstring": "Oops."}}"#, "Oops."),
            (
                r#"{"error_message": "{\"code\": 406, \"title\": \"No\", \"description\": \"Oops.\"}"}"#,
                "Oops.",
            ),
            (r#"{"error_message": "{\"title\": \"No\", \"description\": \"\"}"}"#, "No"),
            (r#"{"error_message": "plain"}"#, "plain"),
            (r#"{"message": "from a proxy"}"#, "from a proxy"),
            (r#"{"error_message": null}"#, r#"{"error_message": null}"#),
            (r#"{"error_message": {"faultstring": 7}}"#, r#"{"error_message": {"faultstring": 7}}"#),
            ("<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>"),
            ("[1]", "[1]"),
        ] {
            assert_eq!(error_text(body.as_bytes()).as_deref(), Some(text));
        }
        assert_eq!(error_text(b""), None);
        assert_eq!(error_text(b" \n"), None);
        assert!(error_text(b"\xff\xfe").is_some());
    }

    #[test]
    fn tells_refusals_apart() {
        for (status, text, expected) in [
            (400, "Detected change in ramdisk provided \"callback_url\"", Refusal::PinnedUrl),
            (400, "Detected change in ramdisk provided \"agent_verify_ca\"", Refusal::PinnedCertificate),
            (400, "Agent token is required for heartbeat processing.", Refusal::TokenRequired),
            (400, "Invalid or missing agent token received.", Refusal::TokenInvalid),
            (400, "TLS is required by configuration", Refusal::TlsRequired),
            (
                400,
                "Agent did not transmit a version, and a version is required. Please update the agent being used.",
                Refusal::AgentVersionRequired,
            ),
            (
                400,
                "An issue with the supplied \"callback_url\" has been detected.",
                Refusal::CallbackUrlMalformed,
            ),
            (400, "Field \"agent_version\" not recognised", Refusal::FieldUnknown),
            (
                400,
                "At least one of 'addresses' and 'node_uuid' parameters is required",
                Refusal::LookupIncomplete,
            ),
            (400, "anything else", Refusal::Client),
            (401, "", Refusal::Client),
            (403, "", Refusal::Client),
            (404, "Resource could not be found.", Refusal::NotFound),
            (406, "", Refusal::VersionNotAccepted),
            (409, "Node x is locked by host y", Refusal::Locked),
            (302, "", Refusal::Redirect),
            (500, "", Refusal::Server),
            (503, "", Refusal::Server),
        ] {
            assert_eq!(refusal(status, text), expected, "{status} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = error_text(&body);
        }

        #[test]
        fn any_json_string_is_survived(inner in any::<String>()) {
            let body = serde_json::json!({ "error_message": inner }).to_string();
            let text = error_text(body.as_bytes());
            prop_assert!(text.is_some() || inner.trim().is_empty());
        }
    }
}
