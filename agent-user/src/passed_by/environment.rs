//! The variables that IPA is started with, and what two of them do.

use std::path::{Path, PathBuf};

use callback_url::{ApiUrl, Host, Scheme};

use crate::image::unit;

/// Names and values; of equal names the last counts.
pub type Variables = Vec<(String, String)>;

/// From `/proc/PID/environ` (proc_pid_environ(5)).
pub fn of_process(bytes: &[u8]) -> Variables {
    let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.filter_map(|word| assignment(&word)).collect()
}

/// From IPA's unit, where one is installed: `Environment=` and `EnvironmentFile=` (systemd.exec(5)).
pub fn of_unit(root: &Path) -> Variables {
    let (mut variables, mut from_files) = (Variables::new(), Variables::new());
    for text in unit::texts_in(root) {
        for line in text.lines().map(str::trim) {
            match line.split_once('=').map(|(key, value)| (key.trim_end(), value.trim())) {
                Some(("Environment", "")) => variables.clear(),
                Some(("Environment", words)) => {
                    variables.extend(words_of(words).iter().filter_map(|word| assignment(word)));
                }
                Some(("EnvironmentFile", "")) => from_files.clear(),
                Some(("EnvironmentFile", path)) => from_files.extend(of_file(root, path)),
                _ => {}
            }
        }
    }
    // Files go before what the unit says itself.
    variables.extend(from_files);
    variables
}

fn of_file(root: &Path, path: &str) -> Variables {
    let path = Path::new(path.trim_start_matches('-'));
    let inside: PathBuf = root.join(path.strip_prefix("/").unwrap_or(path));
    let content = exporter::read_file(&inside).unwrap_or_default();
    let text = String::from_utf8_lossy(&content);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.filter_map(|line| assignment(&words_of(line).join(" "))).collect()
}

/// Words apart by blanks, without their quotes.
fn words_of(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            (None, blank) if blank.is_whitespace() => words.push(String::new()),
            (_, other) => words.last_mut().into_iter().for_each(|word| word.push(other)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

/// The value of a variable.
pub fn value<'a>(variables: &'a Variables, name: &str) -> Option<&'a str> {
    variables.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// The variable that takes requests to every one of these URLs to a proxy, as Python's requests reads them
/// (requests/utils.py, `should_bypass_proxies` and `select_proxy`; urllib.request, `getproxies_environment`). What is
/// doubtful counts as no proxy.
pub fn proxy(variables: &Variables, urls: &[ApiUrl]) -> Option<&'static str> {
    let set = |lower: &'static str, upper: &'static str| match value(variables, lower) {
        Some(found) => (!found.is_empty()).then_some(lower), // An empty one switches the other off.
        None => value(variables, upper).filter(|found| !found.is_empty()).map(|_| upper),
    };
    let no_proxy = ["no_proxy", "NO_PROXY"]
        .into_iter()
        .find_map(|name| value(variables, name).filter(|v| !v.is_empty()));
    let proxies =
        |url: &ApiUrl| url.scheme == Scheme::Http && !no_proxy.is_some_and(|list| bypasses(list, url));
    let variable = set("http_proxy", "HTTP_PROXY").or_else(|| set("all_proxy", "ALL_PROXY"))?;
    (!urls.is_empty() && urls.iter().all(proxies)).then_some(variable)
}

fn bypasses(no_proxy: &str, url: &ApiUrl) -> bool {
    let host = url.host.bare().to_ascii_lowercase();
    let with_port = format!("{host}:{}", url.port);
    no_proxy
        .split([',', ' '])
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            let ends = |text: &str| text.ends_with(&entry) || text.ends_with(entry.trim_start_matches('.'));
            entry == "*" || ends(&host) || ends(&with_port) || is_in(&entry, &url.host)
        })
}

