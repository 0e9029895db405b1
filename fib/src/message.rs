//! The body of a message of rtnetlink, read attribute by attribute: one that cannot be read loses only itself, and is
//! counted.
//!
//! Anybody may choose a device's name, alias or alternative names, and an address's label: any bytes but a few.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLA_HEADER_SIZE, NlasIterator};

/// Counts what could not be read.
#[derive(Debug, Default)]
pub struct Damage(Cell<u64>);

impl Damage {
    /// One more part.
    pub fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// So many parts, since the last time.
    pub fn take(&self) -> u64 {
        self.0.take()
    }

    /// What was read; `None` counts.
    pub fn or_count<T>(&self, read: Option<T>) -> Option<T> {
        if read.is_none() {
            self.count();
        }
        read
    }
}

/// Walks attributes. One whose length is impossible is the last: what follows it cannot be found.
pub fn attributes<'a>(bytes: &'a [u8], damage: &'a Damage) -> impl Iterator<Item = Attribute<'a>> {
    NlasIterator::new(bytes).filter_map(|found| {
        let found = damage.or_count(found.ok())?;
        let (kind, length) = (found.kind(), usize::from(found.length()));
        let value = found.into_inner().get(NLA_HEADER_SIZE..length)?;
        Some(Attribute { kind, value, damage })
    })
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
        self.damage.or_count(self.value.try_into().ok().map(u32::from_ne_bytes))
    }

    /// An address; its length tells the family.
    pub fn ip(self) -> Option<IpAddr> {
        let four = || <[u8; 4]>::try_from(self.value).ok().map(|bytes| Ipv4Addr::from(bytes).into());
        let sixteen = || <[u8; 16]>::try_from(self.value).ok().map(|bytes| Ipv6Addr::from(bytes).into());
        self.damage.or_count(four().or_else(sixteen))
    }

    /// A hardware address of Ethernet's length; another length is no damage.
    pub fn mac(self) -> Option<[u8; 6]> {
        self.value.try_into().ok()
    }

    /// A name: bytes up to the zero at its end, of no known encoding.
    pub fn name(self) -> Option<&'a [u8]> {
        let name = self.value.split(|byte| *byte == 0).next();
        self.damage.or_count(name.filter(|name| !name.is_empty()))
    }

    /// Attributes inside it.
    pub fn nested(self) -> impl Iterator<Item = Attribute<'a>> {
        attributes(self.value, self.damage)
    }
}
