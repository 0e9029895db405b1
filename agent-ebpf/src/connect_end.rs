//! How a connect ends that goes on after its call: with an error (inet_sk_error_report, Linux 5.14 and newer), or with its
//! socket (tcp_destroy_sock). Both only look at sockets that have something in store.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::kernel::Typed;
use crate::pending;
use crate::socket::Tcp;

/// The program for errors: `(const struct sock *sk)`.
#[btf_tracepoint(function = "inet_sk_error_report")]
pub fn connect_error(context: BtfTracePointContext) -> i32 {
    let _ = with_pending(&context, pending::failed);
    0
}

/// The program for the end: `(struct sock *sk)`.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn connect_destroy(context: BtfTracePointContext) -> i32 {
    let _ = with_pending(&context, pending::given_up);
    0
}

#[inline(always)]
fn with_pending(
    context: &BtfTracePointContext,
    end: impl FnOnce(*mut pending::Pending, Tcp) -> Option<()>,
) -> Option<()> {
    let socket = Typed::new(context.arg(0))?;
    if !pending::may_be(socket) {
        return None;
    }
    let pending = pending::find(socket)?;
    let tcp = Tcp::of(socket)?;
    if tcp.was_answered() {
        return None;
    }
    end(pending, tcp)
}
