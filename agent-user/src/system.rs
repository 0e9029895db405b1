//! Calls that the compiler cannot vouch for. The one module with unsafe code.
#![allow(unsafe_code)]

use std::io;
#[cfg(feature = "ebpf")]
use std::os::fd::BorrowedFd;
use std::os::fd::{AsRawFd, OwnedFd};
#[cfg(feature = "ebpf")]
use std::sync::atomic::AtomicU64;

use fib::Monitor;
use tokio::io::unix::AsyncFd;

/// Types that own one descriptor: `as_raw_fd` gives the same one as long as the value lives, and nothing closes it
/// earlier.
pub trait OwnsDescriptor: AsRawFd {}

impl OwnsDescriptor for OwnedFd {}
impl OwnsDescriptor for Monitor {}

/// Lets the runtime watch a descriptor.
///
/// # Errors
/// Where epoll refuses it.
pub fn watch<T: OwnsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: AsyncFd wants a descriptor that stays open and the same until the AsyncFd is dropped. It owns `owner`,
    // and OwnsDescriptor promises both for as long as that lives.
    unsafe { AsyncFd::register(owner) }.map_err(io::Error::from)
}

/// Called before there is a second thread. One pool of memory for all threads: they do little, and only the first one's is
/// ever given back. No huge pages, which some distributions give to everybody: one is more than the daemon needs.
pub fn keep_memory_small() {
    // Linux before 3.15 has no such switch, and most have nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes no pointer; no other thread allocates yet.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives memory that was freed back to the kernel. glibc keeps it otherwise: where the probes were loaded, which reads all
/// the kernel's types, that is ten times what the daemon needs.
#[cfg(feature = "ebpf")]
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes no pointer, and may be called at any time from any thread.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Memory that we share with BPF programs: the values of an array that is `BPF_F_MMAPABLE`, as whole words.
#[cfg(feature = "ebpf")]
#[derive(Debug)]
pub struct SharedWords {
    start: std::ptr::NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the words are atomic, and the mapping belongs to no thread.
#[cfg(feature = "ebpf")]
unsafe impl Send for SharedWords {}
// SAFETY: the same.
#[cfg(feature = "ebpf")]
unsafe impl Sync for SharedWords {}

#[cfg(feature = "ebpf")]
impl SharedWords {
    /// Maps the first `count` words of the array behind this descriptor; it stays mapped when that is closed.
    ///
    /// # Errors
    /// Where the kernel refuses: the array is shorter, or cannot be mapped.
    pub fn map(array: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        // SAFETY: no address is asked for, so no mapping of ours is replaced; the kernel checks descriptor and length.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * size_of::<AtomicU64>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                array.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = std::ptr::NonNull::new(start.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { start, count })
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping begins at a page, has `count` words, and lives as long as `self`. Whoever else writes to it
        // writes whole words.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

#[cfg(feature = "ebpf")]
impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` mapped; no reference to it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}
