//! Shows by connects of its own that the redirect works, and learns from them how the programs see the daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use agent_ebpf::redirect::place;
use fib::socket_cookie;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, getsockname, socket_with, sockopt};

use super::arrays::Arrays;

/// A connect over loopback takes no time, where nothing drops its packets.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Loopback addresses at which the guard does not listen: a connect that is not redirected fails at once.
const ELSEWHERE: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V6(Ipv6Addr::LOCALHOST)];
/// Without an entry for the address family in the kernel's table sock_diag answers ENOENT, as where there is no such socket
/// (net/core/sock_diag.c and net/ipv4/inet_diag.c).
const NO_DIAG: &str = "sock_diag does not show the guard's own connection, so it would not know where connections go; are \
                       the kernel's modules inet_diag and tcp_diag there?";

/// Runs it; afterwards the daemon's own connects are left alone, and nothing is redirected.
pub fn run(arrays: &Arrays, listener: &TcpListener, address: SocketAddr) -> Result<(), String> {
    let mut outcome = Ok(());
    for ip in ELSEWHERE {
        outcome = one(arrays, listener, SocketAddr::new(ip, address.port()), address);
        arrays.set(place::TEST, 0);
        arrays.set(place::STAMP, 0);
        arrays.set_endpoints(&[]);
        if outcome.is_err() {
            break;
        }
    }
    outcome.map_err(|why| format!("the redirect's self-test failed: {why}"))
}

fn one(
    arrays: &Arrays,
    listener: &TcpListener,
    dialled: SocketAddr,
    address: SocketAddr,
) -> Result<(), String> {
    let words = |errno: Errno| errno.to_string();
    let family = if dialled.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let client = match socket_with(family, SocketType::STREAM, flags, None) {
        Err(Errno::AFNOSUPPORT) => return Ok(()), // Then nobody connects by it.
        client => client.map_err(words)?,
    };
    let cookie = sockopt::socket_cookie(&client).map_err(words)?;
    arrays.set_endpoints(&[dialled]);
    arrays.set(place::TEST, cookie);
    arrays.stamp();
    match connect(&client, &dialled) {
        Ok(()) | Err(Errno::INPROGRESS) => established(&client)?,
        // IPv6 is there and switched off.
        Err(Errno::ADDRNOTAVAIL | Errno::NETUNREACH) if dialled.is_ipv6() && !has_loopback6() => {
            return Ok(());
        }
        Err(errno) => return Err(words(errno)),
    }
    let (namespace, process) = (arrays.get(place::SEEN_NAMESPACE), arrays.get(place::SEEN_PROCESS));
    if namespace == 0 || process == 0 {
        return Err("the program did not see it".to_owned());
    }
    arrays.set(place::NAMESPACE, namespace);
    arrays.set(place::PROCESS, process);
    let client_address = getsockname(&client).ok().and_then(|any| SocketAddr::try_from(any).ok());
    let client_address = client_address.ok_or("its own address is not known")?;
    let found = socket_cookie(client_address, address).map_err(|error| format!("{NO_DIAG} ({error})"))?;
    if found != Some(cookie) {
        return Err(NO_DIAG.to_owned());
    }
    if arrays.original(cookie) != Some(dialled) {
        return Err(format!("the program did not keep what it dialled, {dialled}"));
    }
    take(listener, client_address)
}

fn established(client: &OwnedFd) -> Result<(), String> {
    let mut waited = [PollFd::new(client, PollFlags::OUT)];
    let count = poll(&mut waited, Some(&PATIENCE)).map_err(|errno| errno.to_string())?;
    if count == 0 {
        return Err("no answer over loopback within 1 s".to_owned());
    }
    match sockopt::socket_error(client) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(errno)) | Err(errno) => Err(errno.to_string()),
    }
}

/// Whether `::1` is there.
fn has_loopback6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Takes it out of the listener's queue. It is there: the client's side is established.
fn take(listener: &TcpListener, client: SocketAddr) -> Result<(), String> {
    let error = |error: std::io::Error| error.to_string();
    listener.set_nonblocking(true).map_err(error)?;
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    loop {
        let (_connection, peer) = listener.accept().map_err(error)?;
        if peer == client {
            return Ok(());
        }
    }
}
