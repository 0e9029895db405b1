//! Hears that something changed. A message only pokes, the kernel is the state. Only what is announced about addresses is
//! read: a list of thousands of them is followed so, and not asked for at every poke.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::protocols::NETLINK_ROUTE;

use crate::frames::{BrokenFrame, frames};
use crate::message::Damage;
use crate::read::{AddressChange, DELETED_ADDRESS, NEW_ADDRESS, address_change};
use crate::socket::{NetlinkSocket, Received};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// Every kind, in order.
    pub const ALL: [Self; 7] =
        [Self::Link, Self::Address, Self::Route, Self::Rule, Self::Nexthop, Self::Other, Self::Spoofed];

    /// Every name, in the same order.
    pub const NAMES: [&'static str; 7] = ["link", "address", "route", "rule", "nexthop", "other", "spoofed"];

    /// The name of the kind.
    pub const fn as_str(self) -> &'static str {
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
            NEW_ADDRESS | DELETED_ADDRESS => Self::Address,
            24 | 25 => Self::Route,
            32 | 33 => Self::Rule,
            104 | 105 => Self::Nexthop,
            _ => Self::Other,
        }
    }
}

/// What one reading heard, as counts: nothing in a message is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    messages: [u64; ChangeKind::ALL.len()],
    /// Times that the kernel dropped messages because the receive buffer was full.
    pub overruns: u64,
    /// Messages that could not be read.
    pub undecodable: u64,
    /// What was announced about addresses, in the order of the changes.
    pub addresses: Vec<AddressChange>,
}

impl Heard {
    /// How many messages there were of each kind.
    pub fn messages(&self) -> impl Iterator<Item = (ChangeKind, u64)> {
        ChangeKind::ALL.into_iter().zip(self.messages)
    }

    /// Whether it leaves open what the kernel has: something was lost, or a device changed, and with it perhaps what is on it.
    pub fn leaves_open(&self) -> bool {
        let of_devices = self.messages().any(|(kind, count)| kind == ChangeKind::Link && count > 0);
        of_devices || self.overruns > 0 || self.undecodable > 0
    }

    fn message(&mut self, kind: ChangeKind) {
        for (known, count) in ChangeKind::ALL.into_iter().zip(&mut self.messages) {
            *count += u64::from(known == kind);
        }
    }

    /// What one datagram says.
    #[cfg(test)]
    pub(crate) fn of(received: &Received<'_>) -> Self {
        let mut heard = Self::default();
        heard.count(received);
        heard
    }

    /// Whatever it is, it counts.
    fn count(&mut self, received: &Received<'_>) {
        match received {
            Received::Datagram(bytes) => {
                for frame in frames(bytes) {
                    match frame {
                        Ok(frame) => {
                            self.message(ChangeKind::of(frame.kind));
                            if matches!(frame.kind, NEW_ADDRESS | DELETED_ADDRESS) {
                                let damage = Damage::default();
                                let change = address_change(&frame, &damage);
                                self.undecodable += u64::from(change.is_none() || damage.take() > 0);
                                self.addresses.extend(change);
                            }
                        }
                        Err(BrokenFrame) => self.undecodable += 1,
                    }
                }
            }
            Received::Truncated => self.undecodable += 1,
            Received::Spoofed => self.message(ChangeKind::Spoofed),
            Received::Overrun => self.overruns += 1,
        }
    }
}

/// The subscription. Its descriptor is readable when something has changed.
#[derive(Debug)]
pub struct Monitor {
    socket: NetlinkSocket,
}

impl Monitor {
    /// Subscribes. Subscribe before asking, or a change in between is missed.
    ///
    /// # Errors
    /// Where the kernel has no netlink. A group that this kernel lacks is only logged: the slow re-ask covers it.
    pub fn subscribe() -> io::Result<Self> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// As [`Monitor::subscribe`] with another size of the receive buffer, in bytes.
    ///
    /// # Errors
    /// Where the kernel has no netlink.
    pub fn with_receive_buffer(bytes: usize) -> io::Result<Self> {
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
        Ok(Self { socket })
    }

    /// Reads what there is, at most 64 datagrams, and does not wait. An overrun, a truncated, broken or foreign message
    /// counts, and is a change like any other.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing. Any other error is the socket's own, which no message can cause.
    pub fn hear(&mut self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        for turn in 0..TURN {
            match self.socket.receive() {
                Ok(received) => heard.count(&received),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if turn == 0 => return Err(error),
                Err(_next_time) => break,
            }
        }
        Ok(heard)
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_counted_and_what_stands_before_it_too() {
        // RTM_NEWROUTE with an empty body, then a message whose length is a lie.
        let mut datagram = [&16u32.to_ne_bytes()[..], &24u16.to_ne_bytes(), &[0; 10]].concat();
        datagram.extend([9, 0, 0, 0, 1, 2, 3]);
        let mut heard = Heard::default();
        for received in [
            Received::Datagram(&datagram),
            Received::Datagram(&[0x5a; 3]),
            Received::Datagram(&[]),
            Received::Truncated,
            Received::Spoofed,
            Received::Overrun,
        ] {
            heard.count(&received);
        }
        let counted: Vec<_> = heard.messages().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(ChangeKind::Route, 1), (ChangeKind::Spoofed, 1)]);
        assert_eq!((heard.undecodable, heard.overruns), (3, 1));
    }
    #[test]
    fn names_stand_in_the_order_of_the_kinds() {
        assert_eq!(ChangeKind::ALL.map(ChangeKind::as_str), ChangeKind::NAMES);
        assert_eq!(crate::Subject::ALL.map(crate::Subject::as_str), crate::Subject::NAMES);
    }
}
