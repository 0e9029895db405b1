//! What the text of a failure says: which class it is of, and which agent URL it names. Pure; texts are Ironic's, Python's
//! and urllib3's, in every version since 2016.

mod class;
mod named;

pub use class::{Class, class};
pub use named::{Named, every, named};

use callback_url::{Context, Judgement, Reason, judge};
use text::redact;

/// The most characters of a URL that are kept.
const URL: usize = 1024;

/// A text, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What went wrong.
    pub class: Class,
    /// The agent URL that it is about, cut.
    pub url: Option<String>,
    /// What is wrong with that URL, worst first; none where it is good.
    pub reasons: Vec<Reason>,
    /// The URL that would be right, where it is known.
    pub suggestion: Option<String>,
}

/// Explains a text. Where it names no host but is about an agent, it is about the last agent URL that was seen.
pub fn explain(text: &str, last_url: Option<&str>) -> Explained {
    let class = class(text);
    // What is not about an agent is not about its URL either.
    let last_url = last_url.filter(|_| class != Class::Other);
    let url = named(text).map(|named| named.url()).or_else(|| last_url.map(str::to_owned));
    let Some(url) = url else {
        return Explained { class, url: None, reasons: Vec::new(), suggestion: None };
    };
    let Judgement { reasons, suggestion, .. } = judge(&url, &Context::default());
    Explained { class, url: Some(kept(&url)), reasons, suggestion }
}

/// A URL as it is kept: redacted, and cut where nobody would read it to its end.
pub fn kept(url: &str) -> String {
    match url.char_indices().nth(URL) {
        Some((end, _)) => format!("{}...", redact(url.get(..end).unwrap_or_default())),
        None => redact(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_url_is_named_and_put_right() {
        let text = "Error invoking agent command iscsi.start_iscsi_target for node f80db967-a8d4-4a05-9443-41b0855f1ec3. \
                    Error: HTTPConnectionPool(host='172.25.134.128%20uid%200', port=9999): Max retries exceeded with url: \
                    /v1/commands?wait=true (Caused by NewConnectionError('<requests.packages.urllib3.connection.HTTPConnection \
                    object at 0x44e2310>: Failed to establish a new connection: [Errno -3] Temporary failure in name \
                    resolution',))";
        let found = explain(text, None);
        assert_eq!(found.class, Class::NameResolution);
        assert_eq!(found.url.as_deref(), Some("http://172.25.134.128%20uid%200:9999"));
        assert_eq!(found.reasons, [Reason::PercentEncodedHost]);
        assert_eq!(found.suggestion.as_deref(), Some("http://172.25.134.128:9999"));
    }

    #[test]
    fn a_text_without_a_host_is_about_the_last_url() {
        let text = "Timeout reached while waiting for callback for node f80db967-a8d4-4a05-9443-41b0855f1ec3";
        let found = explain(text, Some("http://None:9999"));
        assert_eq!((found.class, found.reasons), (Class::CallbackTimeout, vec![Reason::PlaceholderHost]));
        assert_eq!(explain(text, None).url, None);
        let other = explain("Failed to power off: BMC said no", Some("http://None:9999"));
        assert_eq!((other.class, other.url, other.reasons), (Class::Other, None, vec![]));
        assert!(kept(&"u".repeat(1 << 20)).len() < 2000);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*", host in "\\PC{0,20}", port in "\\PC{0,6}") {
            let _ = explain(&text, Some(&host));
            let _ = explain(&format!("agent HTTPConnectionPool(host='{host}', port={port}): x"), None);
            let _ = explain(&format!("by-path/ip-{host}:{port}-iscsi-iqn"), None);
        }
    }
}
