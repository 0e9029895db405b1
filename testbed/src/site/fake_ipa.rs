//! What answers on the agent's port as ironic-python-agent does, and what looks like its process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

use super::Directory;
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

/// A process that is called as IPA's: a script of that name, run by an interpreter. It does nothing, as inside a lookup
/// that takes long.
#[derive(Debug)]
pub struct IpaProcess {
    child: Child,
    _directory: Directory,
}

impl IpaProcess {
    /// Begins inside, without arguments.
    pub fn start(netns: &Netns) -> Self {
        Self::with(netns, &[], &[])
    }

    /// Begins inside, with these arguments and variables.
    pub fn with(netns: &Netns, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = Directory::new("ipa-process");
        directory.write("ironic-python-agent", "echo begun; read end");
        let script = directory.file("ironic-python-agent");
        let mut command = netns.command("sh");
        let mut child = command
            .arg(script)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0; 6]).unwrap();
        Self { child, _directory: directory }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for IpaProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
