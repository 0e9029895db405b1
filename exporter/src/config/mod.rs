//! `--web.config.file`: the YAML of the Prometheus exporter toolkit, version 1
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! [`WebConfig::parse`] is pure: it opens no file. A field that the toolkit has and this server has not is refused, not passed over: who
//! wrote it counts on it.

mod tls;
pub mod yaml;

pub(crate) use tls::{Clients, Material, Source, TlsSettings};

use std::collections::BTreeMap;

use bcrypt::HashParts;
use hyper::header::{HeaderName, HeaderValue};
use text::{Secret, printable};
use thiserror::Error;

use yaml::{Key, Node};

/// The costs that a password's hash may have. 4 is bcrypt's least. Each step more doubles the work: 10 takes 0.1 s and 15
/// takes 2.6 s on a machine of 2026, and on a slower node more would take longer than a scrape waits (10 s).
const COSTS: std::ops::RangeInclusive<u32> = 4..=15;

/// The largest file, in bytes. Its tree takes many times as much memory.
const LONGEST: usize = 64 << 10;

/// The headers that may be set, and their values where those are a closed set (exporter-toolkit, web/handler.go).
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct ConfigError {
    /// Counted from 1.
    pub line: usize,
    /// What, and what would be right.
    pub problem: String,
}

impl ConfigError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self { line, problem: problem.into() }
    }
}

/// What a file asks for.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// TLS; `None`: plain HTTP.
    pub(crate) tls: Option<TlsSettings>,
    /// Headers of every response.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Users and the bcrypt hashes of their passwords; none: nobody is asked.
    pub users: BTreeMap<String, Secret>,
}

impl WebConfig {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// For a file that is too large, broken YAML, a field that is unknown, not supported or given twice, and an unusable value.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > LONGEST {
            return Err(ConfigError::new(1, format!("the file is larger than {LONGEST} bytes")));
        }
        let mut config = Self::default();
        let root = yaml::parse(text)?;
        for (key, value) in root.fields("the file")? {
            match key.name.as_str() {
                "tls_server_config" => config.tls = tls::section(key, value)?,
                "http_server_config" => config.headers = http_section(value)?,
                "basic_auth_users" => config.users = users(value)?,
                "rate_limit" => {
                    let problem =
                        "rate_limit is not supported here: leave it out; connections are bounded anyway";
                    return Err(key.error(problem));
                }
                _ => {
                    return Err(key.unknown(&[
                        "tls_server_config",
                        "http_server_config",
                        "basic_auth_users",
                    ]));
                }
            }
        }
        Ok(config)
    }
}

fn http_section(section: &Node) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let mut headers = Vec::new();
    for (key, value) in section.fields("http_server_config")? {
        match key.name.as_str() {
            "http2" => {
                if value.boolean("http2")? == Some(true) {
                    let problem = "http2 is not supported here: leave it out, or say false; this server speaks HTTP/1.1";
                    return Err(key.error(problem));
                }
            }
            "headers" => {
                for (key, value) in value.fields("headers")? {
                    headers.extend(header(key, value)?);
                }
            }
            _ => return Err(key.unknown(&["http2", "headers"])),
        }
    }
    Ok(headers)
}

fn header(key: &Key, value: &Node) -> Result<Option<(HeaderName, HeaderValue)>, ConfigError> {
    let Some((name, allowed)) = HEADERS.iter().find(|(name, _)| *name == key.name) else {
        return Err(key.unknown(&HEADERS.map(|(name, _)| name)));
    };
    let Some(text) = value.text(name)? else {
        return Ok(None);
    };
    if !allowed.is_empty() && !allowed.contains(&text) {
        let problem =
            format!("{name}: \"{}\" is not usable: wanted {}", printable(text), allowed.join(" or "));
        return Err(ConfigError::new(value.line, problem));
    }
    let unusable = || ConfigError::new(value.line, format!("{name}: wanted a text that a header can carry"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
    Ok(Some((name, HeaderValue::from_str(text).map_err(|_| unusable())?)))
}

fn users(section: &Node) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let mut users = BTreeMap::new();
    for (key, value) in section.fields("basic_auth_users")? {
        let user = printable(&key.name);
        if key.name.contains(':') {
            return Err(key.error(format!("the user \"{user}\" cannot be used: a name has no colon")));
        }
        // The hash itself is nobody's business.
        let hash = value.text("a password")?.unwrap_or_default();
        let wrong =
            |problem: &str| ConfigError::new(value.line, format!("the password of \"{user}\" {problem}"));
        let parts: HashParts = hash.parse().map_err(|_| {
            wrong("is no bcrypt hash: wanted what `htpasswd -nBC 10 \"\"` prints behind the colon, like $2y$10$...")
        })?;
        if !COSTS.contains(&parts.get_cost()) {
            let (least, most) = (COSTS.start(), COSTS.end());
            return Err(wrong(&format!("has the cost {}: wanted {least} to {most}", parts.get_cost())));
        }
        users.insert(key.name.clone(), Secret::new(hash.to_owned()));
    }
    Ok(users)
}

#[cfg(test)]
mod tests;
