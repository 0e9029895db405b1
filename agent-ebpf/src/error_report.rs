//! sock:inet_sk_error_report (Linux 5.14 and newer): the errors of failed connects where BTF does not tell where a
//! socket keeps its own.

use agent_ebpf::{Offset, kind, sureness};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::{kernel, output};

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
    output::submit(kind::ERROR_REPORTED, |event| {
        event.errno = error.unsigned_abs();
        event.sureness = sureness::SOCKET;
        event.family = kernel::field(context, Offset::ReportFamily)?;
        event.local_port = kernel::field(context, Offset::ReportLocalPort)?;
        event.peer_port = kernel::field(context, Offset::ReportPeerPort)?;
        event.local_address = kernel::field(context, Offset::ReportLocalAddress)?;
        event.peer_address = kernel::field(context, Offset::ReportPeerAddress)?;
        Some(())
    });
    Some(())
}
