//! As much HTTP/1.1 as a test server needs.

use std::io::{self, BufRead, Read, Write};

/// No request's head or body is read further than this.
const REQUEST_BYTES: u64 = 64 << 20;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// `GET`, `POST`.
    pub method: String,
    /// The target in origin form, query included.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Recorded {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(n, _)| *n == name).map(|(_, value)| percent_decoded(value))
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Reads one request; `None` where the client closed instead.
    pub(super) fn read(stream: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut stream = stream.take(REQUEST_BYTES);
        let Some(line) = read_line(&mut stream)? else {
            return Ok(None);
        };
        let mut words = line.split(' ').map(str::to_owned);
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other(format!("not a request line: {line:?}")));
        };
        let mut request = Self { method, target: origin_form(&target), ..Self::default() };
        while let Some(line) = read_line(&mut stream)?.filter(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(':') {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        if request.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            request.body = read_chunks(&mut stream)?;
        } else if let Some(length) = request.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            stream.by_ref().take(length).read_to_end(&mut request.body)?;
        }
        Ok(Some(request))
    }
}

/// Of a target as a proxy sends it on (RFC 9112, section 3.2.2).
fn origin_form(target: &str) -> String {
    let authority_on = target.strip_prefix("http://");
    let path = authority_on.and_then(|rest| rest.find('/').and_then(|at| rest.get(at..)));
    path.unwrap_or(target).to_owned()
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    match stream.read_line(&mut line)? {
        0 => Ok(None),
        _ => Ok(Some(line.trim_end().to_owned())),
    }
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(line) = read_line(stream)? {
        let digits = line.split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
        stream.by_ref().take(length).read_to_end(&mut body)?;
        read_line(stream)?;
        if length == 0 {
            break;
        }
    }
    Ok(body)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The head for a body of `length` bytes.
    pub fn head(&self, length: u64) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"));
        head
    }

    pub fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        stream.write_all(self.head(self.body.len() as u64).as_bytes())?;
        stream.write_all(self.body.as_bytes())?;
        stream.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        302 => "Found",
        400 => "Bad Request",
        404 => "Not Found",
        406 => "Not Acceptable",
        409 => "Conflict",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
