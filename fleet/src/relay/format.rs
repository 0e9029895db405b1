//! What of an answer is passed on: the text formats of Prometheus, and nothing else. Pure.

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// The content type under which an answer is passed on: this program's own, and not what stands in it. `None`: it is no text of
/// metrics (prometheus.io/docs/instrumenting/exposition_formats, the protocols of a scrape).
pub fn passed_on(headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(CONTENT_ENCODING) {
        return None; // None was asked for.
    }
    let given = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    let mut parts = given.split(';').map(str::trim);
    let kind = parts.next()?;
    let version = parts.find_map(|part| part.strip_prefix("version="))?.trim_matches('"');
    match (kind, version) {
        ("text/plain", "0.0.4") => Some("text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain", "1.0.0") => Some("text/plain; version=1.0.0; charset=utf-8"),
        ("application/openmetrics-text", "0.0.1") => {
            Some("application/openmetrics-text; version=0.0.1; charset=utf-8")
        }
        ("application/openmetrics-text", "1.0.0") => {
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_formats_pass() {
        let of = |content_type: &str| {
            let headers = [(CONTENT_TYPE, content_type.parse().unwrap())];
            passed_on(&headers.into_iter().collect())
        };
        for (content_type, version) in [
            ("text/plain; version=0.0.4", "0.0.4"),
            ("Text/Plain; charset=utf-8; version=0.0.4", "0.0.4"),
            ("text/plain; version=1.0.0; escaping=allow-utf-8", "1.0.0"),
            ("application/openmetrics-text; version=\"1.0.0\"", "1.0.0"),
        ] {
            assert!(of(content_type).is_some_and(|passed| passed.contains(version)), "{content_type}");
        }
        for content_type in [
            "text/html; version=0.0.4",
            "text/plain",
            "text/plain; charset=utf-8",
            "text/plain; version=9",
            "application/json",
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ] {
            assert_eq!(of(content_type), None, "{content_type}");
        }
        assert_eq!(passed_on(&HeaderMap::new()), None);
        let packed = [(CONTENT_TYPE, "text/plain; version=0.0.4"), (CONTENT_ENCODING, "gzip")];
        let packed = packed.map(|(name, value)| (name, value.parse().unwrap()));
        assert_eq!(passed_on(&packed.into_iter().collect()), None);
    }
}
