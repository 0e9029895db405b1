//! A message of rtnetlink, read attribute by attribute: one that cannot be read loses only itself, and is counted.
//!
//! Anybody may choose a device's name, alias or alternative names, and an address's label: any bytes but a few.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};

/// The flags of `nla_type` (`NLA_TYPE_MASK`, include/uapi/linux/netlink.h).
const TYPE_MASK: u16 = 0x3fff;
/// Length of `struct nlattr`, and of what its length counts at least.
const HEADER: usize = 4;

/// The type and the body of a message.
#[derive(Debug, Clone)]
pub struct Message {
    /// `RTM_*`.
    pub kind: u16,
    body: Vec<u8>,
}

impl NetlinkDeserializable for Message {
    type Error = Infallible;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Infallible> {
        Ok(Self { kind: header.message_type, body: payload.to_vec() })
    }
}

impl Message {
    /// The fixed head of `N` bytes and the attributes behind it; `None` where it is shorter than that.
    pub fn split<'a, const N: usize>(&'a self, damage: &'a Damage) -> Option<(&'a [u8; N], Attributes<'a>)> {
        let Some((head, rest)) = self.body.split_first_chunk::<N>() else {
            damage.count();
            return None;
        };
        Some((head, Attributes { rest, damage }))
    }
}

/// Counts what could not be read.
#[derive(Debug, Default)]
pub struct Damage(Cell<u64>);

impl Damage {
    fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// So many parts, since the last time.
    pub fn take(&self) -> u64 {
        self.0.take()
    }
}

/// Walks attributes. One whose length is impossible is the last: what follows it cannot be found.
#[derive(Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    damage: &'a Damage,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((kind, value)) = first(self.rest) else {
            self.damage.count();
            self.rest = &[];
            return None;
        };
        self.rest = self.rest.get((HEADER + value.len()).next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value, damage: self.damage })
    }
}

fn first(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    Some((half(2)? & TYPE_MASK, bytes.get(HEADER..usize::from(half(0)?))?))
}

/// One attribute. What reads it gives `None` where it is not of that shape, and counts that.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Its type, without flags.
    pub kind: u16,
    value: &'a [u8],
    damage: &'a Damage,
}

impl<'a> Attribute<'a> {
    /// A number of 32 bits.
    pub fn number(self) -> Option<u32> {
        self.read(|value| Some(u32::from_ne_bytes(value.try_into().ok()?)))
    }

    /// An address; its length tells the family.
    pub fn ip(self) -> Option<IpAddr> {
        self.read(|value| match value.len() {
            4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
            16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
            _ => None,
        })
    }

    /// A hardware address of Ethernet's length; another length is no damage.
    pub fn mac(self) -> Option<[u8; 6]> {
        self.value.try_into().ok()
    }

    /// A name: bytes up to the zero at its end, of no known encoding.
    pub fn name(self) -> Option<Vec<u8>> {
        self.read(|value| {
            Some(value.split(|byte| *byte == 0).next()?.to_vec()).filter(|name| !name.is_empty())
        })
    }

    /// Attributes inside it.
    pub fn nested(self) -> Attributes<'a> {
        Attributes { rest: self.value, damage: self.damage }
    }

    fn read<T>(self, read: impl FnOnce(&'a [u8]) -> Option<T>) -> Option<T> {
        let read = read(self.value);
        if read.is_none() {
            self.damage.count();
        }
        read
    }
}
