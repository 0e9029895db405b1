//! One connection that is kept, as IPA keeps its own.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::http::Response;
use crate::ironic::VERSION_HEADER;
use crate::netns::Netns;

/// A connection; closed when dropped.
#[derive(Debug)]
pub struct Kept(TcpStream);

impl Kept {
    /// Connects from inside a namespace.
    pub fn connect(netns: &Netns, address: SocketAddr) -> Self {
        Self(netns.enter(|| TcpStream::connect(address).unwrap()).unwrap())
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{VERSION_HEADER}: 1.68\r\nContent-Length: {length}\r\n\r\n"
        );
        (&self.0).write_all(&[head, body].concat().into_bytes()).unwrap();
        Response::read(&self.0).unwrap()
    }
}
