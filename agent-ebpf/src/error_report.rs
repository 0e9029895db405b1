//! sock:inet_sk_error_report (Linux 5.14 and newer): the errors of failed connects where BTF does not tell where a
//! socket keeps its own.

use agent_ebpf::{Offset, kind, sureness};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::caller::Caller;
use crate::kernel;
use crate::output::{self, Side, What};

/// The program.
#[tracepoint(category = "sock", name = "inet_sk_error_report")]
pub fn error_report(context: TracePointContext) -> u32 {
    let _ = try_error_report(&context);
    0
}

#[inline(always)]
fn try_error_report(context: &TracePointContext) -> Option<()> {
    let error: i32 = kernel::field(context, Offset::ReportError)?;
    let protocol: u16 = kernel::field(context, Offset::ReportProtocol)?;
    // Reports with error 0 only say that something waits to be read.
    if error == 0 || protocol != kernel::IPPROTO_TCP {
        return None;
    }
    let local = Side {
        address: kernel::field(context, Offset::ReportLocalAddress)?,
        port: kernel::field(context, Offset::ReportLocalPort)?,
    };
    let peer = Side {
        address: kernel::field(context, Offset::ReportPeerAddress)?,
        port: kernel::field(context, Offset::ReportPeerPort)?,
    };
    let what = What {
        kind: kind::ERROR_REPORTED,
        errno: error.unsigned_abs(),
        sureness: sureness::SOCKET,
        started: 0,
        ended: output::now(),
        socket: 0,
        local,
        peer,
    };
    output::submit(what, &Caller::nobody(0));
    Some(())
}
