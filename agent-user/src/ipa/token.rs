//! A token that Ironic has handed out to the daemon and that IPA needs: it stands in IPA's drop-in, and IPA takes it at its next
//! start (`agent_token`, ironic_python_agent/config.py). Without it that IPA would get `******` and be silent for good.

use std::ops::RangeInclusive;
use std::path::Path;

use text::Secret;
use zeroize::Zeroizing;

use crate::kept::Kept;

use super::dropin;

/// How its line begins.
const OPTION: &str = "agent_token = ";
/// Ironic's have 43 characters, and IPA takes none below 32 (ironic_python_agent/agent.py, `process_lookup_data`).
const LENGTH: RangeInclusive<usize> = 32..=128;

/// Whether it may stand in a file for oslo.config: Ironic makes tokens of these characters only
/// (ironic/conductor/utils.py, `add_secret_token`: `secrets.token_urlsafe`).
pub fn is_plain(token: &Secret) -> bool {
    let text = token.expose();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    LENGTH.contains(&text.len()) && text.bytes().all(plain)
}

/// A drop-in with the line of the token.
pub fn add(content: &str, token: Option<&Secret>) -> Zeroizing<String> {
    let Some(token) = token else {
        return Zeroizing::new(content.to_owned());
    };
    // At its final size from the beginning: what grows leaves copies behind.
    let size = content.len() + OPTION.len() + token.expose().len() + 1;
    let mut with = Zeroizing::new(String::with_capacity(size));
    for part in [content, OPTION, token.expose(), "\n"] {
        with.push_str(part);
    }
    with
}

/// Whether a token stands in this drop-in.
pub fn stands_in(content: &[u8]) -> bool {
    line(content).is_some()
}

/// The token that an earlier run of the same boot has put into the drop-in.
pub fn left(directory: &Path, kept: &Kept) -> Option<Secret> {
    let content = kept.read().token_in_dropin.then(|| dropin::read(directory)).flatten()?;
    let token = std::str::from_utf8(line(&content)?).ok()?;
    Some(Secret::new(token.to_owned())).filter(is_plain)
}

fn line(content: &[u8]) -> Option<&[u8]> {
    content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(OPTION.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use callback_url::Host;
    use testbed::site::{DROP_IN, Directory};

    use super::*;

    const TOKEN: &str = "a-token_of-43-characters-0123456789-abcdefg";

    #[test]
    fn only_what_ironic_makes_gets_into_the_file() {
        let is_plain = |text: &str| is_plain(&Secret::new(text.to_owned()));
        assert!(is_plain(TOKEN));
        for bad in ["", "short", &format!("{TOKEN}\n[DEFAULT]"), &format!("{TOKEN}$x"), &"a".repeat(129)] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn a_drop_in_with_a_token_is_for_its_owner_only() {
        let directory = Directory::new("token");
        let plain = dropin::content(&Host::parse("192.0.2.1").unwrap());
        let mode = || fs::metadata(directory.file(DROP_IN)).unwrap().mode() & 0o777;
        dropin::write(directory.path(), &add(&plain, None)).unwrap();
        assert_eq!(mode() & 0o077, 0o044);
        let token = Secret::new(TOKEN.to_owned());
        dropin::write(directory.path(), &add(&plain, Some(&token))).unwrap();
        assert_eq!(mode(), 0o600);
        let content = fs::read_to_string(directory.file(DROP_IN)).unwrap();
        assert_eq!(content, format!("{plain}agent_token = {TOKEN}\n"));
        assert!(dropin::says(directory.path(), &Host::parse("192.0.2.1").unwrap()));

        let kept = Kept::open(&directory.file("kept"));
        assert_eq!(left(directory.path(), &kept), None, "of another boot, or not ours");
        kept.update(|contents| contents.token_in_dropin = true);
        assert_eq!(left(directory.path(), &kept), Some(token));
        dropin::write(directory.path(), &plain).unwrap();
        assert_eq!(left(directory.path(), &kept), None);
        assert_eq!(mode() & 0o077, 0o044);
    }
}
