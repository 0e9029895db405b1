//! The lookup: which node this is, how often Ironic wants a heartbeat, and the token.

use std::borrow::Cow;
use std::time::Duration;

use api_client::{is_uuid, json, parts, query_value};
use text::{MASK, Secret, foreign_text};

use super::error::IronicError;
use super::results::LookupResult;

/// Bounds of `config.heartbeat_timeout` in seconds; what lies outside is moved to the bound, since a refused answer
/// would lose the token that came with it.
const TIMEOUT_SECONDS: (f64, f64) = (1.0, 86_400.0);

/// What to look up a node by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LookupQuery {
    /// MAC addresses, like `52:54:00:12:34:56`.
    pub addresses: Vec<String>,
    /// The node's UUID, where it is known.
    pub node_uuid: Option<String>,
}

impl LookupQuery {
    /// What Ironic is asked for; for people.
    pub fn sought(&self) -> String {
        let node = self.node_uuid.iter().map(|uuid| format!("node {uuid}"));
        let macs = (!self.addresses.is_empty()).then(|| format!("MAC {}", self.addresses.join(", ")));
        node.chain(macs).collect::<Vec<_>>().join(" and ")
    }

    /// The path and query string of the request.
    pub(super) fn path(&self) -> Result<String, IronicError> {
        if self.addresses.is_empty() && self.node_uuid.is_none() {
            let problem = "a lookup needs a MAC address or the node's UUID, and there is neither".to_owned();
            return Err(IronicError::InvalidRequest { problem });
        }
        let mut path = format!("/v1/lookup?addresses={}", query_value(&self.addresses.join(",")));
        if let Some(uuid) = &self.node_uuid {
            path.push_str("&node_uuid=");
            path.push_str(&query_value(uuid));
        }
        Ok(path)
    }
}

/// Ironic's answer to a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupReply {
    /// The node.
    pub uuid: String,
    /// Ironic gives the agent up when it hears nothing for this long (1 s to 1 day).
    pub heartbeat_timeout: Duration,
    /// The token, where this was the first lookup since power on.
    pub agent_token: Option<Secret>,
    /// There is a token, but it went elsewhere: to an earlier lookup, or the operator gave it out.
    pub token_masked: bool,
    /// Heartbeats without a token are refused.
    pub agent_token_required: bool,
    /// The callback URL that Ironic has recorded (`driver_internal_info.agent_url`): a read-back, judged by nobody.
    pub agent_url: Option<String>,
}

impl LookupReply {
    /// The metric label of this success.
    pub fn result(&self) -> LookupResult {
        if self.token_masked { LookupResult::MaskedToken } else { LookupResult::Ok }
    }

    /// Reads the body of a 200 answer.
    ///
    /// # Errors
    /// What is wrong with it. The text quotes no value but the UUID: the body may hold the token.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(body).map_err(|e| {
            format!("the lookup is no JSON object (line {}, column {})", e.line(), e.column())
        })?;
        let node: Node = document.node.and_then(json::read).ok_or("the lookup has no node")?;
        let uuid: Cow<str> = node.uuid.and_then(json::text).ok_or("the lookup has no node.uuid")?;
        if !is_uuid(&uuid) {
            return Err(format!("node.uuid is {:?}, which is no UUID", foreign_text(&uuid, None)));
        }
        let info: Option<Info> = node.driver_internal_info.and_then(json::read);
        let agent_url = info.and_then(|info| info.agent_url).and_then(json::text).map(Cow::into_owned);
        // Before API 1.22 grew a config object the timeout stood at the top; IPA still reads it there.
        let config: Config = document.config.and_then(json::read).unwrap_or_default();
        let timeout =
            if document.config.is_some() { config.heartbeat_timeout } else { document.heartbeat_timeout };
        let heartbeat_timeout = timeout
            .and_then(json::read::<f64>)
            .filter(|seconds| seconds.is_finite())
            .map(|seconds| Duration::from_secs_f64(seconds.clamp(TIMEOUT_SECONDS.0, TIMEOUT_SECONDS.1)))
            .ok_or("config.heartbeat_timeout is no number of seconds")?;
        let agent_token_required = config.agent_token_required.and_then(json::read) == Some(true);
        let token = config.agent_token.and_then(json::read::<String>).map(Secret::new);
        let token = token.filter(|token| !token.expose().is_empty());
        let token_masked = token.as_ref().is_some_and(|token| token.expose() == MASK);
        Ok(Self {
            uuid: uuid.into_owned(),
            heartbeat_timeout,
            agent_token: token.filter(|_| !token_masked),
            token_masked,
            agent_token_required,
            agent_url,
        })
    }
}

