//! Which API version to speak: what the server offers, never less than protects the token.

use text::foreign_text;

use crate::{json, parts};

/// An API version of Ironic, like 1.62.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Before the dot.
    pub major: u16,
    /// Behind the dot.
    pub minor: u16,
}

const fn v1(minor: u16) -> ApiVersion {
    ApiVersion { major: 1, minor }
}

/// Brought `/v1/lookup` and `/v1/heartbeat` (ironic/api/controllers/v1/versions.py, as all of these).
pub const LOOKUP: ApiVersion = v1(22);
/// Brought `agent_version` in the heartbeat.
pub const AGENT_VERSION: ApiVersion = v1(36);
/// Brought the agent token.
pub const AGENT_TOKEN: ApiVersion = v1(62);
/// Brought `agent_verify_ca`.
pub const AGENT_VERIFY_CA: ApiVersion = v1(68);
/// Brought `agent_status`; the newest that is of use here.
pub const AGENT_STATUS: ApiVersion = v1(72);

/// `1.62`.
pub fn version_text(version: ApiVersion) -> String {
    format!("{}.{}", version.major, version.minor)
}

/// The version of a lookup to a server that offers `offered`. Below 1.62 Ironic shows the node's real token to
/// whoever asks and never makes one: so never below where 1.62 is to be had.
pub fn for_lookup(offered: ApiVersion) -> ApiVersion {
    offered.min(AGENT_TOKEN)
}

/// The version of a heartbeat to a server that offers `offered`.
pub fn for_heartbeat(offered: ApiVersion) -> ApiVersion {
    offered.min(AGENT_STATUS)
}

/// Reads `default_version.version` of Ironic's answer to `GET /`: the newest version that it speaks.
///
/// # Errors
/// What is wrong with the document, as a sentence.
pub fn parse_root(body: &[u8]) -> Result<ApiVersion, String> {
    let document: Root =
        serde_json::from_slice(body).map_err(|error| format!("GET / is no JSON object: {error}"))?;
    let version: Option<Version> = document.default_version.and_then(json::read);
    let text = version
        .and_then(|version| version.version)
        .and_then(json::text)
        .ok_or("GET / has no default_version.version: is this the URL of the bare metal API?")?;
    parse_version(&text).ok_or_else(|| {
        let shown = foreign_text(&text, None);
        format!("default_version.version is {shown:?} where a version like 1.62 is expected")
    })
}

parts! {
    struct Root { default_version }
}

parts! {
    struct Version { version }
}

fn parse_version(text: &str) -> Option<ApiVersion> {
    let (major, minor) = text.split_once('.')?;
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u16>().ok()).flatten()
    };
    Some(ApiVersion { major: number(major)?, minor: number(minor)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_root_document() {
        let root = br#"{"default_version": {"id": "v1", "min_version": "1.1", "version": "1.102"}}"#;
        assert_eq!(parse_root(root), Ok(v1(102)));
        for (body, word) in [
            ("", "no JSON"),
            ("{}", "default_version"),
            (r#"{"default_version": {"version": 1.62}}"#, "default_version"),
            (r#"{"default_version": {"version": "1.x"}}"#, "1.x"),
            (r#"{"default_version": {"version": "1"}}"#, "like 1.62"),
            (r#"{"default_version": {"version": "1.+2"}}"#, "like 1.62"),
            (r#"{"default_version": {"version": "1.99999999"}}"#, "like 1.62"),
        ] {
            let problem = parse_root(body.as_bytes()).unwrap_err();
            assert!(problem.contains(word), "{body}: {problem}");
        }
    }

    #[test]
    fn a_lookup_never_goes_below_the_token() {
        assert_eq!(for_lookup(v1(102)), AGENT_TOKEN);
        assert_eq!(for_lookup(v1(62)), AGENT_TOKEN);
        assert_eq!(for_lookup(v1(40)), v1(40));
        assert_eq!(for_heartbeat(v1(102)), AGENT_STATUS);
        assert_eq!(for_heartbeat(v1(65)), v1(65));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
            let _ = parse_root(&body);
            let body = serde_json::json!({"default_version": {"version": text}}).to_string();
            let _ = parse_root(body.as_bytes());
        }
    }
}
