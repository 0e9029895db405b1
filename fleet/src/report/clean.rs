//! A report before it is kept: no token is in it, whatever it says. Pure.

use serde_json::{Map, Value};
use text::{MASK, redact};

/// The same without the values of `agent_token` and its like: below such a key, and inside of texts.
pub fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(field).collect::<Map<_, _>>()),
        plain => plain,
    }
}

fn field((key, value): (String, Value)) -> (String, Value) {
    let value = if is_secret(&key) && !value.is_null() { MASK.into() } else { clean(value) };
    (redact(&key), value)
}

fn is_secret(key: &str) -> bool {
    redact(&format!("{key}=x")).ends_with(MASK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn no_token_is_kept() {
        let state = json!({
            "agent_token": "s3cret", "X-Auth-Token": ["s3cret"], "authorization": {"a": "s3cret"},
            "text": "url: /v1/commands/?agent_token=s3cret&x=1", "agent_token=s3cret": 1,
            "list": [{"Agent_Token": "s3cret"}, "Authorization: Bearer s3cret"],
            "agent_token_required": true, "nothing": null, "number": 7,
        });
        let kept = clean(state);
        assert!(!kept.to_string().contains("s3cret"), "{kept}");
        assert_eq!((&kept["agent_token_required"], &kept["number"]), (&json!(true), &json!(7)));
        assert_eq!(kept["text"], "url: /v1/commands/?agent_token=******&x=1");
        // A name that is spelt with escapes is the same name once it is read.
        let spelt: Value = serde_json::from_str(r#"{"agent\u005ftoken": "s3cret"}"#).unwrap();
        assert!(!clean(spelt).to_string().contains("s3cret"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>(), key in any::<String>()) {
            let kept = clean(json!({key: [text]}));
            prop_assert!(kept.is_object());
        }
    }
}
