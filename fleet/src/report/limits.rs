//! How many reports one source may send. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// One more after this time.
const PACE: Duration = Duration::from_millis(500);
/// So many may follow each other at once, as a sidecar sends them around a heartbeat.
const SAVED: u32 = 8;
/// So many sources are remembered; there are no more nodes.
const SOURCES: usize = 1000;

/// What each source may still send.
#[derive(Debug, Default)]
pub struct Limits(HashMap<IpAddr, Source>);

#[derive(Debug)]
struct Source {
    left: u32,
    since: Instant,
}

impl Source {
    fn refill(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.since).as_millis() / PACE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(SAVED).min(SAVED);
        self.left = (self.left + earned).min(SAVED);
        self.since = if self.left == SAVED { now } else { self.since + PACE * earned };
    }
}

impl Limits {
    /// Whether this one may send another report now. Where too many sources send, a new one may not.
    pub fn allow(&mut self, source: IpAddr, now: Instant) -> bool {
        let source = network(source);
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            self.0.retain(|_, known| {
                known.refill(now);
                known.left < SAVED
            });
            if self.0.len() >= SOURCES {
                return false;
            }
        }
        let known = self.0.entry(source).or_insert(Source { left: SAVED, since: now });
        known.refill(now);
        match known.left.checked_sub(1) {
            Some(left) => {
                known.left = left;
                true
            }
            None => false,
        }
    }
}

/// A host of IPv6 has a whole /64 of addresses (RFC 4291, 2.5.4).
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_100_000_in_a_minute_a_hundred_and_some_are_taken() {
        let (mut limits, begin) = (Limits::default(), Instant::now());
        let source = "192.0.2.1".parse().unwrap();
        let taken =
            (0..100_000_u32).filter(|nth| limits.allow(source, begin + Duration::from_micros(600) * *nth));
        assert_eq!(taken.count(), 8 + 119);
        assert!(limits.allow("192.0.2.2".parse().unwrap(), begin), "another one has its own");
    }

    #[test]
    fn the_addresses_of_one_host_count_together() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let address = |last: u32| format!("2001:db8::{last:x}").parse().unwrap();
        assert_eq!((0..100).filter(|last| limits.allow(address(*last), now)).count(), 8);
        assert!(limits.allow("2001:db8:0:1::1".parse().unwrap(), now));
    }

    #[test]
    fn memory_is_bounded_and_idle_sources_make_room() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let many = (0..5000_u32).filter(|last| limits.allow(IpAddr::V4((0x0a00_0000 + last).into()), now));
        assert_eq!(many.count(), SOURCES);
        assert_eq!(limits.0.len(), SOURCES);
        let later = now + Duration::from_secs(10);
        assert!(limits.allow("192.0.2.1".parse().unwrap(), later));
        assert_eq!(limits.0.len(), 1);
    }
}
