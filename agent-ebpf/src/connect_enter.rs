//! syscalls:sys_enter_connect: what a thread passes to connect(2).

use agent_ebpf::Offset;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::connects::{CALLS, Call};
use crate::{kernel, output};

/// The program.
#[tracepoint(category = "syscalls", name = "sys_enter_connect")]
pub fn connect_enter(context: TracePointContext) -> u32 {
    let _ = try_connect_enter(&context);
    0
}

#[inline(always)]
fn try_connect_enter(context: &TracePointContext) -> Option<()> {
    let call = Call {
        started: output::now(),
        address: kernel::field(context, Offset::EnterAddress)?,
        socket: 0,
        descriptor: kernel::field(context, Offset::EnterDescriptor)?,
        reserved: 0,
    };
    CALLS.insert(bpf_get_current_pid_tgid(), call, 0).ok()
}
