//! inet_sock_set_state as a tracepoint with types (include/trace/events/sock.h: the socket, the old and the new state). It
//! costs less than the one with a record, wants no tracefs, and is not skipped when it comes in an interrupt of another
//! program.

use aya_ebpf::EbpfContext;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::kernel::{self, Typed};
use crate::output::Side;
use crate::socket::Tcp;
use crate::states::{Change, follow};
use crate::{callback, callback_accept};

/// The program.
#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn set_state_typed(context: BtfTracePointContext) -> i32 {
    let (old, new) = (context.arg::<i32>(1), context.arg::<i32>(2));
    if let Some(socket) = Typed::new(context.arg(0)) {
        let _ = follow(&Socket { socket, context: &context }, old, new);
    }
    0
}

/// The socket itself.
struct Socket<'a> {
    socket: Typed,
    context: &'a BtfTracePointContext,
}

impl Change for Socket<'_> {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        self.context
    }

    #[inline(always)]
    fn address(&self) -> Option<u64> {
        Some(self.socket.pointer() as u64)
    }

    #[inline(always)]
    fn namespace(&self) -> Option<u32> {
        let namespace = kernel::socket_namespace(self.socket)?;
        Tcp::of(self.socket)?;
        Some(namespace)
    }

    #[inline(always)]
    fn outcome(&self, started: u64) -> Option<(u32, u32)> {
        let tcp = Tcp::of(self.socket)?;
        let (errno, sureness) = tcp.outcome()?;
        // The call failed between its first change of state and its SYN: no port was free.
        (errno != 0 || tcp.sent() >= started).then_some((errno, sureness))
    }

    #[inline(always)]
    fn sides(&self) -> Option<(Side, Side)> {
        Tcp::of(self.socket)?.sides()
    }

    #[inline(always)]
    fn established(&self) -> Option<()> {
        let tcp = Tcp::of(self.socket)?;
        (tcp.number()? == callback::PORT.load()).then(|| callback_accept::established(self.socket))?
    }
}
