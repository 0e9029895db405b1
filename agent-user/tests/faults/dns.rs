//! Name servers that answer badly, or not at all: the daemon says so, goes on, and finds the address once they answer.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use testbed::needs_root;
use testbed::netns::Netns;

use super::*;

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// Rightly: 10.77.0.1.
    Address,
    Nothing,
    /// This RCODE (RFC 1035, 4.1.1).
    Code(u8),
    /// That the answer is too long for UDP; nobody listens on TCP.
    Truncated,
    /// Something that is no DNS.
    Garbage,
    /// A right answer to a question that nobody asked.
    OtherId,
}

/// A name server on 127.0.0.53 of a namespace; it stops when dropped.
struct Server {
    says: Arc<Mutex<Says>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(netns: &Netns, says: Says) -> Self {
        let socket = netns.enter(|| UdpSocket::bind("127.0.0.53:53").unwrap()).unwrap();
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
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// RFC 1035, 4.1: the header, the question as it came, and for type A one answer that points to the name in it.
fn reply(question: &[u8], says: Says) -> Option<Vec<u8>> {
    let name = question[12..].iter().position(|byte| *byte == 0)? + 12 + 1;
    let answers = matches!(says, Says::Address | Says::OtherId) && question[name..name + 2] == [0, 1];
    let mut reply = question[..2].to_vec();
    let (truncated, code) = match says {
        Says::Nothing => return None,
        Says::Garbage => return Some(vec![0x5a; 40]),
        Says::OtherId => {
            reply[0] ^= 0xff;
            (0, 0)
        }
        Says::Truncated => (2, 0),
        Says::Code(code) => (0, code),
        Says::Address => (0, 0),
    };
    reply.extend([0x81 | truncated, 0x80 | code, 0, 1, 0, u8::from(answers), 0, 0, 0, 0]);
    reply.extend(&question[12..name + 4]);
    if answers {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 10, 77, 0, 1]);
    }
    Some(reply)
}

fn recovers_from(says: Says) {
    let test = format!("a name server that says {says:?}");
    if !needs_root(&test) {
        return;
    }
    let site = Site::new();
    let server = Server::start(&site.node, says);
    let etc = Directory::new(&format!("dns-{says:?}").replace(['(', ')'], "-"));
    std::fs::write(etc.file("resolv.conf"), "nameserver 127.0.0.53\n").unwrap();
    let script = format!("mount --bind {} /etc; exec \"$@\"", etc.path().display());
    let daemon = site.daemon_after(&script, &["--ironic.api-url=http://ironic.test:6385"]);
    let started = Instant::now();
    let told = daemon
        .wait_state("the reason", LATER, |state| {
            state["reason"] == "name_unresolved" && !state.to_string().contains("is not resolved yet")
        })
        .unwrap();
    let asked = Instant::now();
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    assert!(asked.elapsed() < ANSWERS_WITHIN, "{:?}", asked.elapsed());
    assert_eq!(told["address"], serde_json::Value::Null);
    *server.says.lock().unwrap() = Says::Address;
    let healed = Instant::now();
    daemon.wait_address(Some(FIRST), LATER).unwrap();
    seen(format!(
        "name_unresolved after {:.1} s; found {:.1} s after the server was well",
        (asked - started).as_secs_f64(),
        healed.elapsed().as_secs_f64()
    ));
}

#[test]
fn a_silent_server() {
    recovers_from(Says::Nothing);
}

#[test]
fn servfail() {
    recovers_from(Says::Code(2));
}

#[test]
fn nxdomain() {
    recovers_from(Says::Code(3));
}

#[test]
fn refused() {
    recovers_from(Says::Code(5));
}

#[test]
fn a_truncated_answer_and_no_tcp() {
    recovers_from(Says::Truncated);
}

#[test]
fn garbage() {
    recovers_from(Says::Garbage);
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    recovers_from(Says::OtherId);
}