parts! {
    /// What is read of the body; the rest is passed over.
    struct Document { node, config, heartbeat_timeout }
}

parts! {
    struct Node { uuid, driver_internal_info }
}

parts! {
    struct Info { agent_url }
}

parts! {
    struct Config { heartbeat_timeout, agent_token, agent_token_required }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const UUID: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";

    fn document(timeout: Value, token: Value) -> Vec<u8> {
        let config =
            json!({"heartbeat_timeout": timeout, "agent_token": token, "agent_token_required": true});
        let info = json!({"agent_url": "http://10.0.0.5:9999"});
        json!({"node": {"uuid": UUID, "driver_internal_info": info}, "config": config})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn reads_the_reply() {
        let reply = LookupReply::parse(&document(json!(300), json!("tok"))).unwrap();
        assert_eq!(reply.uuid, UUID);
        assert_eq!(reply.heartbeat_timeout, Duration::from_secs(300));
        assert_eq!(reply.agent_token, Some(Secret::new("tok".to_owned())));
        assert!(reply.agent_token_required && !reply.token_masked);
        assert_eq!(reply.agent_url.as_deref(), Some("http://10.0.0.5:9999"));
        assert_eq!(reply.result(), LookupResult::Ok);
        assert!(!format!("{reply:?}").contains("tok\""));
        let masked = LookupReply::parse(&document(json!(300), json!("******"))).unwrap();
        assert_eq!((masked.agent_token.as_ref(), masked.token_masked), (None, true));
        assert_eq!(masked.result(), LookupResult::MaskedToken);
        let none = LookupReply::parse(&document(json!(300), Value::Null)).unwrap();
        assert_eq!((none.agent_token, none.token_masked), (None, false));
        let old = json!({"node": {"uuid": UUID}, "heartbeat_timeout": 60}).to_string();
        assert_eq!(LookupReply::parse(old.as_bytes()).unwrap().heartbeat_timeout, Duration::from_secs(60));
    }

    #[test]
    fn a_strange_timeout_is_moved_into_bounds() {
        for (given, kept) in [(json!(0), 1), (json!(-5), 1), (json!(1e300), 86_400), (json!(0.5), 1)] {
            let reply = LookupReply::parse(&document(given, Value::Null)).unwrap();
            assert_eq!(reply.heartbeat_timeout, Duration::from_secs(kept));
        }
    }

    #[test]
    fn says_what_is_missing_and_quotes_no_token() {
        for (body, word) in [
            (r#"{"config": {"agent_token": "S3CRET"#.to_owned(), "no JSON"),
            (json!({"config": {"agent_token": "S3CRET"}}).to_string(), "no node"),
            (json!({"node": {}, "config": {"agent_token": "S3CRET"}}).to_string(), "node.uuid"),
            (json!({"node": {"uuid": "x/../y"}, "config": {}}).to_string(), "x/../y"),
            (
                json!({"node": {"uuid": UUID}, "config": {"agent_token": "S3CRET"}}).to_string(),
                "heartbeat_timeout",
            ),
            (json!({"node": {"uuid": UUID}, "config": "S3CRET"}).to_string(), "heartbeat_timeout"),
            ("[]".to_owned(), "no JSON object"),
        ] {
            let problem = LookupReply::parse(body.as_bytes()).unwrap_err();
            assert!(problem.contains(word), "{body}: {problem}");
            assert!(!problem.contains("S3CRET"), "{problem}");
        }
    }

    #[test]
    fn the_query_is_encoded() {
        let query = LookupQuery {
            addresses: vec!["52:54:00:12:34:56".to_owned(), "a&b=#".to_owned()],
            node_uuid: Some(UUID.to_owned()),
        };
        let path = query.path().unwrap();
        assert_eq!(
            path,
            format!("/v1/lookup?addresses=52%3A54%3A00%3A12%3A34%3A56%2Ca%26b%3D%23&node_uuid={UUID}")
        );
        assert!(LookupQuery::default().path().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = LookupReply::parse(&body);
        }

        #[test]
        fn any_values_are_survived(seconds in any::<f64>(), token in any::<String>(), cut in 0usize..200) {
            let body = document(json!(seconds), json!(token));
            let reply = LookupReply::parse(&body);
            prop_assert_eq!(reply.is_ok(), seconds.is_finite());
            let _ = LookupReply::parse(body.get(..cut).unwrap_or(&body));
        }
    }
}
