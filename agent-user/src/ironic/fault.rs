//! What a refusal of Ironic's means.

use api_client::http::Reply;
use api_client::{Peer, error_text};
use text::{Secret, foreign_text};

use super::error::{IronicError, Refusal};

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
    use super::*;

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
}
