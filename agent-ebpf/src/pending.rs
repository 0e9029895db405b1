//! Connects that go on after their call has returned: who made them, kept with the socket and freed with it. An error is reported
//! once, whichever processor sees it first.

use core::arch::asm;
use core::ptr;

use agent_ebpf::{Offset, kind, sureness};
use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use aya_ebpf::macros::btf_map;

use crate::caller::Caller;
use crate::kernel::Typed;
use crate::output::{self, What};
use crate::socket::Tcp;

#[btf_map]
static PENDING: SkStorage<Pending> = SkStorage::new();

/// [`Pending::outcome`]: nothing is to be reported.
const NOTHING: u64 = 0;
/// The connect is under way.
const WAITED_FOR: u64 = 1;
/// Its end was reported; the next connect of the socket may return the same error.
const REPORTED: u64 = 2;

/// A connect under way.
#[repr(C)]
pub struct Pending {
    /// Changed only by an exchange.
    outcome: u64,
    started: u64,
    caller: Caller,
}

/// Whether a socket has any storage: the cheap question, asked first.
#[inline(always)]
pub fn may_be(socket: Typed) -> bool {
    socket.load::<u64>(Offset::SocketStorage).is_some_and(|storage| storage != 0)
}

/// What is kept of a socket.
#[inline(always)]
pub fn find(socket: Typed) -> Option<*mut Pending> {
    get(socket, 0)
}

#[inline(always)]
fn get(socket: Typed, flags: u64) -> Option<*mut Pending> {
    let map = (&raw const PENDING).cast_mut();
    // SAFETY: the verifier knows the types of both pointers.
    let found =
        unsafe { bpf_sk_storage_get(map.cast(), socket.pointer().cast_mut(), ptr::null_mut(), flags) };
    let found = found.cast::<Pending>();
    (!found.is_null()).then_some(found)
}

/// A call has returned while its connect goes on. `again`: the call may have been one that went on with an earlier one.
#[inline(always)]
pub fn begin(socket: Typed, tcp: Tcp, network_namespace: u32, again: bool) -> Option<()> {
    let Some(pending) = get(socket, BPF_SK_STORAGE_GET_F_CREATE.into()) else {
        output::count_lost();
        return None;
    };
    let now = output::now();
    // SAFETY: the value is the map's. Nobody reads these fields before `outcome` says so.
    unsafe {
        if exchange(pending, NOTHING) == WAITED_FOR && !again {
            output::count_lost(); // Given up by shutdown(2) or a disconnect, which nobody tells.
        }
        let started = tcp.started(now);
        (&raw mut (*pending).started).write(if started == 0 { now } else { started });
        (&raw mut (*pending).caller).write(Caller::current(network_namespace));
        exchange(pending, WAITED_FOR);
    }
    // It may have ended before it was remembered.
    if tcp.error()? != 0 {
        failed(pending, tcp);
    }
    Some(())
}

/// The socket has an error: tells it, once.
#[inline(always)]
pub fn failed(pending: *mut Pending, tcp: Tcp) -> Option<()> {
    let errno = tcp.error().filter(|errno| *errno != 0)?;
    tell(pending, tcp, errno, sureness::SOCKET)
}

/// The socket goes, and nobody answered: the caller has given up, unless its error was reported.
#[inline(always)]
pub fn given_up(pending: *mut Pending, tcp: Tcp) -> Option<()> {
    let (errno, sureness) = tcp.outcome()?;
    tell(pending, tcp, errno, sureness)
}

/// Whether a call on this socket returned what was reported already; it is waited for no more.
#[inline(always)]
pub fn is_echo(pending: *mut Pending) -> bool {
    // SAFETY: the value is the map's.
    unsafe { exchange(pending, NOTHING) == REPORTED }
}

#[inline(always)]
fn tell(pending: *mut Pending, tcp: Tcp, errno: u32, sureness: u32) -> Option<()> {
    let (local, peer) = tcp.sides()?;
    // SAFETY: the value is the map's; it was written before the exchange that made it WAITED_FOR.
    unsafe {
        if exchange(pending, REPORTED) != WAITED_FOR {
            return None;
        }
        let what = What {
            kind: kind::CONNECT_FAILED,
            errno,
            sureness,
            started: (*pending).started,
            ended: output::now(),
            socket: tcp.address(),
            local,
            peer,
        };
        output::submit(what, &(*pending).caller);
    }
    Some(())
}

/// Sets [`Pending::outcome`] and gives what it was, in one step. Linux 5.12 has it; Rust has no word for it.
///
/// # Safety
///
/// `pending` is the map's.
#[inline(always)]
unsafe fn exchange(pending: *mut Pending, new: u64) -> u64 {
    let mut value = new;
    // SAFETY: the address is that of an aligned u64 in a map.
    unsafe {
        asm!(
            "{value} = xchg_64({place} + 0, {value})",
            place = in(reg) &raw mut (*pending).outcome,
            value = inout(reg) value,
        );
    }
    value
}
