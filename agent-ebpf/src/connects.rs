//! Connects that are under way, by the address of their socket and by the thread that is inside the call.

use agent_ebpf::{COMM_LENGTH, Event};
use aya_ebpf::helpers::generated::bpf_get_current_cgroup_id;
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;

/// Connects under way at once, and threads inside connect(2). What does not fit counts as lost; a map that forgets the
/// oldest would do so in silence, and costs half as much again.
const ENTRIES: u32 = 4096;

/// Who connects. Only while it calls connect is the current task the right one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Caller {
    cgroup: u64,
    /// The process in the upper half, the thread in the lower.
    thread: u64,
    user: u32,
    /// See [`Event::descriptor`].
    pub descriptor: i32,
    comm: [u8; COMM_LENGTH],
}

/// A socket in SYN_SENT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Start {
    /// When the call began.
    pub started: u64,
    /// Who called.
    pub caller: Caller,
    /// See [`Event::network_namespace`].
    pub network_namespace: u32,
    /// Keeps the layout free of holes.
    pub reserved: u32,
}

/// A thread inside connect(2).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    /// When it entered.
    pub started: u64,
    /// The address that it passed, in its own memory.
    pub address: u64,
    /// The socket, once that is in SYN_SENT; 0 before, and again where that ended without an error of its own.
    pub socket: u64,
    /// The descriptor that it passed.
    pub descriptor: i32,
    /// Keeps the layout free of holes.
    pub reserved: u32,
}

/// By the socket's address.
#[map]
pub static STARTS: HashMap<u64, Start> = HashMap::with_max_entries(ENTRIES, 0);
/// By process and thread.
#[map]
pub static CALLS: HashMap<u64, Call> = HashMap::with_max_entries(ENTRIES, 0);

impl Caller {
    /// The current task.
    #[inline(always)]
    pub fn current(descriptor: i32) -> Self {
        Self {
            // SAFETY: the helper has no arguments and always answers.
            cgroup: unsafe { bpf_get_current_cgroup_id() },
            thread: bpf_get_current_pid_tgid(),
            user: bpf_get_current_uid_gid() as u32,
            descriptor,
            comm: bpf_get_current_comm().unwrap_or_default(),
        }
    }

    /// Writes it into an event.
    #[inline(always)]
    pub fn describe(&self, event: &mut Event) {
        event.cgroup = self.cgroup;
        event.process = (self.thread >> 32) as u32;
        event.thread = self.thread as u32;
        event.user = self.user;
        event.descriptor = self.descriptor;
        event.comm = self.comm;
    }
}
