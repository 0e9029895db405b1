//! Timed requests, on connections of their own and on kept ones.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A timed answer.
pub struct Answer {
    pub took: Duration,
    pub body_length: usize,
}

/// A connection, for one request after the other.
pub struct Connection(TcpStream);

impl Connection {
    /// Connects. Call it inside the namespace.
    ///
    /// # Errors
    /// No connection.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends the request and reads its answer, which must begin with `status`.
    ///
    /// # Errors
    /// Another status, or an answer without an end.
    pub fn ask(&mut self, request: &str, status: &str) -> io::Result<Answer> {
        let started = Instant::now();
        self.0.write_all(request.as_bytes())?;
        let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
        loop {
            let count = self.0.read(&mut piece)?;
            bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
            if let Some(body_length) = whole(&bytes) {
                let took = started.elapsed();
                let wanted = format!("HTTP/1.1 {status} ");
                if bytes.starts_with(wanted.as_bytes()) {
                    return Ok(Answer { took, body_length });
                }
                return Err(io::Error::other(String::from_utf8_lossy(&bytes).into_owned()));
            }
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// One request in a connection of its own, timed from connect to the last byte. Call it inside the namespace.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::ask`].
pub fn exchange(address: &str, request: &str, status: &str) -> io::Result<Answer> {
    let started = Instant::now();
    let body_length = Connection::open(address)?.ask(request, status)?.body_length;
    Ok(Answer { took: started.elapsed(), body_length })
}

/// The same request for a connection that is kept.
pub fn keep(request: &str) -> String {
    request.replace("Connection: close", "Connection: keep-alive")
}

/// The length of the body, where all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
    (bytes.len() >= end + 4 + length).then_some(length)
}

/// A GET.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!((whole(text), whole(&text[..text.len() - 1]), whole(&text[..20])), (Some(3), None, None));
    }
}
