//! What is read of Ironic's nodes and of their history. Pure; foreign JSON is read by its parts, so that one odd field
//! costs no node.

use api_client::{is_uuid, json, parts};
use serde_json::value::RawValue;

use crate::moment::Moment;

/// What Ironic puts in the place of a field that the asker may not see (ironic/api/controllers/v1/node.py).
const REDACTED: &str = "Redacted - Requires";

/// ironic/common/states.py
const POWER_ON: &str = "power on";

/// The fields of a node that are asked for.
pub const FIELDS: &str =
    "uuid,name,provision_state,power_state,driver_internal_info,last_error,provision_updated_at";

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its UUID.
    pub uuid: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its provision state.
    pub provision_state: String,
    /// The URL of its agent, as Ironic holds it.
    pub agent_url: Option<String>,
    /// When its agent was last heard.
    pub last_heartbeat: Option<Moment>,
    /// What Ironic remembers for a short time.
    pub last_error: Option<String>,
    /// When its state changed last.
    pub changed_at: Option<Moment>,
    /// Ironic knows that its power is on.
    pub powered_on: bool,
    /// Ironic hides fields.
    pub redacted: bool,
}

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The nodes that could be read.
    pub nodes: Vec<Node>,
    /// Entries that are no nodes.
    pub unreadable: usize,
    /// More follow.
    pub more: bool,
}

/// One event of a node's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What Ironic says.
    pub text: String,
}

parts! {
    struct Listing { nodes, next }
}
parts! {
    struct Item { uuid, name, provision_state, power_state, driver_internal_info, last_error, provision_updated_at }
}
parts! {
    struct Info { agent_url, agent_last_heartbeat, content }
}
parts! {
    struct History { history }
}
parts! {
    struct Entry { created_at, event }
}

impl Page {
    /// Reads the answer to `GET /v1/nodes`.
    ///
    /// # Errors
    /// What is wrong with the document, without a word of its content.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let listing: Listing = document(body)?;
        let items: Vec<&RawValue> = listing
            .nodes
            .and_then(json::read)
            .ok_or("it has no list `nodes`: is this the bare metal API?")?;
        let mut page = Self { more: listing.next.is_some(), ..Self::default() };
        for item in items {
            match Node::read(item.get()) {
                Some(node) => page.nodes.push(node),
                None => page.unreadable += 1,
            }
        }
        Ok(page)
    }
}

impl Node {
    /// Reads the answer to `GET /v1/nodes/UUID`.
    ///
    /// # Errors
    /// What is wrong with the document.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
        Self::read(text).ok_or_else(|| "it is no node: is this the bare metal API?".to_owned())
    }

    fn read(text: &str) -> Option<Self> {
        let item: Item = serde_json::from_str(text).ok()?;
        let uuid = item.uuid.and_then(json::text).filter(|uuid| is_uuid(uuid))?;
        let owned = |part: Option<&RawValue>| part.and_then(json::text).map(std::borrow::Cow::into_owned);
        let info: Info = item.driver_internal_info.and_then(json::read).unwrap_or_default();
        let last_error = owned(item.last_error).filter(|text| !text.is_empty());
        let hidden = owned(info.content).is_some_and(|content| content.contains(REDACTED));
        Some(Self {
            uuid: uuid.to_ascii_lowercase(),
            name: owned(item.name).filter(|name| !name.is_empty()),
            provision_state: owned(item.provision_state).unwrap_or_default(),
            agent_url: owned(info.agent_url),
            last_heartbeat: info
                .agent_last_heartbeat
                .and_then(json::text)
                .and_then(|text| Moment::parse(&text)),
            powered_on: item.power_state.and_then(json::text).is_some_and(|state| state == POWER_ON),
            redacted: hidden || last_error.as_ref().is_some_and(|text| text.contains(REDACTED)),
            last_error,
            changed_at: item.provision_updated_at.and_then(json::text).and_then(|text| Moment::parse(&text)),
        })
    }
}

