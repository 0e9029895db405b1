//! A connection byte by byte: what a well-behaved client would not send, and what no library shows.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testbed::netns::Netns;

pub struct Raw {
    pub stream: TcpStream,
    /// Read, and not given out yet.
    unread: Vec<u8>,
}

impl Raw {
    pub fn connect(netns: &Netns, address: &str) -> Self {
        Self::try_connect(netns, address).unwrap()
    }

    pub fn try_connect(netns: &Netns, address: &str) -> std::io::Result<Self> {
        Ok(Self::new(netns.enter(|| TcpStream::connect(address))??))
    }

    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// One answer as it came: its head, and its body.
    pub fn answer(&mut self) -> (String, Vec<u8>) {
        self.answer_to("GET")
    }

    /// The same for a method whose answer has no body.
    pub fn answer_to(&mut self, method: &str) -> (String, Vec<u8>) {
        let head = self.head();
        let lower = head.to_ascii_lowercase();
        if method == "HEAD" || head.starts_with("HTTP/1.1 1") {
            return (head, Vec::new());
        }
        let body = match lower.split("content-length:").nth(1) {
            Some(rest) => {
                let length: usize = rest.lines().next().unwrap().trim().parse().unwrap();
                self.until(|rest| (rest.len() >= length).then_some(length))
            }
            None if lower.contains("transfer-encoding: chunked") => {
                let end = b"0\r\n\r\n";
                self.until(|rest| {
                    let at = rest.windows(end.len()).position(|window| window == end)?;
                    Some(at + end.len())
                })
            }
            None => panic!("no length: {head}"),
        };
        (head, body)
    }

    fn head(&mut self) -> String {
        let end = |rest: &[u8]| rest.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        String::from_utf8(self.until(end)).unwrap()
    }

    /// Reads until `end` tells how much belongs together.
    fn until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
        loop {
            if let Some(length) = end(&self.unread) {
                let behind = self.unread.split_off(length);
                return std::mem::replace(&mut self.unread, behind);
            }
            let mut piece = [0; 65536];
            let got = self.stream.read(&mut piece).unwrap();
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            assert_ne!(got, 0, "the connection ended after {so_far:?}");
            self.unread.extend_from_slice(&piece[..got]);
        }
    }

    /// Everything until the other side closes, and how long that took.
    pub fn rest(&mut self) -> (Vec<u8>, Duration) {
        let started = Instant::now();
        let mut bytes = std::mem::take(&mut self.unread);
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("not closed after {:?}: {error}; {bytes:?}", started.elapsed()),
        }
        (bytes, started.elapsed())
    }
}
