//! Requests and answers on the wire, as far as the door has to know them.

use std::io::{self, Read};

use serde_json::Value;
use testbed::http::Response;

/// The longest head and body that are taken, in bytes.
const LIMIT: usize = 4 * 1024 * 1024;

/// What a request was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its target, as it came: with scheme and host where it went to a proxy.
    pub target: String,
    /// The URL in it, where it was a heartbeat.
    pub callback_url: Option<String>,
}

impl Request {
    /// Reads one; gives the bytes for Ironic too, which is to close the connection after its answer. `None`: the
    /// connection has ended.
    ///
    /// # Errors
    /// Where it is no HTTP with a length, or too long.
    pub fn read(stream: &mut impl Read) -> io::Result<Option<(Self, Vec<u8>)>> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if more(stream, &mut bytes)? == 0 {
                return Ok(None);
            }
        };
        let rest = bytes.split_off(head);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (method, target, version) = (word(), word(), word());
        // Ironic's server takes no target with a host.
        let rest_of_url = target.strip_prefix("http://").and_then(|url| url.split_once('/'));
        let path = rest_of_url.map_or(target.clone(), |(_, path)| format!("/{path}"));
        let (mut length, mut out) = (0, format!("{method} {path} {version}\r\nConnection: close\r\n"));
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "connection" | "keep-alive" => continue,
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                "transfer-encoding" => return Err(io::Error::other("a chunked request")),
                _ => {}
            }
            out.push_str(line);
            out.push_str("\r\n");
        }
        let mut body = rest;
        while body.len() < length {
            if more(stream, &mut body)? == 0 {
                return Ok(None);
            }
        }
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let url = json.as_ref().and_then(|json| json.get("callback_url")).and_then(Value::as_str);
        let callback_url = url.map(str::to_owned);
        let mut out = format!("{out}\r\n").into_bytes();
        out.extend(body);
        Ok(Some((Self { method, target, callback_url }, out)))
    }

    /// The host in its target, without the port; `None` where there is none.
    pub fn host(&self) -> Option<&str> {
        let (authority, _) = self.target.strip_prefix("http://")?.split_once('/')?;
        Some(authority.rsplit_once(':').map_or(authority, |(host, _)| host))
    }

    /// Whether it was a lookup.
    pub fn is_lookup(&self) -> bool {
        self.target.contains("/v1/lookup?")
    }

    /// Whether it was a heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.target.contains("/v1/heartbeat/")
    }
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let length = stream.read(&mut buffer)?;
    bytes.extend(buffer.iter().take(length));
    if bytes.len() > LIMIT {
        return Err(io::Error::other("too long"));
    }
    Ok(length)
}

/// The answer for the node: the connection stays.
pub fn answer(answer: &Response) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Answer\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        let ours = ["connection", "keep-alive", "content-length", "transfer-encoding"];
        if !ours.contains(&name.to_ascii_lowercase().as_str()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let mut bytes = format!("{head}\r\n").into_bytes();
    bytes.extend(&answer.body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_read_whole_and_closes_the_connection_to_ironic() {
        let text = "POST http://10.99.0.1:6385/v1/heartbeat/x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\
            Content-Length: 23\r\n\r\n{\"callback_url\": \"u:1\"}";
        let (request, bytes) = Request::read(&mut text.as_bytes()).unwrap().unwrap();
        assert!(request.is_heartbeat() && !request.is_lookup());
        assert_eq!(request.callback_url.as_deref(), Some("u:1"));
        assert_eq!(request.host(), Some("10.99.0.1"));
        let bytes = String::from_utf8(bytes).unwrap();
        assert!(bytes.starts_with("POST /v1/heartbeat/x HTTP/1.1\r\n"), "{bytes}");
        assert!(bytes.contains("\r\nConnection: close\r\n") && !bytes.contains("keep-alive"), "{bytes}");
        assert!(bytes.ends_with("\r\n\r\n{\"callback_url\": \"u:1\"}"), "{bytes}");
        assert!(Request::read(&mut "".as_bytes()).unwrap().is_none());
    }
}
