//! Hears that something changed. Bodies are not read: every message only pokes, the kernel is the state.

use std::io;
use std::time::Instant;

use netlink_sys::protocols::NETLINK_ROUTE;
use tokio::io::unix::AsyncFd;

use super::frames::{BrokenFrame, frames};
use super::socket::{NetlinkSocket, Received};
use crate::metrics::Metrics;
use crate::system;

/// The groups that can change the answer (`enum rtnetlink_groups`, `include/uapi/linux/rtnetlink.h`).
const GROUPS: [(u32, &str); 8] = [
    (1, "links"),
    (5, "IPv4 addresses"),
    (7, "IPv4 routes"),
    (8, "IPv4 rules"),
    (9, "IPv6 addresses"),
    (11, "IPv6 routes"),
    (19, "IPv6 rules"),
    // With net.ipv4.nexthop_compat_mode=0 a replaced nexthop object changes routes without a route message.
    (32, "nexthops"),
];

/// Room for the messages of a burst. It costs memory only while they wait, and an overrun loses nothing.
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// Datagrams read before others get a turn on the thread.
const TURN: usize = 64;

/// What a multicast message was about: the label of `netlink_messages_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// A device.
    Link,
    /// An address of either family.
    Address,
    /// A route of either family.
    Route,
    /// A rule of either family.
    Rule,
    /// A nexthop object.
    Nexthop,
    /// Anything else that the kernel sends to these groups.
    Other,
    /// Not from the kernel.
    Spoofed,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Link, Self::Address, Self::Route, Self::Rule, Self::Nexthop, Self::Other, Self::Spoofed];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Address => "address",
            Self::Route => "route",
            Self::Rule => "rule",
            Self::Nexthop => "nexthop",
            Self::Other => "other",
            Self::Spoofed => "spoofed",
        }
    }

    /// By message type (`RTM_*`, `include/uapi/linux/rtnetlink.h`).
    fn of(message_type: u16) -> Self {
        match message_type {
            16 | 17 => Self::Link,
            20 | 21 => Self::Address,
            24 | 25 => Self::Route,
            32 | 33 => Self::Rule,
            104 | 105 => Self::Nexthop,
            _ => Self::Other,
        }
    }
}

/// Some messages came, or were lost: ask again.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When the first of them was read.
    pub since: Instant,
}

/// The subscription.
#[derive(Debug)]
pub struct Monitor {
    socket: AsyncFd<NetlinkSocket>,
    metrics: Metrics,
}

impl Monitor {
    /// Subscribes. Subscribe before asking, or a change in between is missed.
    ///
    /// # Errors
    /// Where netlink cannot be had. A group that this kernel lacks is only logged: the slow re-ask covers it.
    pub fn subscribe(metrics: Metrics) -> io::Result<Self> {
        Self::with_receive_buffer(metrics, RECEIVE_BUFFER)
    }

    /// As [`Monitor::subscribe`] with another size of the receive buffer, in bytes.
    ///
    /// # Errors
    /// Where netlink cannot be had.
    pub fn with_receive_buffer(metrics: Metrics, bytes: usize) -> io::Result<Self> {
        let socket = NetlinkSocket::open(NETLINK_ROUTE)?;
        for (group, subject) in GROUPS {
            if let Err(error) = socket.join(group) {
                tracing::warn!(subject, %error, "this kernel does not announce them; they are asked for every 30 s");
            }
        }
        if let Err(error) = socket.set_receive_buffer(bytes) {
            tracing::warn!(%error, "the netlink receive buffer keeps its default size");
        }
        socket.set_non_blocking()?;
        Ok(Self { socket: system::watch(socket)?, metrics })
    }

    /// Waits until something changed, then reads what there is. Never ends by what the messages are: an overrun, a
    /// truncated, broken or foreign one counts, and is a change like any other. Cancelling it loses nothing.
    ///
    /// # Errors
    /// Where the socket itself fails, which no message can cause.
    pub async fn changed(&mut self) -> io::Result<Change> {
        loop {
            let mut guard = self.socket.readable_mut().await?;
            let since = Instant::now();
            let mut heard = false;
            for _ in 0..TURN {
                match guard.try_io(|socket| note(socket.get_mut(), &self.metrics)) {
                    Ok(Ok(())) => heard = true,
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(Err(error)) => return Err(error),
                    Err(_would_block) => break,
                }
            }
            if heard {
                return Ok(Change { since });
            }
        }
    }
}

/// Reads and counts one datagram.
fn note(socket: &mut NetlinkSocket, metrics: &Metrics) -> io::Result<()> {
    count(&socket.receive()?, metrics);
    Ok(())
}

/// Whatever it is: it counts, and nothing in it is an error.
fn count(received: &Received<'_>, metrics: &Metrics) {
    match received {
        Received::Datagram(bytes) => {
            for frame in frames(bytes) {
                match frame {
                    Ok(frame) => metrics.netlink_message(ChangeKind::of(frame.kind)),
                    Err(BrokenFrame) => metrics.netlink_decode_errors.inc(),
                }
            }
        }
        Received::Truncated => metrics.netlink_decode_errors.inc(),
        Received::Spoofed => metrics.netlink_message(ChangeKind::Spoofed),
        Received::Overrun => metrics.netlink_overruns.inc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_counted_and_what_stands_before_it_too() {
        let metrics = Metrics::new().unwrap();
        // RTM_NEWROUTE with an empty body, then a message whose length is a lie.
        let mut datagram = [&16u32.to_ne_bytes()[..], &24u16.to_ne_bytes(), &[0; 10]].concat();
        datagram.extend([9, 0, 0, 0, 1, 2, 3]);
        for received in [
            Received::Datagram(&datagram),
            Received::Datagram(&[0x5a; 3]),
            Received::Datagram(&[]),
            Received::Truncated,
            Received::Spoofed,
            Received::Overrun,
        ] {
            count(&received, &metrics);
        }
        let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
        for (sample, value) in [
            ("netlink_messages_total{type=\"route\"}", 1),
            ("netlink_messages_total{type=\"spoofed\"}", 1),
            ("netlink_messages_total{type=\"other\"}", 0),
            ("netlink_decode_errors_total", 3),
            ("netlink_overruns_total", 1),
        ] {
            assert!(text.contains(&format!("ipa_sidecar_{sample} {value}\n")), "{sample}: {text}");
        }
    }
}
