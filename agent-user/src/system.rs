//! Calls that the compiler cannot vouch for. The one module with unsafe code.
#![allow(unsafe_code)]

use std::io;
#[cfg(feature = "ebpf")]
use std::os::fd::BorrowedFd;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
#[cfg(feature = "ebpf")]
use std::sync::atomic::AtomicU64;

use fib::{ClosedConnections, Monitor};
use tokio::io::unix::AsyncFd;

/// Types that own one descriptor: `as_raw_fd` gives the same one as long as the value lives, and nothing closes it
/// earlier.
pub trait OwnsDescriptor: AsRawFd {}

impl OwnsDescriptor for OwnedFd {}
impl OwnsDescriptor for Monitor {}
impl OwnsDescriptor for ClosedConnections {}

/// Lets the runtime watch a descriptor.
///
/// # Errors
/// Where epoll refuses it.
pub fn watch<T: OwnsDescriptor>(owner: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: AsyncFd wants a descriptor that stays open and the same until the AsyncFd is dropped. It owns `owner`,
    // and OwnsDescriptor promises both for as long as that lives.
    unsafe { AsyncFd::register(owner) }.map_err(io::Error::from)
}

/// From this size on memory comes from the kernel and goes back to it. A list of ten thousand addresses is smaller: a new one
/// at every change would cost more in page faults than in copying.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1024 * 1024;

/// Called before there is a second thread. One pool of memory for all threads: they do little, and only the first one's is
/// ever given back. What is large goes back when it is freed: glibc would keep blocks as large as one that was freed before,
/// and the kernel's types are 5 MiB. No huge pages, which some distributions give to everybody: one is more than the daemon
/// needs.
pub fn keep_memory_small() {
    // Linux before 3.15 has no such switch, and most have nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    #[cfg(target_env = "gnu")]
    for (option, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, LARGE)] {
        // SAFETY: mallopt(3) takes no pointer; no other thread allocates yet.
        let _ = unsafe { libc::mallopt(option, value) };
    }
}

/// Gives memory that was freed back to the kernel. glibc keeps it otherwise: where the probes were loaded, which reads all
/// the kernel's types, that is ten times what the daemon needs.
#[cfg(feature = "ebpf")]
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes no pointer, and may be called at any time from any thread.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// How many packets a packet socket had no room for since this was asked last (`PACKET_STATISTICS`, packet(7)).
///
/// # Errors
/// Where this is no packet socket.
pub fn packets_dropped(socket: impl AsFd) -> io::Result<u32> {
    let mut counts = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&counts)).unwrap_or_default();
    // SAFETY: the kernel writes at most `length` bytes, which `counts` has, and both outlive the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut counts).cast(),
            &raw mut length,
        )
    };
    if outcome == 0 { Ok(counts.tp_drops) } else { Err(io::Error::last_os_error()) }
}

/// Whether a call is survived by a child process that may make no system call but the one to end itself (seccomp(2)).
///
/// # Errors
/// Where there can be no such child.
#[cfg(feature = "ebpf")]
pub fn survives_without_system_calls(call: extern "C" fn(u64) -> u64) -> io::Result<bool> {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let filter = |code: u32, if_not: u8, value: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: 0,
        jf: if_not,
        k: value,
    };
    let end = u32::try_from(libc::SYS_exit_group).unwrap_or(0);
    // The number of the call is the first member of `struct seccomp_data`.
    let mut filters = [
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, end),
        filter(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        filter(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let program = libc::sock_fprog { len: 4, filter: filters.as_mut_ptr() };
    // SAFETY: the child has the one thread that is here; it makes three system calls, the second of them with a program that
    // lives on its stack, and one call that needs none; it neither allocates nor returns.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            let refused = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0;
            if refused {
                libc::_exit(2);
            }
            libc::_exit(i32::from(call(0) != 0));
        }
        child
    };
    let child = Pid::from_raw(child).filter(|_| child > 0).ok_or_else(io::Error::last_os_error)?;
    let (_, status) = waitpid(Some(child), WaitOptions::empty())?.ok_or(io::ErrorKind::Other)?;
    match status.exit_status() {
        Some(2) => Err(io::Error::other("it can have no seccomp filter")),
        ended => Ok(ended == Some(0)),
    }
}

/// Memory that the daemon shares with BPF programs: the values of an array that is `BPF_F_MMAPABLE`, as whole words.
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
        // SAFETY: no address is asked for, so no existing mapping is replaced; the kernel checks descriptor and length.
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
