//! What a ramdisk gets at its boot: command line, media, IPA's configuration.

use callback_url::ApiUrl;
use ipa_sidecar::inside::{cmdline as cmdline_parser, identify, ipa_config as ipa_parser};

/// The kernel command line and `parameters.txt`: words are words, the last of a name wins, and an API URL that is
/// accepted means the same when it is read again.
pub fn cmdline(data: &[u8]) {
    let words = cmdline_parser::parse(data, |_| true);
    for (name, value) in &words {
        assert!(!name.contains('='), "{name:?}");
        assert!(!name.contains(char::is_whitespace) && !value.contains(char::is_whitespace));
        if let Ok(url) = ApiUrl::parse(value) {
            assert_eq!(ApiUrl::parse(&url.to_string()), Ok(url));
        }
    }
    let mut longer = data.to_vec();
    longer.extend_from_slice(b" ipa-api-url=x ipa-api-url=y");
    let again = cmdline_parser::parse(&longer, |_| true);
    assert_eq!(again.get("ipa-api-url").map(String::as_str), Some("y"));
    // Nothing that stands before can swallow or invent a word.
    assert!(words.iter().all(|(name, value)| name == "ipa-api-url" || again.get(name) == Some(value)));
}

/// IPA's configuration files: a later assignment wins whatever stands before it, and a refused line is one of the file.
pub fn ipa_config(data: &[u8]) {
    let config = ipa_parser::parse(data, |_| true);
    let text = String::from_utf8_lossy(data);
    let lines = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').count();
    assert!(config.refused.iter().all(|(line, _)| (1..=lines).contains(line)));
    assert!(config.options.keys().all(|name| !name.is_empty()));
    let mut longer = data.to_vec();
    longer.extend_from_slice(b"\n[DEFAULT]\nadvertise_host = 192.0.2.1\n");
    let again = ipa_parser::parse(&longer, |_| true);
    assert_eq!(again.options.get("advertise_host").map(String::as_str), Some("192.0.2.1"));
    assert_eq!(again.refused, config.refused);
}

/// The first bytes of a block device that was inserted.
pub fn superblock(data: &[u8]) {
    let found = identify(|offset, length| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(data.len());
        data[start..end].to_vec()
    });
    if let Some(found) = found {
        assert!(found.label.len() < 256, "{:?}", found.label);
    }
}