/// Whether an IPv4 address is in a network like `10.0.0.0/8`.
fn is_in(network: &str, host: &Host) -> bool {
    let (Host::Ip(std::net::IpAddr::V4(ip)), Some((start, bits))) = (host, network.split_once('/')) else {
        return false;
    };
    let (Ok(start), Ok(bits)) = (start.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>()) else {
        return false;
    };
    let mask = 32_u32.checked_sub(bits).and_then(|rest| u32::MAX.checked_shl(rest)).unwrap_or_default();
    ip.to_bits() & mask == start.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    fn variables(text: &[&str]) -> Variables {
        text.iter().filter_map(|word| assignment(word)).collect()
    }

    fn urls(urls: &[&str]) -> Vec<ApiUrl> {
        urls.iter().map(|url| ApiUrl::parse(url).unwrap()).collect()
    }

    #[test]
    fn a_proxy_is_found_as_requests_finds_it() {
        let one = &["http://10.77.0.1:6385"][..];
        for (text, api, expected) in [
            (&["HTTP_PROXY=http://p:1"][..], one, Some("HTTP_PROXY")),
            (&["http_proxy=http://p:1", "HTTP_PROXY=x"], one, Some("http_proxy")),
            (&["http_proxy=", "HTTP_PROXY=http://p:1"], one, None),
            (&["ALL_PROXY=http://p:1"], one, Some("ALL_PROXY")),
            (&["https_proxy=http://p:1"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.77.0.1"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=localhost, 10.0.0.0/8"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.0.0.0/0"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.78.0.0/16"], one, Some("HTTP_PROXY")),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=*"], one, None),
            (&["HTTP_PROXY=http://p:1", "no_proxy=.example"], &["http://ironic.example"], None),
            (
                &["HTTP_PROXY=http://p:1", "no_proxy=example.org"],
                &["http://ironic.example"],
                Some("HTTP_PROXY"),
            ),
            (
                &["HTTP_PROXY=http://p:1", "NO_PROXY=10.77.0.1"],
                &["http://10.77.0.1", "http://10.77.0.2"],
                None,
            ),
            (&["HTTP_PROXY=http://p:1"], &["https://10.77.0.1"], None),
            (&["HTTP_PROXY=http://p:1"], &[], None),
            (&[], one, None),
        ] {
            assert_eq!(proxy(&variables(text), &urls(api)), expected, "{text:?} {api:?}");
        }
    }

    #[test]
    fn units_are_read_as_systemd_does() {
        let root = Directory::new("passed-unit");
        let unit = "etc/systemd/system/ironic-python-agent.service";
        assert!(of_unit(root.path()).is_empty());
        root.write("etc/env", "# a comment\nHTTP_PROXY=\"http://file:1\"\n\n;x=y\n");
        root.write(
            unit,
            "[Service]\nEnvironment=A=1 \"B=2 3\" 'C=4'\nEnvironment = HTTP_PROXY=http://unit:1\n\
             EnvironmentFile=-/etc/env\nEnvironmentFile=-/nowhere\nExecStart=/bin/true\n",
        );
        let found = of_unit(root.path());
        for (name, expected) in [("A", "1"), ("B", "2 3"), ("C", "4"), ("HTTP_PROXY", "http://file:1")] {
            assert_eq!(value(&found, name), Some(expected), "{name}");
        }
        root.write(
            &format!("{unit}.d/10.conf"),
            "[Service]\nEnvironment=\nEnvironment=A=9\nEnvironmentFile=\n",
        );
        let found = of_unit(root.path());
        assert_eq!(
            (value(&found, "A"), value(&found, "B"), value(&found, "HTTP_PROXY")),
            (Some("9"), None, None)
        );
    }

    #[test]
    fn the_environment_of_a_process_is_apart_by_zero_bytes() {
        let found = of_process(b"A=1\0B\0OS_DEFAULT__ADVERTISE_HOST=x=y\0\xff=z\0");
        assert_eq!(value(&found, "OS_DEFAULT__ADVERTISE_HOST"), Some("x=y"));
        assert_eq!(found.len(), 3);
    }
}
