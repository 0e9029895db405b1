//! Text that others wrote, made fit for logs, errors and pages: no token, no control characters, not endless.

use crate::secret::{MASK, Secret};

/// The most characters of foreign text that are shown.
pub const SHOWN_CHARS: usize = 300;

const NAME: &str = "agent_token";

/// Masks the value of every `agent_token` in the text: in a URL (`agent_token=...`, also percent-encoded), in JSON, in
/// Python's notation. Ironic's `last_error` quotes the URLs that it called, token included.
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = split_at_name(rest) {
        shown.push_str(before);
        match split_separator(after) {
            Some((separator, value_and_rest)) => {
                shown.push_str(separator);
                let end = value_and_rest.find(ends_value).unwrap_or(value_and_rest.len());
                let (value, behind) = value_and_rest.split_at(end);
                if !value.is_empty() {
                    shown.push_str(MASK);
                }
                rest = behind;
            }
            None => rest = after,
        }
    }
    shown.push_str(rest);
    shown
}

/// Foreign text for people: `secret` (where one was sent along) and every `agent_token` masked, control and
/// direction characters escaped, cut after [`SHOWN_CHARS`] characters.
pub fn foreign_text(text: &str, secret: Option<&Secret>) -> String {
    let masked = match secret {
        Some(secret) if !secret.expose().is_empty() => redact(&text.replace(secret.expose(), MASK)),
        _ => redact(text),
    };
    let mut shown = String::new();
    for (count, character) in masked.trim().chars().enumerate() {
        if count == SHOWN_CHARS {
            shown.push_str("...");
            break;
        }
        if character.is_control() || is_direction_or_separator(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Splits behind the next `agent_token` of any case.
fn split_at_name(text: &str) -> Option<(&str, &str)> {
    // Lower-casing ASCII keeps every byte where it is.
    let at = text.to_ascii_lowercase().find(NAME)?;
    text.split_at_checked(at + NAME.len())
}

/// Splits behind `=`, `:` or `%3D` and the quotes and blanks around it; `None` where no value follows, as in
/// `agent_token_required`.
fn split_separator(text: &str) -> Option<(&str, &str)> {
    let is_padding = |c: char| c == '"' || c == '\'' || c == '\\' || c.is_whitespace();
    let trimmed = text.trim_start_matches(is_padding);
    let behind = trimmed
        .strip_prefix(['=', ':'])
        .or_else(|| trimmed.strip_prefix("%3D"))
        .or_else(|| trimmed.strip_prefix("%3d"))?;
    let mut value = behind.trim_start_matches(is_padding);
    if let Some(quoted) = value.strip_prefix(['u', 'b']).filter(|v| v.starts_with('\'')) {
        value = quoted.trim_start_matches('\''); // Python's u'...' and b'...'
    }
    text.split_at_checked(text.len() - value.len())
}

fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';' | '}' | ']' | ')' | '<' | '>' | '\\')
}

/// Whether a character turns the direction of the text around it, or separates lines.
pub fn is_direction_or_separator(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn masks_the_token_wherever_it_stands() {
        for (text, shown) in [
            (
                "url: /v1/commands/?wait=true&agent_token=abc-DEF_1&x=1 (Caused by",
                "url: /v1/commands/?wait=true&agent_token=******&x=1 (Caused by",
            ),
            ("agent_token=abc", "agent_token=******"),
            ("AGENT_TOKEN=abc", "AGENT_TOKEN=******"),
            ("agent_token%3Dabc def", "agent_token%3D****** def"),
            (r#"{"agent_token": "abc", "x": 1}"#, r#"{"agent_token": "******", "x": 1}"#),
            (r#"{\"agent_token\": \"abc\"}"#, r#"{\"agent_token\": \"******\"}"#),
            ("{'agent_token': u'abc'}", "{'agent_token': u'******'}"),
            ("agent_token=a agent_token=b", "agent_token=****** agent_token=******"),
            ("agent_token_required: true", "agent_token_required: true"),
            ("Agent token is required", "Agent token is required"),
            ("agent_token", "agent_token"),
            ("agent_token=", "agent_token="),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn foreign_text_is_short_and_plain() {
        assert_eq!(foreign_text(" a\x1b[31m\n\u{202e}b ", None), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(foreign_text(&"x".repeat(1000), None).len(), SHOWN_CHARS + 3);
        let secret = Secret::new("s3cret".to_owned());
        assert_eq!(foreign_text("echo s3cret", Some(&secret)), "echo ******");
        assert_eq!(foreign_text("echo", Some(&Secret::new(String::new()))), "echo");
    }

    proptest! {
        #[test]
        fn no_token_survives(before in ".{0,40}", token in "[A-Za-z0-9_-]{43}", after in "[&\" ,}].{0,40}") {
            let shown = redact(&format!("{before}agent_token={token}{after}"));
            prop_assert!(!shown.contains(&token));
        }

        #[test]
        fn foreign_text_never_panics(text in any::<String>()) {
            let shown = foreign_text(&text, None);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
