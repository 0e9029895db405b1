//! The URL of the Ironic API, as the operator or the conductor wrote it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::labels::labels;

labels! {
    /// How a URL is reached.
    pub enum Scheme {
        /// Plain HTTP.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
    }
}

impl Scheme {
    /// The port of a URL that names none (RFC 9110, 4.2).
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A host: an address literal, or a name that has to be resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address literal; needs no DNS.
    Ip(IpAddr),
    /// A DNS name, lower case.
    Name(String),
}

impl Host {
    /// Reads an address literal (IPv6 with or without brackets) or a name of letters, digits, `-`, `_` and `.`
    /// whose last label is not numeric; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(inside) = bracketed {
            return inside.parse::<Ipv6Addr>().ok().map(|ip| Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label_is_sound = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let last_is_numeric = name.rsplit('.').next().is_none_or(is_numeric);
        if name.len() > 253 || last_is_numeric || !name.split('.').all(label_is_sound) {
            return None;
        }
        Some(Self::Name(name.to_ascii_lowercase()))
    }
}

/// What a URL parser takes for the last part of an IPv4 address: digits, or `0x` in either case and hexadecimal digits
/// (WHATWG URL, "ends in a number checker").
pub(crate) fn is_numeric(label: &str) -> bool {
    match label.strip_prefix("0x").or_else(|| label.strip_prefix("0X")) {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

impl Host {
    /// As it stands outside of a URL: IPv6 without brackets.
    pub fn bare(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.bare())
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("neither an address nor a host name"))
    }
}

impl fmt::Display for Host {
    /// As it stands in a URL: IPv6 in brackets (RFC 3986, 3.2.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a text is no usable API URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiUrlError {
    /// The text is `mdns`: IPA would look for Ironic by multicast DNS.
    #[error("discovery by multicast DNS is not supported; give the URL, like http://192.0.2.1:6385")]
    Mdns,
    /// Not an absolute URL at all.
    #[error("not a URL like http://192.0.2.1:6385")]
    Unparseable,
    /// Nothing stands before the host.
    #[error("the scheme is missing; give the whole URL, like http://192.0.2.1:6385")]
    SchemeMissing,
    /// Another scheme than http and https.
    #[error("the scheme must be http or https")]
    Scheme,
    /// IPv6 without brackets: which colon is the port's?
    #[error("an IPv6 address must stand in brackets, like http://[2001:db8::1]:6385")]
    Unbracketed,
    /// No client can connect to such an address.
    #[error("the host is no address of a server: it is unspecified, multicast or broadcast")]
    NoServer,
    /// A port, or more of the address, stands behind a slash.
    #[error(
        "the path must not have a colon; the port stands right behind the host, like http://192.0.2.1:6385/prefix"
    )]
    Path,
    /// The host is no address and no DNS name.
    #[error("the host must be an IPv4 address, an IPv6 address in brackets or a DNS name")]
    Host,
    /// The port is 0 or no number up to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// The URL carries a user name or password.
    #[error("a user name or password in the URL is not supported")]
    UserInfo,
    /// The URL has a query or fragment.
    #[error("the URL must not have a query or fragment")]
    Query,
}

/// The URL of an Ironic API: `scheme://host:port` and the path prefix under which `/v1` is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiUrl {
    /// http or https.
    pub scheme: Scheme,
    /// Where it is.
    pub host: Host,
    /// The port, also where the text named none.
    pub port: u16,
    /// The path prefix without a trailing slash; empty for an API at the root.
    pub prefix: String,
}

