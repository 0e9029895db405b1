//! A small DNS server: every name has the same addresses, or the server misbehaves.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::netns::Netns;

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// This address for every name.
    Address(Ipv4Addr),
    /// Nothing.
    Nothing,
    /// To each type of question its own answer.
    Each(Half<Ipv4Addr>, Half<Ipv6Addr>),
    /// This RCODE (RFC 1035, 4.1.1).
    Code(u8),
    /// That the answer is too long for UDP; nobody listens on TCP.
    Truncated,
    /// Something that is no DNS.
    Garbage,
    /// This address, with the id of another question.
    OtherId(Ipv4Addr),
}

/// What it answers to the questions of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half<A> {
    /// This address.
    Address(A),
    /// That there is no address of this type.
    None,
    /// Nothing.
    Nothing,
    /// This RCODE.
    Code(u8),
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
        let socket = netns.enter(|| UdpSocket::bind((address, 53)).unwrap()).unwrap();
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

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The types of questions that have an answer (RFC 1035, 3.2.2; RFC 3596, 2.1).
const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];

/// RFC 1035, 4.1: the header, the question as it came, and perhaps one answer that points to the name in it.
fn reply(question: &[u8], says: Says) -> Option<Vec<u8>> {
    let name = question[12..].iter().position(|byte| *byte == 0)? + 12 + 1;
    let wanted = [question[name], question[name + 1]];
    let mut reply = question[..2].to_vec();
    let only = |address: Ipv4Addr| (wanted == A).then(|| address.octets().to_vec());
    let (truncated, code, address) = match says {
        Says::Nothing => return None,
        Says::Garbage => return Some(vec![0x5a; 40]),
        Says::OtherId(address) => {
            reply[0] ^= 0xff;
            (0, 0, only(address))
        }
        Says::Truncated => (2, 0, None),
        Says::Code(code) => (0, code, None),
        Says::Address(address) => (0, 0, only(address)),
        Says::Each(a, aaaa) => {
            let (code, address) = match wanted {
                A => half(a, |address| address.octets().to_vec())?,
                AAAA => half(aaaa, |address| address.octets().to_vec())?,
                _ => (0, None),
            };
            (0, code, address)
        }
    };
    reply.extend([0x81 | truncated, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    reply.extend(&question[12..name + 4]);
    if let Some(address) = address {
        reply.extend([0xc0, 12, wanted[0], wanted[1], 0, 1, 0, 0, 0, 30, 0]);
        reply.extend(u8::try_from(address.len()));
        reply.extend(address);
    }
    Some(reply)
}

/// The RCODE and the address; `None`: no answer at all.
fn half<A>(half: Half<A>, octets: impl FnOnce(A) -> Vec<u8>) -> Option<(u8, Option<Vec<u8>>)> {
    match half {
        Half::Address(address) => Some((0, Some(octets(address)))),
        Half::None => Some((0, None)),
        Half::Nothing => None,
        Half::Code(code) => Some((code, None)),
    }
}
