//! sock:inet_sock_set_state as a tracepoint, whose record tells everything: for kernels without BTF.

use agent_ebpf::{Offset, kind, sureness};
use aya_ebpf::EbpfContext;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::caller::Caller;
use crate::output::{self, Side, What};
use crate::states::{Change, follow};
use crate::{callback, kernel};

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

impl Record<'_> {
    #[inline(always)]
    fn is_tcp(&self) -> Option<bool> {
        let protocol = if kernel::offset(Offset::StateProtocolLength)? == 1 {
            u16::from(kernel::field::<u8>(self.0, Offset::StateProtocol)?)
        } else {
            kernel::field(self.0, Offset::StateProtocol)?
        };
        Some(protocol == kernel::IPPROTO_TCP)
    }
}

impl Change for Record<'_> {
    #[inline(always)]
    fn context(&self) -> &impl EbpfContext {
        self.0
    }

    #[inline(always)]
    fn address(&self) -> Option<u64> {
        kernel::field(self.0, Offset::StateSocket)
    }

    #[inline(always)]
    fn namespace(&self) -> Option<u32> {
        self.is_tcp()?.then_some(0)
    }

    #[inline(always)]
    fn outcome(&self, _started: u64) -> Option<(u32, u32)> {
        Some((0, sureness::UNKNOWN))
    }

    #[inline(always)]
    fn sides(&self) -> Option<(Side, Side)> {
        let local = Side {
            address: kernel::field(self.0, Offset::StateLocalAddress)?,
            port: kernel::field(self.0, Offset::StateLocalPort)?,
        };
        let peer = Side {
            address: kernel::field(self.0, Offset::StatePeerAddress)?,
            port: kernel::field(self.0, Offset::StatePeerPort)?,
        };
        Some((local, peer))
    }

    #[inline(always)]
    fn established(&self) -> Option<()> {
        let port: u16 = kernel::field(self.0, Offset::StateLocalPort)?;
        if port != callback::PORT.load() || !self.is_tcp()? {
            return None;
        }
        let (local, peer) = self.sides()?;
        let what = What {
            kind: kind::CALLBACK_ESTABLISHED,
            errno: 0,
            sureness: 0,
            started: 0,
            ended: output::now(),
            socket: 0,
            local,
            peer,
        };
        output::submit(what, &Caller::nobody(0));
        Some(())
    }
}
