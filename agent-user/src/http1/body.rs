//! What IPA asks of Ironic: lookups and heartbeats by their paths, and the callback URL inside a heartbeat's body.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use text::{MASK, labels};

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/lookup`, or the vendor_passthru of the first IPA releases.
    Lookup,
    /// `/v1/heartbeat/UUID`, or the vendor_passthru of the first IPA releases.
    Heartbeat(Era, String),
    /// `/v1/continue_inspection`: what an inspection has found.
    Inspection,
    /// Anything else.
    Other,
}

labels! {
    /// What stands for the agent token.
    pub enum TokenSeen {
        /// No token.
        None = "none",
        /// Stars in its place.
        Masked = "masked",
        /// A token.
        Real = "real",
    }
}

/// The two ways in which IPA has spoken to Ironic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `/v1/lookup` and `/v1/heartbeat`, since API 1.22 (Newton).
    Current,
    /// `vendor_passthru`, up to Mitaka.
    VendorPassthru,
}

impl Era {
    /// The field of the heartbeat's body that holds the callback URL.
    pub fn url_field(self) -> &'static str {
        match self {
            Self::Current => "callback_url",
            Self::VendorPassthru => "agent_url",
        }
    }
}

/// What the request is. The API may have a prefix, and the target may be a whole URL: its end decides.
pub fn classify(method: &str, target: &str) -> Kind {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut segments = path.rsplit('/');
    let mut next = || segments.next().unwrap_or_default();
    let last = [next(), next(), next(), next(), next()];
    match (method, last) {
        ("GET", ["lookup", "v1", ..]) => Kind::Lookup,
        ("POST", [node, "heartbeat", "v1", ..]) if is_word(node) => {
            Kind::Heartbeat(Era::Current, node.to_owned())
        }
        ("POST", ["continue_inspection", "v1", ..]) => Kind::Inspection,
        ("POST", ["lookup", "vendor_passthru", driver, "drivers", "v1"]) if is_word(driver) => Kind::Lookup,
        ("POST", ["heartbeat", "vendor_passthru", node, "nodes", "v1"]) if is_word(node) => {
            Kind::Heartbeat(Era::VendorPassthru, node.to_owned())
        }
        _ => Kind::Other,
    }
}

/// A UUID or driver name: nothing that a server could take for another path.
fn is_word(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A heartbeat's body: where its callback URL stands, and the fields that matter.
#[derive(Debug)]
pub struct HeartbeatBody<'a> {
    bytes: &'a [u8],
    /// The bytes of the URL's JSON string, quotes included.
    url_at: std::ops::Range<usize>,
    /// The callback URL.
    pub url: String,
    /// What it has as its token.
    pub token: TokenSeen,
}

impl<'a> HeartbeatBody<'a> {
    /// Reads a body; `None` where it is no JSON object with a text in the field: that is for Ironic to answer.
    /// Of a field that stands twice the last one counts, as in Python.
    pub fn read(bytes: &'a [u8], era: Era) -> Option<Self> {
        // Also what is passed over has to be text: Ironic refuses the rest.
        let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(bytes).ok()?);
        let fields = json.deserialize_map(Wanted(era)).ok()?;
        json.end().ok()?;
        let raw = fields.url?.get();
        let start = (raw.as_ptr() as usize).checked_sub(bytes.as_ptr() as usize)?;
        let url_at = start..start.checked_add(raw.len())?;
        if bytes.get(url_at.clone())? != raw.as_bytes() {
            return None;
        }
        let token = fields.token.map_or("null", RawValue::get);
        let token = match token.trim_matches('"') {
            "null" | "" => TokenSeen::None,
            MASK => TokenSeen::Masked,
            _ => TokenSeen::Real,
        };
        Some(Self { bytes, url_at, url: serde_json::from_str(raw).ok()?, token })
    }

    /// The same body with another URL; every other byte stays.
    pub fn with_url(&self, url: &str) -> Vec<u8> {
        let quoted = serde_json::Value::from(url).to_string();
        let before = self.bytes.get(..self.url_at.start).unwrap_or_default();
        let after = self.bytes.get(self.url_at.end..).unwrap_or_default();
        [before, quoted.as_bytes(), after].concat()
    }
}

/// The fields of a heartbeat that are read, as they stand; the others take no memory.
#[derive(Default)]
struct Fields<'a> {
    url: Option<&'a RawValue>,
    token: Option<&'a RawValue>,
}

struct Wanted(Era);

impl<'a> Visitor<'a> for Wanted {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
        let mut fields = Fields::default();
        while let Some(Name(name)) = map.next_key()? {
            if name == self.0.url_field() {
                fields.url = Some(map.next_value()?);
            } else if name == "agent_token" {
                fields.token = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lookups_and_heartbeats_are_known_by_the_end_of_their_path() {
        let uuid = "11111111-1111-4111-8111-111111111111";
        let heartbeat = |era| Kind::Heartbeat(era, uuid.to_owned());
        for before in ["", "/baremetal", "/a/b", "http://10.0.0.1:6385", "http://ironic/baremetal"] {
            let get = |path: &str| classify("GET", &format!("{before}{path}"));
            let post = |path: &str| classify("POST", &format!("{before}{path}"));
            assert_eq!(get("/v1/lookup?addresses=52:54:00:aa:00:01"), Kind::Lookup);
            assert_eq!(post("/v1/drivers/pxe_ipmitool/vendor_passthru/lookup"), Kind::Lookup);
            assert_eq!(post(&format!("/v1/heartbeat/{uuid}")), heartbeat(Era::Current));
            assert_eq!(
                post(&format!("/v1/nodes/{uuid}/vendor_passthru/heartbeat")),
                heartbeat(Era::VendorPassthru)
            );
            assert_eq!(post("/v1/continue_inspection?node_uuid=x"), Kind::Inspection);
            for other in ["/", "/v1", "/v1/nodes", "/v1/heartbeat/", "/v1/heartbeat/..", "/v1/heartbeat/a/b"]
            {
                assert_eq!((get(other), post(other)), (Kind::Other, Kind::Other), "{other}");
            }
        }
        assert_eq!(classify("OPTIONS", "*"), Kind::Other);
    }

    #[test]
    fn only_the_url_changes() {
        let body = br#"{ "agent_version":"13.0.0",  "callback_url" : "http://10.0.0.1 uid 0:9999", "agent_token": "t\u0041", "x": [1.50, {"callback_url": "no"}]}"#;
        let read = HeartbeatBody::read(body, Era::Current).unwrap();
        assert_eq!((read.url.as_str(), read.token), ("http://10.0.0.1 uid 0:9999", TokenSeen::Real));
        let repaired = String::from_utf8(read.with_url("http://10.0.0.1:9999")).unwrap();
        let expected = std::str::from_utf8(body).unwrap().replace("10.0.0.1 uid 0", "10.0.0.1");
        assert_eq!(repaired, expected);
        assert!(HeartbeatBody::read(body, Era::VendorPassthru).is_none());
        for (token, expected) in
            [("null", TokenSeen::None), ("\"\"", TokenSeen::None), ("\"******\"", TokenSeen::Masked)]
        {
            let body = format!(r#"{{"callback_url": "x", "agent_token": {token}}}"#);
            assert_eq!(HeartbeatBody::read(body.as_bytes(), Era::Current).unwrap().token, expected);
        }
        let no_utf8 = b"{\"callback_url\": \"x\", \"agent_version\": \"\xd2\"}";
        for other in [&b"[]"[..], b"{}", br#"{"callback_url": null}"#, b"{", b"\xff", no_utf8] {
            assert!(HeartbeatBody::read(other, Era::Current).is_none());
        }
    }

    proptest! {
        #[test]
        fn of_two_the_last_counts_and_any_url_can_be_put_in(first in ".{0,9}", last in ".{0,9}", other in ".{0,9}", new in ".{0,9}") {
            let quote = |text: &str| serde_json::Value::from(text).to_string();
            let body = format!(r#"{{"callback_url":{},"z":{},"callback_url":{}}}"#, quote(&first), quote(&other), quote(&last));
            let read = HeartbeatBody::read(body.as_bytes(), Era::Current).unwrap();
            prop_assert_eq!(&read.url, &last);
            let repaired = read.with_url(&new);
            let expected = format!(r#"{{"callback_url":{},"z":{},"callback_url":{}}}"#, quote(&first), quote(&other), quote(&new));
            prop_assert_eq!(String::from_utf8(repaired).unwrap(), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = HeartbeatBody::read(&bytes, Era::Current);
        }
    }
}
