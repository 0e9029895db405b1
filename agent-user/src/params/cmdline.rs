//! The kernel command line and `parameters.txt`, split as IPA splits them
//! (`_read_params_from_file` in `ironic_python_agent/utils.py`).

use std::collections::BTreeMap;

/// Whitespace as Python's `str.split()` has it: Unicode's, and the four ASCII separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// The words `name=value` of a text: split at whitespace, each at its first `=`; no quoting; the last of several
/// with the same name wins; words without `=` are passed over. Bytes that are no UTF-8 become U+FFFD and harm only
/// their own word.
pub fn parse(text: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(text);
    text.split(is_space)
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &[u8]) -> Vec<(String, String)> {
        parse(text).into_iter().collect()
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

    proptest::proptest! {
        #[test]
        fn never_panics_and_keeps_the_last(noise: Vec<u8>) {
            let mut text = noise;
            text.extend_from_slice(b" k=1 k=2");
            let words = parse(&text);
            proptest::prop_assert_eq!(words.get("k").map(String::as_str), Some("2"));
        }
    }
}
