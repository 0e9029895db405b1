//! An allocator that counts, for tests of how much memory a piece of work takes.
#![allow(unsafe_code)] // An allocator cannot be written without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted: for `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

/// What was allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocated {
    /// The most bytes at one time, beyond those at the beginning.
    pub peak: usize,
    /// How often more memory was asked for.
    pub calls: usize,
}

/// Runs it, and says what it and all threads beside it allocated meanwhile.
pub fn count<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    let (before, calls) = (LIVE.load(Relaxed), CALLS.load(Relaxed));
    PEAK.store(before, Relaxed);
    let made = work();
    let peak = PEAK.load(Relaxed).saturating_sub(before);
    (made, Allocated { peak, calls: CALLS.load(Relaxed) - calls })
}

fn more(bytes: usize) {
    CALLS.fetch_add(1, Relaxed);
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(live, Relaxed);
}

fn less(bytes: usize) {
    LIVE.fetch_sub(bytes, Relaxed);
}

// SAFETY: every call goes on to `System` as it came; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller keeps the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller keeps the rules of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        less(layout.size());
        // SAFETY: the block is one of `System`'s, and the caller keeps the rules of `dealloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A large block is moved page by page (mremap): it is not there twice.
        match size.checked_sub(layout.size()) {
            Some(grown) => more(grown),
            None => less(layout.size() - size),
        }
        // SAFETY: the block is one of `System`'s, and the caller keeps the rules of `realloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}
