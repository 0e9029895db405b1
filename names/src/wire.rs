//! One question to the servers of resolv.conf, one server after the other as glibc asks them (`resolv/res_send.c`). The
//! sockets are connected: the kernel takes answers from that server only, and says where nobody listens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};

use super::message::{Answer, Question, Said};
use super::resolv_conf::{Config, Server};

/// RFC 1035, 4.2.
const PORT: u16 = 53;
/// A datagram can be lost: while a server is silent it is sent again so often.
const AGAIN: Duration = Duration::from_secs(2);
/// More than any server sends over UDP to one that offers at most 1200.
const DATAGRAM: usize = 4096;
const SERVFAIL: u8 = 2;

/// Why nobody said anything that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of the last server.
    pub text: String,
    /// The last answer, whoever gave it, was SERVFAIL.
    pub servfail: bool,
}

/// Asks the servers in their order, as often as resolv.conf says, until one says something that counts.
pub async fn ask(config: &Config, question: &Question) -> Result<Said, Trouble> {
    let mut trouble = Trouble { text: "there is no name server".to_owned(), servfail: false };
    let attempts = if config.tcp_only { 1 } else { config.attempts };
    for _ in 0..attempts {
        for (place, server) in config.servers.iter().enumerate() {
            let patience = config.patience(place);
            match ask_one(config, server, question, patience).await {
                Ok(Answer::Said(said)) => return Ok(said),
                Ok(Answer::Refused(code)) => {
                    trouble.text = format!("the name server {} {}", server.ip, refusal(code));
                    trouble.servfail = code == SERVFAIL;
                }
                Ok(Answer::Foreign | Answer::Truncated) => {
                    trouble.text = format!("the name server {} does not give the whole answer", server.ip);
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    trouble.text = format!("the name server {} does not answer", server.ip);
                }
                Err(error) => {
                    trouble.text = format!("the name server {} cannot be asked: {error}", server.ip)
                }
            }
        }
    }
    Err(trouble)
}

/// What an RCODE means (RFC 1035, 4.1.1).
fn refusal(code: u8) -> &'static str {
    match code {
        SERVFAIL => "fails (SERVFAIL)",
        4 => "does not know such questions (NOTIMP)",
        5 => "refuses to answer (REFUSED)",
        _ => "only leads to other servers",
    }
}

async fn ask_one(
    config: &Config,
    server: &Server,
    question: &Question,
    patience: Duration,
) -> io::Result<Answer> {
    let to = address(server).await;
    if !config.tcp_only {
        let answer = over_udp(to, question, Instant::now() + patience).await?;
        if answer != Answer::Truncated {
            return Ok(answer);
        }
    }
    timeout(patience, over_tcp(to, question)).await?
}

async fn over_udp(to: SocketAddr, question: &Question, end: Instant) -> io::Result<Answer> {
    let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        socket.send(question.bytes()).await?;
        let again = end.min(Instant::now() + AGAIN);
        while let Ok(received) = timeout_at(again, socket.recv(&mut datagram)).await {
            match question.read(datagram.get(..received?).unwrap_or_default(), false) {
                Answer::Foreign => {}
                answer => return Ok(answer),
            }
        }
        if again == end {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// RFC 1035, 4.2.2: each message behind its length.
async fn over_tcp(to: SocketAddr, question: &Question) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(to).await?;
    let length = u16::try_from(question.bytes().len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question.bytes()].concat()).await?;
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).await?;
        match question.read(&message, true) {
            Answer::Foreign => {}
            answer => return Ok(answer),
        }
    }
}

/// A zone counts for link-local addresses only, by the index that its device has now. glibc ignores one that is not there;
/// the connect fails then.
async fn address(server: &Server) -> SocketAddr {
    let ip = match server.ip {
        IpAddr::V6(ip) => ip,
        ip => return SocketAddr::new(ip, PORT),
    };
    let scope = match &server.zone {
        Some(zone) if ip.is_unicast_link_local() => {
            let name = zone.clone();
            // A driver may hold the kernel's lock for seconds: on a thread of its own, and not for longer than that.
            let asked = timeout(AGAIN, tokio::task::spawn_blocking(move || index(&name)));
            asked.await.ok().and_then(Result::ok).flatten().or_else(|| zone.parse().ok())
        }
        Some(zone) => zone.parse().ok(),
        None => None,
    };
    SocketAddrV6::new(ip, PORT, 0, scope.unwrap_or(0)).into()
}

fn index(device: &str) -> Option<u32> {
    let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    netdevice::name_to_index(socket, device).ok()
}
