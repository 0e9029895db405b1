//! syscalls:sys_exit_connect: connects that failed before a SYN was sent, which no socket state tells.

use agent_ebpf::{Event, Offset, kind, sureness};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::connects::{CALLS, Caller};
use crate::{kernel, output};

// include/uapi/asm-generic/errno-base.h and errno.h: what says nothing about reaching anybody.
const NO_FAILURE: [i64; 7] = [
    4,   // EINTR
    9,   // EBADF
    14,  // EFAULT
    88,  // ENOTSOCK
    106, // EISCONN
    114, // EALREADY
    115, // EINPROGRESS
];
/// MAX_ERRNO that user space ever sees; above are the kernel's own, like ERESTARTSYS.
const LAST_ERRNO: i64 = 511;

/// The program.
#[tracepoint(category = "syscalls", name = "sys_exit_connect")]
pub fn connect_exit(context: TracePointContext) -> u32 {
    let _ = try_connect_exit(&context);
    0
}

#[inline(always)]
fn try_connect_exit(context: &TracePointContext) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: only this thread's own programs write its entry.
    let call = unsafe { CALLS.get(thread) }.copied();
    let _ = CALLS.remove(thread);
    let errno = -kernel::field::<i64>(context, Offset::ExitResult)?;
    if errno <= 0 || errno > LAST_ERRNO || NO_FAILURE.contains(&errno) {
        return None;
    }
    let Some(call) = call else {
        // It found no room, or began before this program was there.
        if kernel::current_task_counts() {
            output::count_lost();
        }
        return None;
    };
    if call.socket != 0 {
        return None; // The socket's state told it.
    }
    let family: u16 = user(call.address, 0)?;
    if family != kernel::AF_INET && family != kernel::AF_INET6 {
        return None;
    }
    let socket = stream_socket(call.descriptor)?;
    let network_namespace = kernel::socket_namespace(socket)?;
    output::submit(kind::CONNECT_REFUSED_HERE, |event| {
        event.started = call.started;
        event.errno = errno as u32;
        event.sureness = sureness::CALL;
        event.network_namespace = network_namespace;
        Caller::current(call.descriptor).describe(event);
        peer(family, call.address, event)
    });
    Some(())
}

/// The `struct sock` behind a descriptor of the current task, if it is a stream socket. Datagram sockets "connect" too,
/// and fail so whenever a resolver tries whether there is a route.
#[inline(always)]
fn stream_socket(descriptor: i32) -> Option<u64> {
    // SAFETY: the helper has no arguments and always answers.
    let task = unsafe { aya_ebpf::helpers::generated::bpf_get_current_task() };
    let files: u64 = kernel::member(task, Offset::TaskFiles)?;
    let table: u64 = kernel::member(files, Offset::FilesTable)?;
    let array: u64 = kernel::member(table, Offset::TableFiles)?;
    let file: u64 = kernel::read(array, 8 * u64::try_from(descriptor).ok()?)?;
    let socket: u64 = kernel::member(file, Offset::FileData)?;
    let kind: u16 = kernel::member(socket, Offset::SocketType)?;
    if kind != kernel::SOCK_STREAM {
        return None;
    }
    kernel::member(socket, Offset::SocketInner)
}

/// Reads the `struct sockaddr_in` or `sockaddr_in6` that connect was called with.
#[inline(always)]
fn peer(family: u16, address: u64, event: &mut Event) -> Option<()> {
    event.family = family;
    event.peer_port = u16::from_be(user(address, 2)?);
    event.peer_address =
        if family == kernel::AF_INET { kernel::mapped(user(address, 4)?) } else { user(address, 8)? };
    Some(())
}

#[inline(always)]
fn user<T>(address: u64, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address; T is plain data.
    unsafe { bpf_probe_read_user((address + offset) as *const T) }.ok()
}
