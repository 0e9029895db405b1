//! sock:inet_sock_set_state: connects from SYN_SENT to their end, and what reaches the advertised port.

use agent_ebpf::{Event, Offset, kind, sureness};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;
use aya_log_ebpf::warn;

use crate::connects::{CALLS, Caller, STARTS, Start};
use crate::{callback, kernel, output};

// include/net/tcp_states.h
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;

/// The program.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn set_state(context: TracePointContext) -> u32 {
    let _ = try_set_state(&context);
    0
}

#[inline(always)]
fn try_set_state(context: &TracePointContext) -> Option<()> {
    let old: i32 = kernel::field(context, Offset::StateOld)?;
    let new: i32 = kernel::field(context, Offset::StateNew)?;
    match (old, new) {
        (TCP_CLOSE, TCP_SYN_SENT) if is_tcp(context)? => begin(context),
        (TCP_SYN_SENT, TCP_CLOSE) => end(context),
        (TCP_SYN_SENT, _) => {
            let socket: u64 = kernel::field(context, Offset::StateSocket)?;
            STARTS.remove(socket).ok()
        }
        (TCP_SYN_RECV, TCP_ESTABLISHED) => established(context),
        (TCP_CLOSE, TCP_LISTEN) => counters(context),
        _ => None,
    }
}

#[inline(always)]
fn is_tcp(context: &TracePointContext) -> Option<bool> {
    let protocol = if kernel::offset(Offset::StateProtocolLength)? == 1 {
        u16::from(kernel::field::<u8>(context, Offset::StateProtocol)?)
    } else {
        kernel::field(context, Offset::StateProtocol)?
    };
    Some(protocol == kernel::IPPROTO_TCP)
}

#[inline(always)]
fn begin(context: &TracePointContext) -> Option<()> {
    let socket: u64 = kernel::field(context, Offset::StateSocket)?;
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
        warn!(context, "a connect cannot be remembered: error {}", error);
    }
    Some(())
}

#[inline(always)]
fn end(context: &TracePointContext) -> Option<()> {
    let socket: u64 = kernel::field(context, Offset::StateSocket)?;
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
        addresses(context, event)
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
fn established(context: &TracePointContext) -> Option<()> {
    let port: u16 = kernel::field(context, Offset::StateLocalPort)?;
    if port != callback::PORT.load() || !is_tcp(context)? {
        return None;
    }
    let socket: u64 = kernel::field(context, Offset::StateSocket)?;
    let network_namespace = kernel::socket_namespace(socket)?;
    output::submit(kind::CALLBACK_ESTABLISHED, |event| {
        event.network_namespace = network_namespace;
        addresses(context, event)
    });
    Some(())
}

#[inline(always)]
fn addresses(context: &TracePointContext, event: &mut Event) -> Option<()> {
    event.family = kernel::field(context, Offset::StateFamily)?;
    event.local_port = kernel::field(context, Offset::StateLocalPort)?;
    event.peer_port = kernel::field(context, Offset::StatePeerPort)?;
    event.local_address = kernel::field(context, Offset::StateLocalAddress)?;
    event.peer_address = kernel::field(context, Offset::StatePeerAddress)?;
    Some(())
}

/// A listener is opened: rare, and the way in which user space asks for the counters once it may no longer call bpf(2).
#[inline(always)]
fn counters(context: &TracePointContext) -> Option<()> {
    let socket: u64 = kernel::field(context, Offset::StateSocket)?;
    let network_namespace = kernel::socket_namespace(socket)?;
    output::submit(kind::COUNTERS, |event| {
        event.network_namespace = network_namespace;
        Some(())
    });
    Some(())
}
