//! An Ironic whose answers are given byte by byte, and that keeps the requests so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Gives the same answer to every request, until it is dropped.
pub struct Upstream {
    listener: TcpListener,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    pub fn start(listener: TcpListener, answer: impl Into<Vec<u8>>) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer.into()));
        let (accepting, kept, given) =
            (listener.try_clone().unwrap(), Arc::clone(&requests), Arc::clone(&answer));
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = accepting.accept() {
                let (kept, given) = (Arc::clone(&kept), Arc::clone(&given));
                std::thread::spawn(move || {
                    if let Some(request) = read(&mut stream) {
                        kept.lock().unwrap().push(request);
                        let answer = given.lock().unwrap().clone();
                        let _ = stream.write_all(&answer);
                    }
                });
            }
        });
        Self { listener, requests, answer, thread: Some(thread) }
    }

    pub fn set_answer(&self, answer: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = answer.into();
    }

    /// The requests as they came, heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| String::from_utf8(request.clone()).unwrap()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, by its Content-Length.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    loop {
        let got = stream.read(&mut piece).ok().filter(|got| *got > 0)?;
        bytes.extend_from_slice(&piece[..got]);
        let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text
            .split("content-length:")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().trim().parse::<usize>().unwrap());
        if bytes.len() >= head + 4 + length {
            return Some(bytes);
        }
    }
}
