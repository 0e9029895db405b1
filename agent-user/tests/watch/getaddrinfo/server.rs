//! A name server that answers by rules, over UDP and TCP.
//!
//! A rule is `NAME FAMILY ANSWER`. Name and family can be `*`; the first rule that fits counts, and without one there is no
//! such name. Answers: an RCODE's name, addresses, or one of the words in [`reply`].

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use testbed::netns::Netns;

const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];
const CNAME: [u8; 2] = [0, 5];
const TXT: [u8; 2] = [0, 16];
/// Bits of the second 16 bits of a header (RFC 1035, 4.1.1): an answer, to a recursive question, by a recursive server.
const PLAIN: u16 = 0x8180;
const TRUNCATED: u16 = 0x200;

/// Stops when dropped.
pub struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens on port 53 of the address, inside.
    pub fn start(netns: &Netns, address: &str, rules: &'static [&'static str]) -> Self {
        let has_tcp = !rules.contains(&"no tcp");
        let (udp, tcp) = netns
            .enter(|| {
                let udp = UdpSocket::bind((address, 53)).unwrap();
                (udp, has_tcp.then(|| TcpListener::bind((address, 53)).unwrap()))
            })
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = vec![spawn({
            let stop = Arc::clone(&stop);
            move || over_udp(&udp, rules, &stop)
        })];
        threads.extend(tcp.map(|listener| {
            let stop = Arc::clone(&stop);
            spawn(move || over_tcp(&listener, rules, &stop))
        }));
        Self { stop, threads }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn over_udp(socket: &UdpSocket, rules: &[&str], stop: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut question, mut lost) = ([0; 2048], HashSet::new());
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
        let question = &question[..length];
        let answer = answer_to(question, rules);
        let word = answer.split(' ').next().unwrap();
        match word {
            "silent" => continue,
            // The first datagram of each question.
            "lost" if lost.insert(question[..2].to_vec()) => continue,
            "late" => {
                let (socket, reply) = (socket.try_clone().unwrap(), reply(question, answer, true));
                spawn(move || {
                    sleep(Duration::from_millis(1500));
                    socket.send_to(&reply, from)
                });
                continue;
            }
            "forged" => {
                let mut other = reply(question, "forged 192.0.2.66", true);
                other[0] ^= 0xff;
                let _ = socket.send_to(&other, from);
            }
            _ => {}
        }
        let _ = socket.send_to(&reply(question, answer, true), from);
    }
}

fn over_tcp(listener: &TcpListener, rules: &[&str], stop: &AtomicBool) {
    listener.set_nonblocking(true).unwrap();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => drop(serve(stream, rules)),
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
}

fn serve(mut stream: TcpStream, rules: &[&str]) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut question = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut question)?;
        let answer = answer_to(&question, rules);
        if answer == "silent" {
            continue;
        }
        let reply = reply(&question, answer, false);
        stream.write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes())?;
        stream.write_all(&reply)?;
    }
}

/// The name with dots, and where it ends.
fn name(question: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), at + 1)
}

fn answer_to<'a>(question: &[u8], rules: &[&'a str]) -> &'a str {
    let (name, end) = name(question);
    let family = if question[end..end + 2] == A { "A" } else { "AAAA" };
    let fits = |rule: &&'a str| {
        let mut words = rule.splitn(3, ' ');
        let (for_name, for_family) = (words.next()?, words.next()?);
        let fits =
            (for_name == "*" || name.eq_ignore_ascii_case(for_name)) && ["*", family].contains(&for_family);
        words.next().filter(|_| fits)
    };
    rules.iter().find_map(fits).unwrap_or("NXDOMAIN")
}

fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn record(owner: &[u8], kind: [u8; 2], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind, &[0, 1, 0, 0, 0, 60], &length, data].concat()
}

/// Records of the addresses that are of the family.
fn addresses(owner: &[u8], family: [u8; 2], words: &[&str]) -> Vec<Vec<u8>> {
    let ips = words.iter().filter_map(|word| word.parse::<IpAddr>().ok());
    ips.filter(|ip| ip.is_ipv4() == (family == A))
        .map(|ip| match ip {
            IpAddr::V4(ip) => record(owner, A, &ip.octets()),
            IpAddr::V6(ip) => record(owner, AAAA, &ip.octets()),
        })
        .collect()
}

fn reply(question: &[u8], answer: &str, over_udp: bool) -> Vec<u8> {
    let (_, end) = name(question);
    let family = [question[end], question[end + 1]];
    let asked = [0xc0, 12]; // Points to the name in the question.
    let words: Vec<_> = answer.split(' ').collect();
    let (mut flags, mut records, mut tail) = (PLAIN, Vec::new(), Vec::new());
    match words[0] {
        "NODATA" => {}
        "FORMERR" => flags |= 1,
        "SERVFAIL" => flags |= 2,
        "NXDOMAIN" => flags |= 3,
        "NOTIMP" => flags |= 4,
        "REFUSED" => flags |= 5,
        "NOTAUTH" => flags |= 9,
        // Neither recursive nor the zone's own: it leads elsewhere.
        "referral" => flags = 0x8100,
        "truncated" if over_udp => flags |= TRUNCATED,
        // The alias, then its target's addresses; or a chain.
        "alias" => {
            records.push(record(&asked, CNAME, &wire(words[1])));
            records.extend(addresses(&wire(words[1]), family, &words));
        }
        "aliases" => {
            records.push(record(&asked, CNAME, &wire("one.test")));
            records.push(record(&wire("one.test"), CNAME, &wire("two.test")));
            records.extend(addresses(&wire("two.test"), family, &words));
        }
        "text" => {
            records.push(record(&asked, TXT, b"\x02hi"));
            records.extend(addresses(&asked, family, &words));
        }
        // More records are announced than there are.
        "damaged" => {
            records.extend(addresses(&asked, family, &words));
            tail = vec![0x3f, b'x'];
        }
        _ => records = addresses(&asked, family, &words),
    }
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    let additional = [0, u8::from(!tail.is_empty())];
    let header = [&question[..2], &flags.to_be_bytes(), &[0, 1], &count, &[0, 0], &additional].concat();
    [header, question[12..end + 4].to_vec(), records.concat(), tail].concat()
}
