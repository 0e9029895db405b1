//! The slots that the daemon shares with the programs (see `agent_ebpf::tls`): read once, then wiped.

use std::ops::Range;
use std::sync::atomic::Ordering;

use agent_ebpf::tls::{CONTROL_WORDS, LOST, SLOT_LENGTH, SLOTS, TAKEN};
use aya::Ebpf;
use zeroize::Zeroizing;

use crate::probes::Unavailable;
use crate::probes::load::map_array;
use crate::system::SharedWords;

/// Words of a slot.
const SLOT_WORDS: usize = SLOT_LENGTH / 8;

/// The slots and the words beside them, mapped.
#[derive(Debug)]
pub struct Slots {
    text: SharedWords,
    control: SharedWords,
}

impl Slots {
    /// Maps them.
    ///
    /// # Errors
    /// Where the object has no such maps, or the kernel (before Linux 5.5) does not map them.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self, Unavailable> {
        Ok(Self {
            text: map_array(ebpf, "TLS_SLOTS", SLOT_WORDS * SLOTS as usize)?,
            control: map_array(ebpf, "TLS_CONTROL", CONTROL_WORDS)?,
        })
    }

    /// Takes the text out of a slot, wipes it, and lets the programs have it again. `None` for no slot, or a length that
    /// none has.
    pub fn take(&self, slot: u32, length: u32) -> Option<Zeroizing<Vec<u8>>> {
        let (slot, length) = (usize::try_from(slot).ok()?, usize::try_from(length).ok()?);
        if slot >= SLOTS as usize || length > SLOT_LENGTH {
            return None;
        }
        let words = length.div_ceil(8);
        // Its full length at once: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(words * 8));
        for word in self.text.words().get(range(slot, words))? {
            bytes.extend_from_slice(&word.swap(0, Ordering::Acquire).to_ne_bytes());
        }
        bytes.truncate(length);
        if let Some(taken) = self.control.words().get(TAKEN + slot) {
            taken.store(0, Ordering::Release);
        }
        Some(bytes)
    }

    /// Calls of libssl of which text is missing, since the start.
    pub fn lost(&self) -> u64 {
        self.control.words().get(LOST).map_or(0, |lost| lost.load(Ordering::Acquire))
    }

    /// Whether no slot has any text.
    pub fn are_empty(&self) -> bool {
        self.text.words().iter().all(|word| word.load(Ordering::Acquire) == 0)
    }

    /// Wipes all of them; the programs must be detached.
    pub fn wipe(&self) {
        for word in self.text.words() {
            word.store(0, Ordering::Release);
        }
    }
}

fn range(slot: usize, words: usize) -> Range<usize> {
    slot * SLOT_WORDS..slot * SLOT_WORDS + words
}
