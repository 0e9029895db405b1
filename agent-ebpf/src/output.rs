//! The ring buffer, and the count of what did not fit.

use core::arch::asm;

use agent_ebpf::redirect::MAPPABLE;
use agent_ebpf::{Event, RING_BUFFER_LENGTH};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};

use crate::caller::Caller;
use crate::kernel::Words;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BUFFER_LENGTH, 0);
/// Events that found the ring buffer full, and connects that could not be remembered. User space maps it: without
/// privilege many kernels refuse to have a map read by bpf(2).
#[map]
static LOST: Array<u64> = Array::with_max_entries(1, MAPPABLE);

/// What an event says besides who connected.
pub struct What {
    /// See [`agent_ebpf::kind`].
    pub kind: u32,
    /// See [`Event::errno`].
    pub errno: u32,
    /// See [`agent_ebpf::sureness`].
    pub sureness: u32,
    /// See [`Event::started`].
    pub started: u64,
    /// See [`Event::ended`].
    pub ended: u64,
    /// See [`Event::socket`].
    pub socket: u64,
    /// This side.
    pub local: Side,
    /// The other side.
    pub peer: Side,
}

/// An address and a port.
#[derive(Clone, Copy)]
pub struct Side {
    /// See [`Event::peer_address`]; as words of 8 bytes, because bytes would be copied one by one.
    pub address: Words,
    /// In the machine's byte order.
    pub port: u16,
}

impl Side {
    /// What is not reported.
    pub const NONE: Self = Self { address: [0; 2], port: 0 };
}

/// Hands an event to user space: each field is written once, into its place in the ring buffer. The default flags wake user
/// space only where it has read everything before: once a drain.
#[inline(always)]
pub fn submit(what: What, caller: &Caller) {
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        return count_lost();
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the entry has room for an event, and every field of it is written.
    unsafe {
        (&raw mut (*event).started).write(what.started);
        (&raw mut (*event).ended).write(what.ended);
        (&raw mut (*event).cgroup).write(caller.cgroup);
        (&raw mut (*event).socket).write(what.socket);
        put((&raw mut (*event).local_address).cast(), what.local.address);
        put((&raw mut (*event).peer_address).cast(), what.peer.address);
        put((&raw mut (*event).comm).cast(), caller.comm);
        (&raw mut (*event).kind).write(what.kind);
        (&raw mut (*event).errno).write(what.errno);
        (&raw mut (*event).sureness).write(what.sureness);
        (&raw mut (*event).process).write((caller.thread >> 32) as u32);
        (&raw mut (*event).thread).write(caller.thread as u32);
        (&raw mut (*event).user).write(caller.user);
        (&raw mut (*event).network_namespace).write(caller.network_namespace);
        (&raw mut (*event).local_port).write(what.local.port);
        (&raw mut (*event).peer_port).write(what.peer.port);
    }
    entry.submit(0);
}

/// Writes words one by one: else they become a call of memset(3), which the object brings along and which goes byte by byte.
///
/// # Safety
///
/// There is room for them.
#[inline(always)]
unsafe fn put(place: *mut u64, words: Words) {
    let [first, second] = words;
    // SAFETY: the caller's.
    unsafe {
        place.write_volatile(first);
        place.add(1).write_volatile(second);
    }
}

/// LOST += 1, whole also beside other processors. Rust has no atomic read-modify-write for BPF; the machine has this one
/// since ever.
#[inline(always)]
pub fn count_lost() {
    if let Some(place) = LOST.get_ptr_mut(0) {
        // SAFETY: the address is that of a u64, in a map that every processor may write.
        unsafe {
            asm!("lock *(u64 *)({place} + 0) += {one}", place = in(reg) place, one = in(reg) 1_u64);
        }
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no arguments and always answers.
    unsafe { bpf_ktime_get_ns() }
}
