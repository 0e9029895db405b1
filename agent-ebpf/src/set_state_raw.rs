//! sock:inet_sock_set_state as a raw tracepoint, which gets the arguments (include/trace/events/sock.h: the socket, the old
//! and the new state) and reads the rest from the socket as BTF tells. It costs a third of the tracepoint, wants no
//! tracefs, and is not skipped when it comes in an interrupt of another program.

use agent_ebpf::{Event, Offset};
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::kernel;
use crate::states::{Change, follow};

/// The program.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn set_state_raw(context: RawTracePointContext) -> u32 {
    let (old, new) = (context.arg::<i32>(1), context.arg::<i32>(2));
    let socket = Socket { address: context.arg(0), context: &context };
    let _ = follow(&socket, old, new);
    0
}

/// The socket itself.
struct Socket<'a> {
    address: u64,
    context: &'a RawTracePointContext,
}

impl Change for Socket<'_> {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        self.context
    }

    #[inline(always)]
    fn socket(&self) -> Option<u64> {
        Some(self.address)
    }

    #[inline(always)]
    fn is_tcp(&self) -> Option<bool> {
        let protocol: u16 = kernel::member(self.address, Offset::SocketProtocol)?;
        Some(protocol == kernel::IPPROTO_TCP)
    }

    #[inline(always)]
    fn local_port(&self) -> Option<u16> {
        kernel::member(self.address, Offset::SocketLocalPort).map(u16::from_be)
    }

    #[inline(always)]
    fn addresses(&self, event: &mut Event) -> Option<()> {
        event.family = kernel::member(self.address, Offset::SocketFamily)?;
        event.local_port = self.local_port()?;
        event.peer_port = kernel::member(self.address, Offset::SocketPeerPort).map(u16::from_be)?;
        if event.family == kernel::AF_INET {
            event.local_address = kernel::mapped(kernel::member(self.address, Offset::SocketLocalAddress)?);
            event.peer_address = kernel::mapped(kernel::member(self.address, Offset::SocketPeerAddress)?);
        } else {
            event.local_address = kernel::member(self.address, Offset::SocketLocalAddress6)?;
            event.peer_address = kernel::member(self.address, Offset::SocketPeerAddress6)?;
        }
        Some(())
    }
}
