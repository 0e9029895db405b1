//! What answers on the agent's port as ironic-python-agent does.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use crate::netns::Netns;

/// Answers `GET /v1/status` and keeps every other connection open, until it is dropped.
#[derive(Debug)]
pub struct FakeIpa {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl FakeIpa {
    /// Listens inside.
    pub fn start(netns: &Netns, address: &str) -> Self {
        let listener = netns.enter(|| TcpListener::bind(address).unwrap()).unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            let mut kept = Vec::new();
            while let Ok((mut stream, _)) = accepting.accept() {
                let mut head = [0; 2048];
                let length = stream.read(&mut head).unwrap_or(0);
                if head[..length].starts_with(b"GET /v1/status ") {
                    let body = r#"{"started_at": 1.0, "version": "13.0.0"}"#;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
                } else {
                    kept.push(stream);
                }
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

impl Drop for FakeIpa {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
