//! A DNS server of thirty lines: every name has one IPv4 address and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use testbed::netns::Netns;

/// Stops when dropped.
pub struct Dns {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Listens on `address`, port 53, inside.
    pub fn start(netns: &Netns, address: &str, answer: Ipv4Addr) -> Self {
        let socket = netns.enter(|| UdpSocket::bind((address, 53)).unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut question = [0; 512];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((length, from)) = socket.recv_from(&mut question) {
                        let _ = socket.send_to(&reply(&question[..length], answer), from);
                    }
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// RFC 1035, 4.1: the header, the question as it came, and for type A one answer that points to the name in it.
fn reply(question: &[u8], answer: Ipv4Addr) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap() + 12 + 1;
    let wants_a = question[name..name + 2] == [0, 1];
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_a), 0, 0, 0, 0]);
    reply.extend(&question[12..name + 4]);
    if wants_a {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
        reply.extend(answer.octets());
    }
    reply
}
