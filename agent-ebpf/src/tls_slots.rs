//! The slots that plain text is handed over in, and the count of what was lost.

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

use agent_ebpf::redirect::MAPPABLE;
use agent_ebpf::tls::{Control, SLOT_LENGTH, SLOTS};
use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};

#[map]
static TLS_SLOTS: Array<[u8; SLOT_LENGTH]> = Array::with_max_entries(SLOTS, MAPPABLE);
#[map]
static TLS_CONTROL: Array<Control> = Array::with_max_entries(1, MAPPABLE);
/// A slot's number stands here while it is being taken. To insert what is not there is the one test-and-set that Linux 5.8
/// has for Rust.
#[map]
static TLS_LOCKS: HashMap<u32, u32> = HashMap::with_max_entries(SLOTS, 0);

/// So many slots are tried. User space frees them in the order in which they were taken.
const TRIES: u32 = 4;

/// Takes a free slot.
#[inline(always)]
pub fn take() -> Option<u32> {
    let control = TLS_CONTROL.get_ptr_mut(0)?;
    for _ in 0..TRIES {
        // SAFETY: the pointer is the map's; a slot is less than their number. User space writes whole words, and so do we.
        unsafe {
            let next = &raw mut (*control).next;
            let slot = read_volatile(next) & u64::from(SLOTS - 1);
            write_volatile(next, slot + 1);
            let taken = (&raw mut (*control).taken).cast::<u64>().add(slot as usize);
            if read_volatile(taken) == 0 && TLS_LOCKS.insert(&(slot as u32), &0, BPF_NOEXIST.into()).is_ok() {
                let free = read_volatile(taken) == 0;
                if free {
                    write_volatile(taken, 1);
                }
                let _ = TLS_LOCKS.remove(&(slot as u32));
                if free {
                    return Some(slot as u32);
                }
            }
        }
    }
    None
}

/// Gives one back that has no text.
#[inline(always)]
pub fn give_back(slot: u32) {
    if let Some(control) = TLS_CONTROL.get_ptr_mut(0) {
        // SAFETY: as in `take`.
        unsafe {
            let taken = (&raw mut (*control).taken).cast::<u64>();
            write_volatile(taken.add((slot & (SLOTS - 1)) as usize), 0);
        }
    }
}

/// Copies memory of the process into a slot, as much of it as fits; gives how much that is.
#[inline(always)]
pub fn fill(slot: u32, address: u64, length: u64) -> Option<u64> {
    let slot = TLS_SLOTS.get_ptr_mut(slot)?;
    // Bits, where a comparison would not show the verifier of older kernels how long it is.
    let length =
        if length >= SLOT_LENGTH as u64 { SLOT_LENGTH as u64 } else { length & (SLOT_LENGTH as u64 - 1) };
    // SAFETY: the slot is the map's and has this length; the helper checks the other address.
    let result = unsafe { bpf_probe_read_user(slot.cast(), length as u32, address as *const _) };
    (result == 0).then_some(length)
}

/// One call more of which something is missing.
#[inline(always)]
pub fn count_lost() {
    if let Some(control) = TLS_CONTROL.get_ptr_mut(0) {
        // SAFETY: the address is that of a u64, in a map that every processor may write. As in `output::count_lost`.
        unsafe {
            asm!(
                "lock *(u64 *)({place} + 0) += {one}",
                place = in(reg) &raw mut (*control).lost,
                one = in(reg) 1_u64,
            );
        }
    }
}
