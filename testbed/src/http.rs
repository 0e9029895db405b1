//! HTTP/1.1 for tests: one blocking request on one connection, from this namespace or from another one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::netns::Netns;

/// How long one read or write may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a head or a body is read at most, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// A server to ask, over plain HTTP.
#[derive(Clone, Debug)]
pub struct Http {
    address: SocketAddr,
    netns: Option<Arc<Netns>>,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names as they came, values without the blanks around them.
    pub headers: Vec<(String, String)>,
    /// The body, without the framing of a chunked one.
    pub body: Vec<u8>,
}

impl Http {
    /// A server that this process reaches itself.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, netns: None }
    }

    /// A server that is reached from inside a namespace.
    pub fn inside(netns: &Arc<Netns>, address: SocketAddr) -> Self {
        let netns = Some(Arc::clone(netns));
        Self { address, netns }
    }

    /// `GET path`; `path` may carry a query.
    ///
    /// # Errors
    /// No connection, a time-out of 30 s, or an answer that is no HTTP.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        self.send("GET", path, headers, None)
    }

    /// `POST path` with a JSON body.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> io::Result<Response> {
        self.send("POST", path, headers, Some(body))
    }

    /// `PUT path` with a JSON body.
    ///
    /// # Errors
    /// As [`Http::get`].
    pub fn put(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> io::Result<Response> {
        self.send("PUT", path, headers, Some(body))
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Response> {
        let exchange = || -> io::Result<Response> {
            let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            stream.write_all(&request(method, path, self.address, headers, body))?;
            Response::read(stream)
        };
        let answer = match &self.netns {
            Some(netns) => netns.enter(exchange).and_then(|answer| answer),
            None => exchange(),
        };
        let address = self.address;
        answer.map_err(|e| io::Error::new(e.kind(), format!("{method} http://{address}{path}: {e}")))
    }
}

impl Response {
    /// Reads one answer.
    ///
    /// # Errors
    /// Where it is no HTTP, or ends too soon.
    pub fn read(stream: impl Read) -> io::Result<Self> {
        let mut reader = BufReader::new(stream.take(LIMIT));
        let first = line(&mut reader)?;
        let status = first
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| invalid("status line", &first))?;
        let mut headers = Vec::new();
        loop {
            let text = line(&mut reader)?;
            if text.is_empty() {
                break;
            }
            let (name, value) = text.split_once(':').ok_or_else(|| invalid("header", &text))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Self { status, headers, body: Vec::new() };
        answer.body = body(&answer, &mut reader)?;
        Ok(answer)
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Where it is none; the error shows the beginning of the body.
    pub fn json(&self) -> io::Result<Value> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let start: String = self.text().chars().take(200).collect();
            io::Error::other(format!("status {} with a body that is no JSON ({e}): {start:?}", self.status))
        })
    }
}

fn request(
    method: &str,
    path: &str,
    host: SocketAddr,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// The body after its head, by the rules of RFC 9112 section 6.3.
fn body(head: &Response, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let chunked = head.header("transfer-encoding");
    if matches!(head.status, 204 | 304) {
        return Ok(bytes);
    }
    if chunked.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let text = line(reader)?;
            let digits = text.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| invalid("chunk size", &text))?;
            exactly(size, reader, &mut bytes)?;
            if size == 0 {
                return Ok(bytes); // Trailers are not looked at: the connection ends here.
            }
            line(reader)?;
        }
    }
    match head.header("content-length") {
        Some(text) => {
            let size = text.parse().map_err(|_| invalid("Content-Length", text))?;
            exactly(size, reader, &mut bytes)?;
        }
        None => {
            reader.read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

fn exactly(size: u64, reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<()> {
    let got = reader.take(size).read_to_end(bytes)?;
    if u64::try_from(got).is_ok_and(|got| got == size) {
        return Ok(());
    }
    let text = format!("the body ended after {got} of {size} bytes");
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

/// The next line without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    reader.read_line(&mut text)?;
    match text.strip_suffix('\n') {
        Some(text) => Ok(text.strip_suffix('\r').unwrap_or(text).to_owned()),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ended within its head")),
    }
}

fn invalid(what: &str, text: &str) -> io::Error {
    let start: String = text.chars().take(100).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} {start:?} is no HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> io::Result<Response> {
        Response::read(text.as_bytes())
    }

    #[test]
    fn bodies_of_every_framing_are_read() {
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().json().unwrap()["a"], 1);
        let counted = parse("HTTP/1.1 404 Not Found\r\ncontent-length:  2\r\n\r\n{}garbage").unwrap();
        assert_eq!((counted.status, counted.text().as_str()), (404, "{}"));
        assert_eq!(counted.header("Content-Length"), Some("2"));
        assert_eq!(parse("HTTP/1.0 200 OK\r\n\r\nall of it").unwrap().text(), "all of it");
        assert_eq!(parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, b"");
    }

    #[test]
    fn broken_answers_are_errors_that_show_them() {
        for (text, said) in [
            ("", "ended within its head"),
            ("SSH-2.0-x\r\n", "SSH-2.0-x"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "3 of 5"),
            ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", "five"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "zz"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text:?}: {error}");
        }
        let page = parse("HTTP/1.1 200 OK\r\n\r\n<html>").unwrap();
        assert!(page.json().unwrap_err().to_string().contains("<html>"));
    }

    #[test]
    fn a_request_goes_over_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let http = Http::new(listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = vec![0; 1024];
            let mut length = 0;
            while !seen[..length].ends_with(b"{\"a\":1}") {
                length += stream.read(&mut seen[length..]).unwrap();
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
            String::from_utf8(seen[..length].to_vec()).unwrap()
        });
        let answer = http.post("/x?y=1", &[("X-Name", "value")], &serde_json::json!({"a": 1})).unwrap();
        assert_eq!((answer.status, answer.body.len()), (202, 0));
        let seen = server.join().unwrap();
        assert!(seen.starts_with("POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{seen}");
        assert!(
            seen.contains("\r\nX-Name: value\r\n") && seen.contains("\r\nContent-Length: 7\r\n"),
            "{seen}"
        );
    }
}
