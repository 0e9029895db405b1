//! What the programs on libssl and user space share. Plain text lies in slots, which user space maps and wipes. A ring
//! buffer, whose pages user space cannot write, carries only their numbers.

use core::mem::{offset_of, size_of};

/// How many slots there are; a power of two.
pub const SLOTS: u32 = 128;
/// The length of a slot in bytes; a power of two.
pub const SLOT_LENGTH: usize = 4096;
/// One call of libssl fills so many slots at most: 64 KiB, four records of TLS (RFC 8446, section 5.1).
pub const PIECES_OF_A_CALL: u32 = 16;
/// Connections that are followed at once.
pub const FLOWS: u32 = 2048;
/// So much of a connection is taken after each request that looks like one of IPA's, in bytes of both directions.
pub const REQUEST_BUDGET: u64 = 1024 * 1024;
/// The length of the ring buffer in bytes: a thousand pieces, more than there are slots.
pub const PIECES_LENGTH: u32 = 64 * 1024;
/// The length of a [`Piece`] in the ring buffer, in bytes.
pub const PIECE_LENGTH: usize = size_of::<Piece>();

/// What a piece is: the values of [`Piece::kind`].
pub mod kind {
    /// Text that the process sent.
    pub const OUT: u32 = 1;
    /// Text that it received.
    pub const IN: u32 = 2;
    /// The connection's end; it has no slot.
    pub const END: u32 = 3;
}

/// One piece of a connection, as it stands in the ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// When the connection was first seen: CLOCK_MONOTONIC in nanoseconds.
    pub born: u64,
    /// The address of its `SSL` in the process.
    pub ssl: u64,
    /// The process, as the first pid namespace numbers it.
    pub process: u32,
    /// Its real user id.
    pub user: u32,
    /// The inode number of its network namespace; 0 where that is not known.
    pub network_namespace: u32,
    /// See [`kind`].
    pub kind: u32,
    /// The number of the slot.
    pub slot: u32,
    /// How many bytes of the slot are text.
    pub length: u32,
    /// 1: something of this connection is missing before it.
    pub lost_before: u32,
    /// Keeps the layout free of holes.
    pub reserved: u32,
}

/// The array beside the slots, word by word.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Calls of libssl of which text is missing, since the start.
    pub lost: u64,
    /// Where the programs look first for a free slot.
    pub next: u64,
    /// 1 for a slot that has text; the programs set it, user space clears it once the slot is wiped.
    pub taken: [u64; SLOTS as usize],
}

/// The length of [`Control`], counted in units of 8 bytes.
pub const CONTROL_WORDS: usize = size_of::<Control>() / 8;
/// The place of [`Control::lost`], counted in units of 8 bytes.
pub const LOST: usize = offset_of!(Control, lost) / 8;
/// The place of the first of [`Control::taken`], counted in units of 8 bytes.
pub const TAKEN: usize = offset_of!(Control, taken) / 8;

// A hole would put kernel stack bytes into the ring buffer, which the verifier refuses.
const _: () = assert!(offset_of!(Piece, reserved) + 4 == PIECE_LENGTH);

impl Piece {
    /// Reads a piece from the ring buffer; `None` where the length is another.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != PIECE_LENGTH {
            return None;
        }
        let word = |offset: usize| Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?));
        let half = |offset: usize| Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?));
        Some(Self {
            born: word(offset_of!(Self, born))?,
            ssl: word(offset_of!(Self, ssl))?,
            process: half(offset_of!(Self, process))?,
            user: half(offset_of!(Self, user))?,
            network_namespace: half(offset_of!(Self, network_namespace))?,
            kind: half(offset_of!(Self, kind))?,
            slot: half(offset_of!(Self, slot))?,
            length: half(offset_of!(Self, length))?,
            lost_before: half(offset_of!(Self, lost_before))?,
            reserved: half(offset_of!(Self, reserved))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_piece_belongs_to_one_field() {
        let mut bytes = [0; PIECE_LENGTH];
        for (value, byte) in (0u8..).zip(bytes.iter_mut()) {
            *byte = value;
        }
        let piece = Piece::read(&bytes).unwrap();
        let half = |start: u8| u32::from_ne_bytes([start, start + 1, start + 2, start + 3]);
        assert_eq!(piece.born, u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(piece.ssl, u64::from_ne_bytes([8, 9, 10, 11, 12, 13, 14, 15]));
        assert_eq!(
            [piece.process, piece.user, piece.network_namespace, piece.kind],
            [16, 20, 24, 28].map(half)
        );
        assert_eq!([piece.slot, piece.length, piece.lost_before, piece.reserved], [32, 36, 40, 44].map(half));
        assert_eq!(Piece::read(&bytes[1..]), None);
        assert_eq!(Piece::read(&[]), None);
    }
}
