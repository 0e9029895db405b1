//! What a change of a TCP socket's state means: connects from SYN_SENT to their end, and what reaches the advertised
//! port. Where the change is read from is another matter.

use agent_ebpf::{Event, Offset, kind, sureness};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_log_ebpf::warn;

use crate::connects::{CALLS, Caller, STARTS, Start};
use crate::{callback, kernel, output};

// include/net/tcp_states.h
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;

/// A change of state, read as far as it is asked for. `None` where that memory cannot be read.
pub trait Change {
    /// The program's context.
    fn context(&self) -> &impl EbpfContext;
    /// The address of the `struct sock`.
    fn socket(&self) -> Option<u64>;
    /// Whether it is a TCP socket.
    fn is_tcp(&self) -> Option<bool>;
    /// The port of this side.
    fn local_port(&self) -> Option<u16>;
    /// Writes family, addresses and ports.
    fn addresses(&self, event: &mut Event) -> Option<()>;
}

/// Takes a change of state in.
#[inline(always)]
pub fn follow(change: &impl Change, old: i32, new: i32) -> Option<()> {
    match (old, new) {
        (TCP_CLOSE, TCP_SYN_SENT) => begin(change),
        (TCP_SYN_SENT, TCP_CLOSE) => end(change),
        (TCP_SYN_SENT, _) => STARTS.remove(change.socket()?).ok(),
        (TCP_SYN_RECV, TCP_ESTABLISHED) => established(change),
        (TCP_CLOSE, TCP_LISTEN) => counters(change),
        _ => None,
    }
}

#[inline(always)]
fn begin(change: &impl Change) -> Option<()> {
    if !change.is_tcp()? {
        return None;
    }
    let socket = change.socket()?;
    let network_namespace = kernel::socket_namespace(socket)?;
    let (mut started, mut descriptor) = (0, -1);
    if let Some(call) = CALLS.get_ptr_mut(bpf_get_current_pid_tgid()) {
        // SAFETY: the map's value stays valid during the program, and only this thread's own programs write it.
        unsafe {
            (*call).socket = socket;
            (started, descriptor) = ((*call).started, (*call).descriptor);
        }
    }
    if started == 0 {
        started = output::now();
    }
    let start = Start { started, caller: Caller::current(descriptor), network_namespace, reserved: 0 };
    let inserted = STARTS.insert(socket, start, 0);
    if let Err(error) = inserted {
        output::count_lost();
        warn!(change.context(), "a connect cannot be remembered: error {}", error);
    }
    Some(())
}

#[inline(always)]
fn end(change: &impl Change) -> Option<()> {
    let socket = change.socket()?;
    // SAFETY: the entry belongs to this socket, whose state changes under its own lock.
    let start = unsafe { STARTS.get(socket) }?;
    let (errno, sureness) = match kernel::member::<i32>(socket, Offset::SocketError) {
        None => (0, sureness::UNKNOWN),
        Some(0) if still_in_call(socket) => return STARTS.remove(socket).ok(), // connect_exit tells it.
        Some(0) => match kernel::member::<i32>(socket, Offset::SocketHint) {
            Some(errno) if errno != 0 => (errno.unsigned_abs(), sureness::HINT),
            _ => (0, sureness::ABANDONED),
        },
        Some(errno) => (errno.unsigned_abs(), sureness::SOCKET),
    };
    output::submit(kind::CONNECT_FAILED, |event| {
        event.started = start.started;
        event.errno = errno;
        event.sureness = sureness;
        event.network_namespace = start.network_namespace;
        start.caller.describe(event);
        change.addresses(event)
    });
    STARTS.remove(socket).ok()
}

/// Whether this very thread is inside the connect of that socket. If so its call counts as one without a SYN.
#[inline(always)]
fn still_in_call(socket: u64) -> bool {
    let Some(call) = CALLS.get_ptr_mut(bpf_get_current_pid_tgid()) else {
        return false;
    };
    // SAFETY: as in `begin`.
    unsafe {
        let same = (*call).socket == socket;
        if same {
            (*call).socket = 0;
        }
        same
    }
}

#[inline(always)]
fn established(change: &impl Change) -> Option<()> {
    if change.local_port()? != callback::PORT.load() || !change.is_tcp()? {
        return None;
    }
    let socket = change.socket()?;
    let network_namespace = kernel::socket_namespace(socket)?;
    output::submit(kind::CALLBACK_ESTABLISHED, |event| {
        event.network_namespace = network_namespace;
        change.addresses(event)
    });
    Some(())
}

/// A listener is opened: rare, and the way in which user space asks for the counters once it may no longer call bpf(2).
#[inline(always)]
fn counters(change: &impl Change) -> Option<()> {
    let socket = change.socket()?;
    let network_namespace = kernel::socket_namespace(socket)?;
    output::submit(kind::COUNTERS, |event| {
        event.network_namespace = network_namespace;
        Some(())
    });
    Some(())
}
