//! A DNS server of forty lines: every name has one IPv4 address, or what the test says of each family, or the server
//! misbehaves.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::netns::Netns;

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// This address for every name.
    Address(Ipv4Addr),
    /// For each family, IPv4 first, an address or an RCODE.
    Families(Result<Ipv4Addr, u8>, Result<Ipv6Addr, u8>),
    /// Nothing.
    Nothing,
    /// This RCODE (RFC 1035, 4.1.1).
    Code(u8),
    /// That the answer is too long for UDP; nobody listens on TCP.
    Truncated,
    /// Something that is no DNS.
    Garbage,
    /// This address, with the id of another question.
    OtherId(Ipv4Addr),
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct NameServer {
    says: Arc<Mutex<Says>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Listens on `address`, port 53, inside.
    pub fn start(netns: &Netns, address: &str, says: Says) -> Self {
        let socket = netns.enter(|| bind(address)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (says, stop) = (Arc::new(Mutex::new(says)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (says, stop) = (Arc::clone(&says), Arc::clone(&stop));
            move || {
                let mut question = [0; 512];
                while !stop.load(Ordering::Relaxed) {
                    if let Ok((length, from)) = socket.recv_from(&mut question)
                        && let Some(reply) = reply(&question[..length], *says.lock().unwrap())
                    {
                        let _ = socket.send_to(&reply, from);
                    }
                }
            }
        });
        Self { says, stop, thread: Some(thread) }
    }

    /// From now on it answers so.
    pub fn set(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }
}

/// A child that another test has forked and that has not called exec yet holds the socket of the server before.
fn bind(address: &str) -> UdpSocket {
    const PATIENCE: Duration = Duration::from_secs(5);
    let began = Instant::now();
    loop {
        match UdpSocket::bind((address, 53)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            bound => return bound.unwrap(),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// RFC 1035, 4.1: the header, the question as it came, and at most one answer that points to the name in it.
fn reply(question: &[u8], says: Says) -> Option<Vec<u8>> {
    let name = question[12..].iter().position(|byte| *byte == 0)? + 12 + 1;
    let mut reply = question[..2].to_vec();
    let is_inet = question[name..name + 2] == [0, 1];
    let says = match says {
        Says::Address(address) => Says::Families(Ok(address), Err(0)),
        says => says,
    };
    let mut address: Option<IpAddr> = None;
    let (truncated, code) = match says {
        Says::Nothing => return None,
        Says::Garbage => return Some(vec![0x5a; 40]),
        Says::OtherId(other) => {
            reply[0] ^= 0xff;
            address = is_inet.then_some(other.into());
            (0, 0)
        }
        Says::Truncated => (2, 0),
        Says::Code(code) => (0, code),
        Says::Address(_) => (0, 0),
        Says::Families(inet, inet6) => {
            let family = if is_inet { inet.map(IpAddr::from) } else { inet6.map(IpAddr::from) };
            address = family.ok();
            (0, family.err().unwrap_or(0))
        }
    };
    reply.extend([0x81 | truncated, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    reply.extend(&question[12..name + 4]);
    if let Some(address) = address {
        match address {
            IpAddr::V4(ip) => {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                reply.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                reply.extend([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 1, 0, 16]);
                reply.extend(ip.octets());
            }
        }
    }
    Some(reply)
}
