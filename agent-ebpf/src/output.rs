//! The ring buffer, and the count of what did not fit.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::AtomicU64;

use agent_ebpf::{Event, RING_BUFFER_LENGTH, kind};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::RingBuf;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BUFFER_LENGTH, 0);
/// Events that found the ring buffer full, and connects that found no room in the maps.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Hands an event to user space, filled in its place in the ring buffer, since a program has 512 bytes of stack; taken
/// back where `fill` gives `None`. The default flags wake user space only where it has read everything before: once a
/// drain.
#[inline(always)]
pub fn submit(kind: u32, fill: impl FnOnce(&mut Event) -> Option<()>) {
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        // User space asks for the count again.
        if kind != kind::COUNTERS {
            count_lost();
        }
        return;
    };
    let event = entry.write(Event::default());
    event.kind = kind;
    event.ended = now();
    // SAFETY: as in `count_lost`; LLVM has no atomic load for BPF, where every aligned load is one.
    event.lost = unsafe { ptr::read_volatile(LOST.as_ptr()) };
    match fill(event) {
        Some(()) => entry.submit(0),
        None => entry.discard(0), // Wakes too: without, no later event would stand where user space waits.
    }
}

/// LOST += 1, whole also beside other processors. Rust has no atomic read-modify-write for BPF; the machine has this one
/// since ever.
#[inline(always)]
pub fn count_lost() {
    // SAFETY: the address is that of a u64, in a map that every processor may write.
    unsafe {
        asm!(
            "lock *(u64 *)({place} + 0) += {one}",
            place = in(reg) LOST.as_ptr(),
            one = in(reg) 1_u64,
        );
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no arguments and always answers.
    unsafe { bpf_ktime_get_ns() }
}
