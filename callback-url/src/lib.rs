//! The callback URL (`agent_url`, `callback_url`) of a node: built, judged, compared; and the URL of its Ironic API.
//!
//! A URL is judged as it stands. Nothing is normalised first: a WHATWG parser would turn `0x7f000001` into a good
//! address, and Ironic would store the bad text.

mod api_url;
mod judge;
mod labels;
mod reason;

pub use api_url::{ApiUrl, ApiUrlError, Host, Scheme};
pub use judge::{Context, Judgement, Local, Verdict, address_class, host, judge, port};
pub use reason::{Reason, Warning};

/// The port that IPA listens on by default (ironic-python-agent, `config.py`: `advertise_port`).
pub const DEFAULT_PORT: u16 = 9999;

/// The callback URL as IPA writes it: no path, no trailing slash, IPv6 in brackets.
pub fn build(scheme: Scheme, host: &Host, port: u16) -> String {
    format!("{scheme}://{host}:{port}")
}

/// Whether Ironic takes two URLs for the same: it compares texts after Python's `urlparse(x).geturl()`
/// (ironic, `api/controllers/v1/ramdisk.py`).
pub fn same_to_ironic(one: &str, other: &str) -> bool {
    geturl(one) == geturl(other)
}

/// What `urlparse(x).geturl()` does to a URL with a scheme: leading blanks and control characters go, as do tabs and
/// line ends anywhere, the scheme becomes lower case, an empty query or fragment is dropped.
fn geturl(url: &str) -> String {
    let text: String = url
        .trim_start_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .collect();
    let text = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => format!("{}:{rest}", scheme.to_ascii_lowercase()),
        _ => text,
    };
    let (rest, fragment) = split_mark(&text, '#');
    let (rest, query) = split_mark(rest, '?');
    let mut url = rest.to_owned();
    for (mark, part) in [('?', query), ('#', fragment)] {
        if !part.is_empty() {
            url.push(mark);
            url.push_str(part);
        }
    }
    url
}

fn split_mark(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

/// RFC 3986, 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The examples of the README are run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    #[test]
    fn compares_as_ironic_does() {
        let pinned = "http://10.0.0.1:9999";
        for same in [
            "HTTP://10.0.0.1:9999",
            "  http://10.0.0.1:9999",
            "http://10.0.0.1:9999?",
            "http://10.0.0.1:9999#",
        ] {
            assert!(same_to_ironic(pinned, same), "{same}");
        }
        for other in ["http://10.0.0.1:9999/", "http://10.0.0.2:9999", "https://10.0.0.1:9999", ""] {
            assert!(!same_to_ironic(pinned, other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_we_build_of_a_usable_address_is_good(bits in any::<u128>(), v4 in any::<bool>(), port in 1u16..) {
            let ip: IpAddr = if v4 { std::net::Ipv4Addr::from_bits(bits as u32).into() } else { std::net::Ipv6Addr::from_bits(bits).into() };
            let url = build(Scheme::Http, &Host::Ip(ip), port);
            let judgement = judge(&url, &Context::default());
            let class = [Reason::Unspecified, Reason::Loopback, Reason::LinkLocal, Reason::Multicast, Reason::Broadcast];
            prop_assert!(judgement.reasons.iter().all(|reason| class.contains(reason)), "{} {:?}", url, judgement);
        }
    }
}