impl ApiUrl {
    /// Reads one URL. Blanks around it are dropped; a trailing `/v1` is not part of the prefix, since the paths
    /// that are asked begin with it.
    ///
    /// # Errors
    /// What is wrong with the text: the sentence names what would be right.
    pub fn parse(text: &str) -> Result<Self, ApiUrlError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("mdns") {
            return Err(ApiUrlError::Mdns);
        }
        if text.contains('#') {
            return Err(ApiUrlError::Query);
        }
        if !text.is_empty() && !text.contains("://") {
            return Err(ApiUrlError::SchemeMissing);
        }
        let uri: Uri = text.parse().map_err(|_| unparseable(text))?;
        let scheme = match uri.scheme_str() {
            Some(s) if s.eq_ignore_ascii_case("http") => Scheme::Http,
            Some(s) if s.eq_ignore_ascii_case("https") => Scheme::Https,
            Some(_) => return Err(ApiUrlError::Scheme),
            None => return Err(ApiUrlError::Unparseable),
        };
        let authority = uri.authority().ok_or(ApiUrlError::Unparseable)?;
        if authority.as_str().contains('@') {
            return Err(ApiUrlError::UserInfo);
        }
        if uri.query().is_some() {
            return Err(ApiUrlError::Query);
        }
        if is_unbracketed(authority.as_str()) {
            return Err(ApiUrlError::Unbracketed);
        }
        let host = match Host::parse(authority.host()).ok_or(ApiUrlError::Host)? {
            // Mapped (RFC 4291, 2.5.5.2), it is reached over IPv4.
            Host::Ip(ip) => {
                Host::Ip(Some(ip.to_canonical()).filter(is_a_servers).ok_or(ApiUrlError::NoServer)?)
            }
            // With a dot at the end it is whole: no search list applies (resolv.conf(5)).
            Host::Name(name) if authority.host().ends_with('.') => Host::Name(name + "."),
            name => name,
        };
        let port = match authority.as_str().get(authority.host().len()..) {
            None | Some("") => scheme.default_port(),
            Some(rest) => rest
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port != 0)
                .ok_or(ApiUrlError::Port)?,
        };
        if uri.path().contains(':') {
            return Err(ApiUrlError::Path);
        }
        let mut prefix = uri.path().trim_end_matches('/');
        // Also where it stands twice: else the URL would mean another one when it is read again.
        while let Some(shorter) = prefix.strip_suffix("/v1") {
            prefix = shorter.trim_end_matches('/');
        }
        Ok(Self { scheme, host, port, prefix: prefix.to_owned() })
    }

    /// The path of a request to this API: the prefix and `path`, which begins with a slash.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// `host` or `host:port` as the `Host` header wants it (RFC 9110, 7.2).
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// What is wrong with a text that is no URI.
fn unparseable(text: &str) -> ApiUrlError {
    let behind = text.split_once("://").map_or("", |(_, behind)| behind);
    let authority = behind.split(['/', '?']).next().unwrap_or_default();
    if is_unbracketed(authority) { ApiUrlError::Unbracketed } else { ApiUrlError::Unparseable }
}

/// More colons than the one before a port.
fn is_unbracketed(authority: &str) -> bool {
    !authority.starts_with('[') && !authority.contains('@') && authority.matches(':').count() > 1
}

fn is_a_servers(ip: &IpAddr) -> bool {
    let broadcast = *ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.prefix)
    }
}

impl Serialize for ApiUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_write() {
        for (text, shown) in [
            ("http://172.25.134.35:6385", "http://172.25.134.35:6385"),
            ("  http://172.25.134.35:6385/  ", "http://172.25.134.35:6385"),
            ("HTTPS://Ironic.Example.com/baremetal/v1/", "https://ironic.example.com/baremetal"),
            ("https://[fd00::1]:13385/v1", "https://[fd00::1]:13385"),
            ("http://ironic", "http://ironic"),
            ("http://ironic/v1//v1/", "http://ironic"),
            ("http://[::ffff:10.0.0.1]:6385", "http://10.0.0.1:6385"),
            ("http://ironic_api:6385", "http://ironic_api:6385"),
            ("http://Ironic.lab.:6385", "http://ironic.lab.:6385"),
        ] {
            assert_eq!(ApiUrl::parse(text).map(|url| url.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert_eq!(ApiUrl::parse("https://h").unwrap().port, 443);
        assert_eq!(ApiUrl::parse("http://h:81/a").unwrap().path("/v1/lookup"), "/a/v1/lookup");
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, error) in [
            ("mdns", ApiUrlError::Mdns),
            ("", ApiUrlError::Unparseable),
            ("172.25.134.35:6385", ApiUrlError::SchemeMissing),
            ("ironic.example.com/baremetal", ApiUrlError::SchemeMissing),
            ("http://fd00::1:6385", ApiUrlError::Unbracketed),
            ("http://fd00::1", ApiUrlError::Unbracketed),
            ("http://[fd00::1", ApiUrlError::Unparseable),
            ("https://172.22.0.3/24:6385", ApiUrlError::Path),
            ("http://0.0.0.0:6385", ApiUrlError::NoServer),
            ("http://[::]:6385", ApiUrlError::NoServer),
            ("http://[::ffff:0.0.0.0]:6385", ApiUrlError::NoServer),
            ("http://224.0.0.1", ApiUrlError::NoServer),
            ("http://255.255.255.255", ApiUrlError::NoServer),
            ("ftp://h", ApiUrlError::Scheme),
            ("http://u:p@h", ApiUrlError::UserInfo),
            ("http://h:0", ApiUrlError::Port),
            ("http://h:", ApiUrlError::Port),
            ("http://1.2.3:80", ApiUrlError::Host),
            ("http://0x7f000001", ApiUrlError::Host),
            ("http://h?x=1", ApiUrlError::Query),
            ("http://h#x", ApiUrlError::Query),
        ] {
            assert_eq!(ApiUrl::parse(text), Err(error), "{text}");
        }
    }
}
