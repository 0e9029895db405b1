//! fexit/inet_stream_connect: every way in which a call of connect(2) can fail, as its caller sees it. It is called through a
//! table of functions, so the compiler cannot have inlined it, and only sockets of streams pay.

use agent_ebpf::{Offset, kind, sureness};
use aya_ebpf::macros::fexit;
use aya_ebpf::programs::FExitContext;

use crate::caller::Caller;
use crate::kernel::{self, Typed};
use crate::output::{self, Side, What};
use crate::pending;
use crate::socket::{TCP_CLOSE, TCP_SYN_SENT, Tcp};

// include/uapi/asm-generic/errno-base.h and errno.h.
const EINTR: u32 = 4;
const EFAULT: u32 = 14;
const EISCONN: u32 = 106;
const EALREADY: u32 = 114;
const EINPROGRESS: u32 = 115;
/// include/linux/errno.h: becomes EINTR, or the call is made once more.
const ERESTARTSYS: u32 = 512;

/// The lengths of `struct sockaddr_in` and of `sockaddr_in6` without its last field, which is the least that the kernel
/// takes (`SIN6_LEN_RFC2133`).
const LENGTH4: i32 = 16;
const LENGTH6: i32 = 24;

/// The program: `int inet_stream_connect(struct socket *sock, struct sockaddr *uaddr, int addr_len, int flags)`.
#[fexit(function = "inet_stream_connect")]
pub fn connect_exit(context: FExitContext) -> i32 {
    let result: i32 = context.arg(4);
    if result < 0 {
        let _ = failed(&context, result.unsigned_abs());
    }
    0
}

#[inline(always)]
fn failed(context: &FExitContext, errno: u32) -> Option<()> {
    if errno == EALREADY || errno == EISCONN || errno == EFAULT || errno > ERESTARTSYS {
        return None;
    }
    let socket = Typed::new(context.arg(0))?.follow(Offset::SocketInner)?;
    let network_namespace = kernel::socket_namespace(socket)?;
    let tcp = Tcp::of(socket)?;
    if errno == EINPROGRESS || errno == EINTR || errno == ERESTARTSYS {
        return goes_on(socket, tcp, network_namespace, errno != EINPROGRESS);
    }
    if is_echo(socket) {
        return None;
    }
    let peer = peer(Typed::new(context.arg(1))?, context.arg(2))?;
    let ended = output::now();
    let started = tcp.started(ended);
    let what = What {
        kind: kind::CALL_FAILED,
        errno,
        // Without a SYN it is this machine that refuses.
        sureness: if started == 0 { sureness::CALL } else { sureness::SOCKET },
        started: if started == 0 { ended } else { started },
        ended,
        socket: tcp.address(),
        local: Side::NONE, // The kernel has cleared it.
        peer,
    };
    output::submit(what, &Caller::current(network_namespace));
    Some(())
}

/// The call has returned before its connect ended, or at least before it knew so.
#[inline(always)]
fn goes_on(socket: Typed, tcp: Tcp, network_namespace: u32, again: bool) -> Option<()> {
    match tcp.state()? {
        TCP_SYN_SENT => pending::begin(socket, tcp, network_namespace, again),
        TCP_CLOSE => ended_meanwhile(socket, tcp, network_namespace),
        _ => None,
    }
}

/// An answer came inside the call, as on loopback. A socket that nobody has to remember costs half.
#[inline(always)]
fn ended_meanwhile(socket: Typed, tcp: Tcp, network_namespace: u32) -> Option<()> {
    if is_echo(socket) {
        return None;
    }
    let (errno, sureness) = tcp.outcome()?;
    let (local, peer) = tcp.sides()?;
    let ended = output::now();
    let started = tcp.started(ended);
    let what = What {
        kind: kind::CONNECT_FAILED,
        errno,
        sureness,
        started: if started == 0 { ended } else { started },
        ended,
        socket: tcp.address(),
        local,
        peer,
    };
    output::submit(what, &Caller::current(network_namespace));
    Some(())
}

/// Whether what the call returns was reported already.
#[inline(always)]
fn is_echo(socket: Typed) -> bool {
    pending::may_be(socket) && pending::find(socket).is_some_and(pending::is_echo)
}

/// Where the call was to go, as it was called with: a `struct sockaddr_in` or `sockaddr_in6`, which the kernel has copied.
#[inline(always)]
fn peer(address: Typed, length: i32) -> Option<Side> {
    let family: u16 = address.load_at(0)?;
    let port = u16::from_be(address.load_at(2)?);
    let address = match family {
        kernel::AF_INET if length >= LENGTH4 => kernel::mapped(address.load_at(4)?),
        // Longer than the type that the verifier knows.
        kernel::AF_INET6 if length >= LENGTH6 => kernel::read(address.pointer() as u64, 8)?,
        _ => return None,
    };
    Some(Side { address, port })
}
