//! Ironic's error answers: a JSON document whose `error_message` is a string that holds JSON again
//! (ironic/api/middleware/parsable_error.py), or the same as an object, or whatever a proxy sends instead.

use std::borrow::Cow;

use crate::{json, parts};

parts! {
    /// What is read of an error: Ironic's own text is `faultstring`, the others come from its web framework (406), a proxy
    /// or Keystone.
    struct Fault { error_message, error, faultstring, description, message, title }
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
    let text = serde_json::from_slice::<Fault>(body).ok().and_then(|outer| {
        match outer.error_message.or(outer.error) {
            None => outer.text(),
            Some(part) => match json::text(part) {
                Some(inner) => match serde_json::from_str::<Fault>(&inner) {
                    Ok(fault) => fault.text(),
                    Err(_) => Some(inner.into_owned()),
                },
                None => json::read::<Fault>(part).map_or_else(|| outer.text(), |fault| fault.text()),
            },
        }
    });
    text.or_else(|| Some(String::from_utf8_lossy(body).into_owned())).filter(|text| !text.trim().is_empty())
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
            (r#"{"error": {"code": 401, "message": "from Keystone"}}"#, "from Keystone"),
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
