//! Python's `urlparse(x).geturl()`: how Ironic writes a callback URL down before it compares it.

/// The URL as Ironic stores it, or `None` where Python raises ValueError (brackets that do not match). Leading blanks
/// and control characters go, tabs and line ends go anywhere, the scheme is lower-cased, an empty query or fragment is
/// dropped.
pub fn python_geturl(url: &str) -> Option<String> {
    let url: String = url
        .trim_start_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .collect();
    let (scheme, rest) = match url.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), url.as_str()),
    };
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            (Some(authority), rest)
        }
        None => (None, rest),
    };
    if authority.is_some_and(|a| a.contains('[') != a.contains(']')) {
        return None;
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut geturl = String::new();
    if !scheme.is_empty() {
        geturl.push_str(&scheme);
        geturl.push(':');
    }
    if let Some(authority) = authority {
        geturl.push_str("//");
        geturl.push_str(authority);
    }
    geturl.push_str(path);
    for (mark, part) in [('?', query), ('#', fragment)] {
        if !part.is_empty() {
            geturl.push(mark);
            geturl.push_str(part);
        }
    }
    Some(geturl)
}

/// The scheme of what [`python_geturl`] gave; empty where there is none.
pub(super) fn scheme(geturl: &str) -> &str {
    match geturl.split_once(':') {
        Some((scheme, _)) if is_scheme(scheme) => scheme,
        _ => "",
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right side is what CPython's urllib.parse prints.
    #[test]
    fn writes_urls_as_python_does() {
        for (url, shown) in [
            ("http://10.0.0.5:9999", Some("http://10.0.0.5:9999")),
            ("  HTTP://10.0.0.5:9999", Some("http://10.0.0.5:9999")),
            ("http://10.0.0.5:9999/", Some("http://10.0.0.5:9999/")),
            ("http://10.0.0.5:9999?", Some("http://10.0.0.5:9999")),
            ("http://10.0.0.5:9999/#", Some("http://10.0.0.5:9999/")),
            ("http://h/?a=1#b", Some("http://h/?a=1#b")),
            ("http://172.25.134.128 uid 0:9999", Some("http://172.25.134.128 uid 0:9999")),
            ("http://", Some("http://")),
            ("http://a\nb:1", Some("http://ab:1")),
            ("http://[fd00::1]:9999", Some("http://[fd00::1]:9999")),
            ("http://[fd00::1:9999", None),
            ("10.0.0.5:9999", Some("10.0.0.5:9999")),
            ("", Some("")),
        ] {
            assert_eq!(python_geturl(url).as_deref(), shown, "{url:?}");
        }
        assert_eq!(scheme("nothttp://x"), "nothttp");
        assert_eq!(scheme("10.0.0.5:9999"), "");
    }
}
