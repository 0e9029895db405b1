//! Calls that the compiler cannot vouch for. The one module with unsafe code.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

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
