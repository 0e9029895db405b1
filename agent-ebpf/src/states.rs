//! What a change of a TCP socket's state means: connects from SYN_SENT to their end, and what reaches the advertised
//! port. For kernels on which the call of connect(2) itself cannot be seen. Where the change is read from is another matter.

use agent_ebpf::kind;
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_log_ebpf::warn;

use crate::caller::Caller;
use crate::output::{self, Side, What};

/// Connects under way at once. What does not fit counts as lost; a map that forgets the oldest would do so in silence, and
/// costs half as much again.
const ENTRIES: u32 = 4096;

// include/net/tcp_states.h
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;

/// A socket in SYN_SENT.
#[repr(C)]
#[derive(Clone, Copy)]
struct Start {
    started: u64,
    caller: Caller,
}

/// By the socket's address.
#[map]
static STARTS: HashMap<u64, Start> = HashMap::with_max_entries(ENTRIES, 0);

/// A change of state, read as far as it is asked for. `None` where that memory cannot be read.
pub trait Change {
    /// The program's context.
    fn context(&self) -> &impl EbpfContext;
    /// The address of the `struct sock`.
    fn address(&self) -> Option<u64>;
    /// The inode number of its network namespace if it is a TCP socket in the one that counts; 0 where that is unknown.
    fn namespace(&self) -> Option<u32>;
    /// How a connect ended that began then: its errno and how sure that is; `None` where it had sent nothing.
    fn outcome(&self, started: u64) -> Option<(u32, u32)>;
    /// This side and the other.
    fn sides(&self) -> Option<(Side, Side)>;
    /// A connection was accepted by a listener.
    fn established(&self) -> Option<()>;
}

/// Takes a change of state in.
#[inline(always)]
pub fn follow(change: &impl Change, old: i32, new: i32) -> Option<()> {
    match (old, new) {
        (TCP_CLOSE, TCP_SYN_SENT) => begin(change),
        (TCP_SYN_SENT, TCP_CLOSE) => end(change),
        (TCP_SYN_SENT, _) => STARTS.remove(change.address()?).ok(),
        (TCP_SYN_RECV, TCP_ESTABLISHED) => change.established(),
        _ => None,
    }
}

#[inline(always)]
fn begin(change: &impl Change) -> Option<()> {
    let start = Start { caller: Caller::current(change.namespace()?), started: output::now() };
    if let Err(error) = STARTS.insert(change.address()?, start, 0) {
        output::count_lost();
        warn!(change.context(), "a connect cannot be remembered: error {}", error);
    }
    Some(())
}

#[inline(always)]
fn end(change: &impl Change) -> Option<()> {
    let socket = change.address()?;
    // SAFETY: the entry belongs to this socket, whose state changes under its own lock.
    let start = unsafe { STARTS.get(socket) }?;
    if let Some((errno, sureness)) = change.outcome(start.started)
        && let Some((local, peer)) = change.sides()
    {
        let what = What {
            kind: kind::CONNECT_FAILED,
            errno,
            sureness,
            started: start.started,
            ended: output::now(),
            socket,
            local,
            peer,
        };
        output::submit(what, &start.caller);
    }
    STARTS.remove(socket).ok()
}
