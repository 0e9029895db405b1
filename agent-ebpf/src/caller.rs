//! Who connects. Only while it calls connect is the current task the right one.

use core::mem::{MaybeUninit, size_of};

use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_get_current_comm};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};

use crate::kernel::Words;

/// The task that connects.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Caller {
    /// Its cgroup of version 2.
    pub cgroup: u64,
    /// The process in the upper half, the thread in the lower.
    pub thread: u64,
    /// The name of the thread (`TASK_COMM_LEN` is 16), as words of 8 bytes: bytes would be copied one by one.
    pub comm: Words,
    /// The real user id.
    pub user: u32,
    /// The inode number of the socket's network namespace; 0 where that is unknown.
    pub network_namespace: u32,
}

impl Caller {
    /// The current task, with a socket of this namespace.
    #[inline(always)]
    pub fn current(network_namespace: u32) -> Self {
        Self {
            // SAFETY: the helper has no arguments and always answers.
            cgroup: unsafe { bpf_get_current_cgroup_id() },
            thread: bpf_get_current_pid_tgid(),
            comm: current_comm(),
            user: bpf_get_current_uid_gid() as u32,
            network_namespace,
        }
    }

    /// The task of an event that no connect of this namespace made.
    #[inline(always)]
    pub fn nobody(network_namespace: u32) -> Self {
        Self { cgroup: 0, thread: 0, comm: [0; 2], user: 0, network_namespace }
    }
}

#[inline(always)]
fn current_comm() -> Words {
    let mut comm = MaybeUninit::<Words>::uninit();
    // SAFETY: the helper fills all of it, with zeros where it fails.
    unsafe {
        bpf_get_current_comm(comm.as_mut_ptr().cast(), size_of::<Words>() as u32);
        comm.assume_init()
    }
}
