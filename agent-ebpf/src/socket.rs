//! What a TCP socket tells. Its type is known to the verifier, so its members are plain loads.

use agent_ebpf::{Offset, sureness};
use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;

use crate::kernel::{self, Typed};
use crate::output::Side;

/// A connect that is under way has this state (include/net/tcp_states.h).
pub const TCP_SYN_SENT: u8 = 2;
/// One that has ended without a connection.
pub const TCP_CLOSE: u8 = 7;
/// A first SYN that is older than this was not sent by the connect in question: nothing waits so long.
const LONGEST: u64 = 3600 * 1000;
const MILLISECOND: u64 = 1_000_000;

/// A `struct tcp_sock`, and so a `struct sock` and `struct inet_sock` too.
#[derive(Clone, Copy)]
pub struct Tcp(Typed);

impl Tcp {
    /// Of a `struct sock`; `None` where it is none of TCP.
    #[inline(always)]
    pub fn of(socket: Typed) -> Option<Self> {
        // SAFETY: the verifier knows the pointer's type, and the helper checks the socket's.
        let tcp = unsafe { bpf_skc_to_tcp_sock(socket.pointer().cast_mut()) };
        Typed::new(tcp.cast()).map(Self)
    }

    /// Where it is in memory, which is what it is known by.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0.pointer() as u64
    }

    /// `sk_state`.
    #[inline(always)]
    pub fn state(self) -> Option<u8> {
        self.0.load(Offset::SocketState)
    }

    /// `sk_err`, positive.
    #[inline(always)]
    pub fn error(self) -> Option<u32> {
        self.0.load::<i32>(Offset::SocketError).map(i32::unsigned_abs)
    }

    /// How its connect ended: the errno, and how sure that is.
    #[inline(always)]
    pub fn outcome(self) -> Option<(u32, u32)> {
        Some(match (self.error()?, self.0.load::<i32>(Offset::SocketHint)?.unsigned_abs()) {
            (0, 0) => (0, sureness::ABANDONED),
            (0, hint) => (hint, sureness::HINT),
            (errno, _) => (errno, sureness::SOCKET),
        })
    }

    /// Whether the peer has answered the SYN.
    #[inline(always)]
    pub fn was_answered(self) -> bool {
        self.0.load::<u32>(Offset::SocketReceived).is_none_or(|next| next != 0)
    }

    /// When its last segment was sent; 0 before the first.
    #[inline(always)]
    pub fn sent(self) -> u64 {
        self.0.load(Offset::SocketSent).unwrap_or(0)
    }

    /// When its first SYN was sent; 0 where none was. The kernel keeps the first SYN in milliseconds and the last segment in
    /// nanoseconds.
    #[inline(always)]
    pub fn started(self, now: u64) -> u64 {
        let sent = self.sent();
        if sent == 0 || sent > now {
            return 0;
        }
        let first: u32 = self.0.load(Offset::SocketFirstSent).unwrap_or(0);
        let age = u64::from(((now / MILLISECOND) as u32).wrapping_sub(first));
        if first == 0 || age > LONGEST || age <= (now - sent) / MILLISECOND + 1 {
            return sent;
        }
        now - age * MILLISECOND
    }

    /// The port of this side as long as it is bound, in the machine's byte order.
    #[inline(always)]
    pub fn number(self) -> Option<u16> {
        self.0.load(Offset::SocketNumber)
    }

    /// This side and the other.
    #[inline(always)]
    pub fn sides(self) -> Option<(Side, Side)> {
        let ports = (
            u16::from_be(self.0.load(Offset::SocketLocalPort)?),
            u16::from_be(self.0.load(Offset::SocketPeerPort)?),
        );
        let addresses = if self.0.load::<u16>(Offset::SocketFamily)? == kernel::AF_INET {
            (
                kernel::mapped(self.0.load(Offset::SocketLocalAddress)?),
                kernel::mapped(self.0.load(Offset::SocketPeerAddress)?),
            )
        } else {
            (self.0.words(Offset::SocketLocalAddress6)?, self.0.words(Offset::SocketPeerAddress6)?)
        };
        Some((Side { address: addresses.0, port: ports.0 }, Side { address: addresses.1, port: ports.1 }))
    }
}
