//! Connections that IPA may speak on, and the way of their text to user space.

use agent_ebpf::tls::{FLOWS, PIECES_LENGTH, PIECES_OF_A_CALL, Piece, REQUEST_BUDGET, SLOT_LENGTH, kind};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{LruHashMap, RingBuf};

use crate::{kernel, output, tls_slots};

#[map]
static TLS_PIECES: RingBuf = RingBuf::with_byte_size(PIECES_LENGTH, 0);
/// The kernel forgets the oldest: a process that was killed has ended none.
#[map]
static TLS_FLOWS: LruHashMap<Key, Flow> = LruHashMap::with_max_entries(FLOWS, 0);

/// What a connection is known by. Another process may have an `SSL` at the same address.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Key {
    ssl: u64,
    process: u64,
}

/// A connection that is followed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Flow {
    born: u64,
    /// See [`REQUEST_BUDGET`].
    left: u64,
    /// The last write, while nothing was read since: where, how long, and its first bytes.
    written: [u64; 3],
    user: u32,
    network_namespace: u32,
    /// 1: something is missing since the last piece.
    lost: u64,
}

impl Key {
    /// Of the current process.
    #[inline(always)]
    pub fn of(ssl: u64) -> Self {
        Self { ssl, process: bpf_get_current_pid_tgid() >> 32 }
    }
}

/// The connection, where it is followed.
#[inline(always)]
pub fn find(key: &Key) -> Option<*mut Flow> {
    TLS_FLOWS.get_ptr_mut(key)
}

/// Follows it from now on.
#[inline(always)]
pub fn follow(key: &Key) -> Option<*mut Flow> {
    let flow = Flow {
        born: output::now(),
        left: 0,
        written: [0; 3],
        user: bpf_get_current_uid_gid() as u32,
        network_namespace: kernel::task_namespace(),
        lost: 0,
    };
    if TLS_FLOWS.insert(key, &flow, 0).is_err() {
        tls_slots::count_lost();
    }
    find(key)
}

/// A request that looks like one of IPA's begins.
///
/// # Safety
///
/// `flow` is the map's.
#[inline(always)]
pub unsafe fn allow(flow: *mut Flow) {
    // SAFETY: the caller's.
    unsafe { (*flow).left = REQUEST_BUDGET };
}

/// Whether this write is the last one, tried again: a socket that does not block had no room for it.
///
/// # Safety
///
/// `flow` is the map's.
#[inline(always)]
pub unsafe fn is_repeated(flow: *mut Flow, buffer: u64, length: u64, head: u64) -> bool {
    // SAFETY: the caller's.
    unsafe {
        let [last_buffer, last_length, last_head] = (*flow).written;
        (*flow).written = [buffer, length, head];
        last_buffer == buffer && last_length == length && last_head == head
    }
}

/// Something was read: the next write is another one.
///
/// # Safety
///
/// `flow` is the map's.
#[inline(always)]
pub unsafe fn forget_write(flow: *mut Flow) {
    // SAFETY: the caller's.
    unsafe { (*flow).written = [0; 3] };
}

/// Hands text over, in as many pieces as it takes.
///
/// # Safety
///
/// `flow` is the map's.
#[inline(always)]
pub unsafe fn hand_over(key: &Key, flow: *mut Flow, kind: u32, buffer: u64, length: u64) {
    // SAFETY: the caller's.
    unsafe {
        if length > (*flow).left {
            (*flow).left = 0;
            return lose(flow);
        }
        (*flow).left -= length;
        // One path through each round, or the verifier has to look at two to the power of all rounds.
        for round in 0..u64::from(PIECES_OF_A_CALL) {
            let offset = round * SLOT_LENGTH as u64;
            if offset >= length {
                return;
            }
            if submit(key, flow, kind, buffer + offset, length - offset).is_none() {
                return lose(flow);
            }
        }
        if length > u64::from(PIECES_OF_A_CALL) * SLOT_LENGTH as u64 {
            lose(flow);
        }
    }
}

#[inline(always)]
unsafe fn lose(flow: *mut Flow) {
    tls_slots::count_lost();
    // SAFETY: the caller's.
    unsafe { (*flow).lost = 1 };
}

/// One piece: as much of the text as a slot takes.
#[inline(always)]
unsafe fn submit(key: &Key, flow: *mut Flow, kind: u32, address: u64, length: u64) -> Option<()> {
    let mut entry = TLS_PIECES.reserve::<Piece>(0)?;
    let Some(slot) = tls_slots::take() else {
        entry.discard(0);
        return None;
    };
    let Some(length) = tls_slots::fill(slot, address, length) else {
        tls_slots::give_back(slot);
        entry.discard(0);
        return None;
    };
    // SAFETY: the caller's.
    unsafe {
        let piece = piece(key, flow, kind);
        entry.write(Piece { slot, length: length as u32, ..piece });
        (*flow).lost = 0;
    }
    entry.submit(0);
    Some(())
}

/// The connection ends.
#[inline(always)]
pub fn end(key: &Key) -> Option<()> {
    let flow = find(key)?;
    match TLS_PIECES.reserve::<Piece>(0) {
        Some(mut entry) => {
            // SAFETY: the flow is the map's.
            entry.write(unsafe { piece(key, flow, kind::END) });
            entry.submit(0);
        }
        None => tls_slots::count_lost(),
    }
    TLS_FLOWS.remove(key).ok()
}

#[inline(always)]
unsafe fn piece(key: &Key, flow: *mut Flow, kind: u32) -> Piece {
    // SAFETY: the caller's.
    unsafe {
        Piece {
            born: (*flow).born,
            ssl: key.ssl,
            process: key.process as u32,
            user: (*flow).user,
            network_namespace: (*flow).network_namespace,
            kind,
            slot: 0,
            length: 0,
            lost_before: (*flow).lost as u32,
            reserved: 0,
        }
    }
}
