//! Text that others wrote, made fit for logs, errors and pages: no token, no control characters, not endless.

use crate::{MASK, Secret};

/// The most characters of an answer or an error that are shown.
const ANSWER: usize = 300;
/// The most bytes of an answer or an error that are looked at. Masks make a text shorter.
const LOOKED_AT: usize = 8 << 10;
/// The most characters of a name or a value that are shown.
const VALUE: usize = 120;

/// What stands before a secret, in any case: the agent's token, the headers of OpenStack and HTTP, the signature of a
/// temporary URL of the object store (in `instance_info`, and in the texts of failed deployments).
const NAMES: [&str; 5] = ["agent_token", "x-auth-token", "x-subject-token", AUTHORIZATION, "temp_url_sig"];
/// Its value has several words.
const AUTHORIZATION: &str = "authorization";

/// Masks the value of every `agent_token` and its like in the text: in a URL (`agent_token=...`, also percent-encoded), in
/// JSON, in Python's notation. Ironic's `last_error` quotes the URLs that it called, token included.
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after, name)) = split_at_name(rest) {
        shown.push_str(before);
        match split_separator(after) {
            Some((separator, value_and_rest)) => {
                shown.push_str(separator);
                let ends = if name == AUTHORIZATION { ends_header } else { ends_value };
                let end = value_and_rest.find(ends).unwrap_or(value_and_rest.len());
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

/// An answer or an error of others for people: `secret` (where one was sent along) and every `agent_token` masked, control
/// and direction characters escaped, cut after 300 characters. However long the text is, only its first 8 KiB are looked at.
pub fn foreign_text(text: &str, secret: Option<&Secret>) -> String {
    let secret = secret.map(Secret::expose).filter(|secret| !secret.is_empty());
    let head = head(text, secret.map_or(0, str::len));
    let masked = match secret {
        Some(secret) => redact(&head.replace(secret, MASK)),
        None => redact(head),
    };
    let mut shown = cut(masked.trim(), ANSWER);
    if head.len() < text.len() && !shown.ends_with("...") {
        shown.push_str("...");
    }
    shown
}

/// The beginning of a long text. It ends `margin` bytes early: half a secret would not be recognised.
fn head(text: &str, margin: usize) -> &str {
    if text.len() <= LOOKED_AT {
        return text;
    }
    let mut end = LOOKED_AT.saturating_sub(margin);
    while !text.is_char_boundary(end) {
        end -= 1; // 0 is a boundary.
    }
    text.get(..end).unwrap_or_default()
}

/// A name or a value of others as it may stand in a message: control and direction characters escaped, cut after 120
/// characters.
pub fn printable(text: &str) -> String {
    cut(text, VALUE)
}

/// A character as it may be shown: as it is, or its escape sequence where it is a control or direction character, or one
/// that cannot be seen.
pub fn inert(character: char) -> impl Iterator<Item = char> {
    let plain = matches!(character, '\'' | '"' | '\\').then_some(character);
    plain.is_none().then(|| character.escape_debug()).into_iter().flatten().chain(plain)
}

fn cut(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).flat_map(inert).collect();
    if text.chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Splits behind the next of the names, in any case.
fn split_at_name(text: &str) -> Option<(&str, &str, &'static str)> {
    let bytes = text.as_bytes();
    let (end, name) = (0..bytes.len()).find_map(|at| {
        let here = bytes.get(at..)?;
        let is_here = |name: &&str| {
            here.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        NAMES.into_iter().find(is_here).map(|name| (at + name.len(), name))
    })?;
    let (before, after) = text.split_at_checked(end)?;
    Some((before, after, name))
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

/// A scheme and what it needs, up to the end of the line or of a quotation.
fn ends_header(c: char) -> bool {
    matches!(c, '\r' | '\n' | '"' | '\'' | '\\')
}

fn ends_value(c: char) -> bool {
    c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';' | '}' | ']' | ')' | '<' | '>' | '\\')
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
            ("X-Auth-Token: gAAAA-b c", "X-Auth-Token: ****** c"),
            ("{'X-Auth-Token': 'gAAAA'}", "{'X-Auth-Token': '******'}"),
            ("Authorization: Basic YTpi\nHost: h", "Authorization: ******\nHost: h"),
            ("{'Authorization': 'Bearer x.y', 'a': 1}", "{'Authorization': '******', 'a': 1}"),
            (
                "http://s/v1/x?temp_url_sig=0ab&temp_url_expires=1",
                "http://s/v1/x?temp_url_sig=******&temp_url_expires=1",
            ),
            ("Authorization failed", "Authorization failed"),
            ("agent_token", "agent_token"),
            ("agent_token=", "agent_token="),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn foreign_text_is_short_and_plain() {
        assert_eq!(foreign_text(" a\x1b[31m\n\u{202e}b ", None), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(foreign_text(&"x".repeat(1000), None).len(), ANSWER + 3);
        assert_eq!(printable("a\u{1b}[31m\n'x\""), "a\\u{1b}[31m\\n'x\"");
        assert_eq!(printable(&"y".repeat(5000)), format!("{}...", "y".repeat(VALUE)));
        let secret = Secret::new("s3cret".to_owned());
        // Half a secret at the end of what is looked at would show.
        let masked = format!("agent_token={} ", "x".repeat(LOOKED_AT - 16));
        assert_eq!(foreign_text(&format!("{masked}s3cret"), Some(&secret)), "agent_token=******...");
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