/// Reads the answer to `GET /v1/nodes/UUID/history?detail=true`; entries that are none are left out.
///
/// # Errors
/// What is wrong with the document.
pub fn events(body: &[u8]) -> Result<Vec<Event>, String> {
    let history: History = document(body)?;
    let entries: Vec<&RawValue> = history.history.and_then(json::read).ok_or("it has no list `history`")?;
    Ok(entries.into_iter().filter_map(event).collect())
}

fn event(entry: &RawValue) -> Option<Event> {
    let entry: Entry = json::read(entry)?;
    let at = Moment::parse(&json::text(entry.created_at?)?)?;
    Some(Event { at, text: json::text(entry.event?)?.into_owned() })
}

/// The words of serde_json say what it met, and where: no content.
fn document<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        let begins_as_html = body.trim_ascii_start().starts_with(b"<");
        let hint = if begins_as_html { " (it looks like HTML: does a proxy answer?)" } else { "" };
        format!("it is no JSON object: {error}{hint}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "f80db967-a8d4-4a05-9443-41b0855f1ec3";

    #[test]
    fn a_page_is_read_by_its_parts() {
        let body = format!(
            r#"{{"nodes": [{{"uuid": "{UUID}", "name": null, "provision_state": "clean wait", "provision_updated_at":
            "2026-01-02T03:04:05+00:00", "driver_internal_info": {{"agent_url": "http://10.0.0.5:9999",
            "agent_last_heartbeat": "2026-01-02T03:04:05.5", "agent_secret_token": "******"}}, "last_error": null,
            "links": [{{}}]}}, {{"uuid": 7}}, 8, {{"uuid": "{UUID}", "name": 9, "driver_internal_info": []}}],
            "next": "http://elsewhere/v1/nodes"}}"#
        );
        let page = Page::parse(body.as_bytes()).unwrap();
        assert_eq!((page.nodes.len(), page.unreadable, page.more), (2, 2, true));
        let node = &page.nodes[0];
        assert_eq!(node.agent_url.as_deref(), Some("http://10.0.0.5:9999"));
        assert_eq!(node.changed_at, node.last_heartbeat);
        assert!(!node.redacted && node.name.is_none());
        assert_eq!(page.nodes[1].provision_state, "");
        assert!(!Page::parse(br#"{"nodes": []}"#).unwrap().more);
    }

    #[test]
    fn what_is_hidden_is_noticed() {
        for hidden in [
            r#""last_error": "** Value Redacted - Requires baremetal:node:get:last_error permission. **""#,
            r#""driver_internal_info": {"content": "** Redacted - Requires baremetal:node:get:driver_internal_info permission. **"}"#,
        ] {
            let node = Node::parse(format!(r#"{{"uuid": "{UUID}", {hidden}}}"#).as_bytes()).unwrap();
            assert!(node.redacted, "{hidden}");
        }
    }

    #[test]
    fn what_is_no_listing_is_refused_without_its_content() {
        for (body, words) in [
            ("<html>secret</html>", "HTML"),
            ("", "EOF"),
            (r#"{"nodes": "secret"}"#, "no list"),
            (r#"{"nodes": [{"uuid": "secret"#, "EOF"),
            ("{}", "bare metal"),
        ] {
            let problem = Page::parse(body.as_bytes()).unwrap_err();
            assert!(problem.contains(words) && !problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn history_is_read() {
        let body = br#"{"history": [{"created_at": "2026-01-02T03:04:05.1+00:00", "event": "Failed", "severity": "ERROR"},
            {"event": "no time"}, {"created_at": "2026-01-02T03:04:05", "event": null}]}"#;
        let read = events(body).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(
            (read[0].at.to_string().as_str(), read[0].text.as_str()),
            ("2026-01-02T03:04:05Z", "Failed")
        );
        assert!(events(b"[]").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(body: Vec<u8>, text in "\\PC*") {
            let _ = (Page::parse(&body), Node::parse(&body), events(&body));
            let item = serde_json::json!({"nodes": [{"uuid": UUID, "last_error": text}]}).to_string();
            proptest::prop_assert_eq!(Page::parse(item.as_bytes()).unwrap().nodes.len(), 1);
        }
    }
}
