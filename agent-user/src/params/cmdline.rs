//! The kernel command line and `parameters.txt`, split as IPA splits them
//! (`_read_params_from_file` in `ironic_python_agent/utils.py`).

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The longest value that is taken whole, in bytes. The kernel's own command line is shorter (COMMAND_LINE_SIZE, at most
/// 4096 on x86 and Arm).
pub(super) const VALUE_BYTES: usize = 16 << 10;

/// Whitespace as Python's `str.split()` has it: Unicode's, and the four ASCII separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The words `name=value` of a text: split at whitespace, each at its first `=`; no quoting; the last of several
/// with the same name wins; words without `=` are passed over, and so is every name that is not wanted. Bytes that are no
/// UTF-8 become U+FFFD and harm only their own word.
pub fn parse(text: &[u8], is_wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(text);
    text.split(is_space)
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, value)| (name.to_owned(), bounded(value).into_owned()))
        .collect()
}

/// A value that is longer than any real one ends in U+FFFD, with which nothing is usable: what was cut counts for nothing.
pub(super) fn bounded(value: &str) -> Cow<'_, str> {
    if value.len() <= VALUE_BYTES {
        return Cow::Borrowed(value);
    }
    let end = (0..=VALUE_BYTES).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
    Cow::Owned(format!("{}\u{fffd}", value.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Vec<(String, String)> {
        parse(text, |_| true).into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        owned.collect()
    }

    #[test]
    fn splits_as_python_does() {
        assert_eq!(
            parsed(b" quiet a=1\tb=x=y\nc=\"q r\" a=2\x1cd= =e\x00f\r\n"),
            pairs(&[("", "e\0f"), ("a", "2"), ("b", "x=y"), ("c", "\"q"), ("d", "")])
        );
        assert_eq!(
            parsed("a=1\u{2003}b=2\u{a0}c=3\u{200b}d".as_bytes()),
            pairs(&[("a", "1"), ("b", "2"), ("c", "3\u{200b}d")])
        );
    }

    #[test]
    fn broken_utf8_harms_only_its_own_word() {
        assert_eq!(
            parsed(b"x=\xff\xfe ipa-api-url=http://192.0.2.1"),
            pairs(&[("ipa-api-url", "http://192.0.2.1"), ("x", "\u{fffd}\u{fffd}")])
        );
    }

    #[test]
    fn what_is_not_wanted_takes_no_memory_and_an_endless_value_is_cut() {
        let text = format!("a=1 b=2 c={}", "\u{e9}".repeat(VALUE_BYTES));
        let words = parse(text.as_bytes(), |name| name != "a");
        assert_eq!(words.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert!(words["c"].len() <= VALUE_BYTES + 3 && words["c"].ends_with('\u{fffd}'));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_keeps_the_last(noise: Vec<u8>) {
            let mut text = noise;
            text.extend_from_slice(b" k=1 k=2");
            let words = parse(&text, |_| true);
            proptest::prop_assert_eq!(words.get("k").map(String::as_str), Some("2"));
        }
    }
}
