//! Whether a proxy takes IPA's requests. Pure.

use callback_url::{ApiUrl, Host, Scheme};

use crate::image::IpaEnvironment;

/// The variable that takes requests to every one of these URLs to a proxy, as Python's requests reads them
/// (requests/utils.py, `should_bypass_proxies` and `select_proxy`). What is doubtful counts as no proxy.
pub fn proxy(environment: &IpaEnvironment, urls: &[ApiUrl]) -> Option<&'static str> {
    let no_proxy = environment.no_proxy.as_deref();
    let proxies =
        |url: &ApiUrl| url.scheme == Scheme::Http && !no_proxy.is_some_and(|list| bypasses(list, url));
    let all = environment.all_proxy.as_ref().map(|_| "all_proxy");
    let variable = environment.http_proxy.as_ref().map(|_| "http_proxy").or(all)?;
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
    use super::*;

    fn urls(urls: &[&str]) -> Vec<ApiUrl> {
        urls.iter().map(|url| ApiUrl::parse(url).unwrap()).collect()
    }

    #[test]
    fn a_proxy_is_found_as_requests_finds_it() {
        let one = &["http://10.77.0.1:6385"][..];
        for (text, api, expected) in [
            (&["HTTP_PROXY=http://p:1"][..], one, Some("http_proxy")),
            (&["http_proxy=http://p:1", "HTTP_PROXY=x"], one, Some("http_proxy")),
            (&["http_proxy=", "HTTP_PROXY=http://p:1"], one, None),
            (&["ALL_PROXY=http://p:1"], one, Some("all_proxy")),
            (&["https_proxy=http://p:1"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.77.0.1"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=localhost, 10.0.0.0/8"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.0.0.0/0"], one, None),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=10.78.0.0/16"], one, Some("http_proxy")),
            (&["HTTP_PROXY=http://p:1", "NO_PROXY=*"], one, None),
            (&["HTTP_PROXY=http://p:1", "no_proxy=.example"], &["http://ironic.example"], None),
            (
                &["HTTP_PROXY=http://p:1", "no_proxy=example.org"],
                &["http://ironic.example"],
                Some("http_proxy"),
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
            let environment = IpaEnvironment::of_process(text.join("\0").as_bytes());
            assert_eq!(proxy(&environment, &urls(api)), expected, "{text:?} {api:?}");
        }
    }
}
