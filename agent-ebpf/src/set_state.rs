//! sock:inet_sock_set_state as a tracepoint, whose record tells everything: for kernels without BTF.

use agent_ebpf::{Event, Offset};
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::kernel;
use crate::states::{Change, follow};

/// The program.
#[tracepoint(category = "sock", name = "inet_sock_set_state")]
pub fn set_state(context: TracePointContext) -> u32 {
    let _ = try_set_state(&context);
    0
}

#[inline(always)]
fn try_set_state(context: &TracePointContext) -> Option<()> {
    let old: i32 = kernel::field(context, Offset::StateOld)?;
    let new: i32 = kernel::field(context, Offset::StateNew)?;
    follow(&Record(context), old, new)
}

/// The tracepoint's record.
struct Record<'a>(&'a TracePointContext);

impl Change for Record<'_> {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        self.0
    }

    #[inline(always)]
    fn socket(&self) -> Option<u64> {
        kernel::field(self.0, Offset::StateSocket)
    }

    #[inline(always)]
    fn is_tcp(&self) -> Option<bool> {
        let protocol = if kernel::offset(Offset::StateProtocolLength)? == 1 {
            u16::from(kernel::field::<u8>(self.0, Offset::StateProtocol)?)
        } else {
            kernel::field(self.0, Offset::StateProtocol)?
        };
        Some(protocol == kernel::IPPROTO_TCP)
    }

    #[inline(always)]
    fn local_port(&self) -> Option<u16> {
        kernel::field(self.0, Offset::StateLocalPort)
    }

    #[inline(always)]
    fn addresses(&self, event: &mut Event) -> Option<()> {
        event.family = kernel::field(self.0, Offset::StateFamily)?;
        event.local_port = kernel::field(self.0, Offset::StateLocalPort)?;
        event.peer_port = kernel::field(self.0, Offset::StatePeerPort)?;
        event.local_address = kernel::field(self.0, Offset::StateLocalAddress)?;
        event.peer_address = kernel::field(self.0, Offset::StatePeerAddress)?;
        Some(())
    }
}
