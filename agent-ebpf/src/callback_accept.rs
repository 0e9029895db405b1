//! fentry/inet_csk_complete_hashdance: a connection to a listener is complete. Once for each, where the state hook would run
//! at every change of every socket.

use agent_ebpf::kind;
use aya_ebpf::macros::fentry;
use aya_ebpf::programs::FEntryContext;

use crate::callback;
use crate::caller::Caller;
use crate::kernel::{self, Typed};
use crate::output::{self, What};
use crate::socket::Tcp;

/// The program: `struct sock *inet_csk_complete_hashdance(struct sock *sk, struct sock *child, struct request_sock *req,
/// bool own_req)`.
#[fentry(function = "inet_csk_complete_hashdance")]
pub fn callback_accept(context: FEntryContext) -> i32 {
    let _ = complete(&context);
    0
}

#[inline(always)]
fn complete(context: &FEntryContext) -> Option<()> {
    let child = Typed::new(context.arg(1))?;
    if child.load::<u16>(agent_ebpf::Offset::SocketNumber)? != callback::PORT.load() {
        return None;
    }
    // Another processor may have been first with the same connection.
    if context.arg::<u8>(3) == 0 {
        return None;
    }
    established(child)
}

/// A connection to the advertised port is there.
#[inline(always)]
pub fn established(socket: Typed) -> Option<()> {
    let network_namespace = kernel::socket_namespace(socket)?;
    let tcp = Tcp::of(socket)?;
    let (local, peer) = tcp.sides()?;
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
    output::submit(what, &Caller::nobody(network_namespace));
    Some(())
}
