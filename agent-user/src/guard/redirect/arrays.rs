//! The two arrays that the daemon shares with the programs (see `agent_ebpf::redirect`), as words.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use agent_ebpf::redirect::{ENDPOINTS, Endpoint, ORIGINAL_WORDS, ORIGINALS, SETTINGS_WORDS, Words, place};
use aya::Ebpf;
use rustix::time::{ClockId, clock_gettime};

use crate::probes::Unavailable;
use crate::probes::load::map_array;
use crate::system::SharedWords;

/// Words of one endpoint: address and port.
const ENDPOINT_WORDS: usize = size_of::<Endpoint>() / 8;

/// Both arrays, mapped.
#[derive(Debug)]
pub struct Arrays {
    settings: SharedWords,
    originals: SharedWords,
}

impl Arrays {
    /// Maps them.
    ///
    /// # Errors
    /// Where the object has no such maps, or the kernel (before Linux 5.5) does not map them.
    pub fn of(ebpf: &mut Ebpf) -> Result<Self, Unavailable> {
        let originals = ORIGINAL_WORDS * ORIGINALS as usize;
        Ok(Self {
            settings: map_array(ebpf, "REDIRECT", SETTINGS_WORDS)?,
            originals: map_array(ebpf, "REDIRECTED", originals)?,
        })
    }

    /// Writes one of the settings.
    pub fn set(&self, place: usize, value: u64) {
        if let Some(word) = self.settings.words().get(place) {
            word.store(value, Ordering::Release);
        }
    }

    /// Reads one of them.
    pub fn get(&self, place: usize) -> u64 {
        self.settings.words().get(place).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Stamps: now, on the clock of the programs (`bpf_ktime_get_ns` is CLOCK_MONOTONIC).
    pub fn stamp(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000;
        self.set(place::STAMP, nanoseconds + u64::try_from(now.tv_nsec).unwrap_or(0));
    }

    /// Redirects these and no others; those that do not fit are left out.
    pub fn set_endpoints(&self, endpoints: &[SocketAddr]) {
        let wanted = endpoints.iter().map(Some).chain(std::iter::repeat(None));
        for (index, endpoint) in wanted.take(ENDPOINTS).enumerate() {
            let port = place::ENDPOINTS + index * ENDPOINT_WORDS + 2;
            let (words, number) = endpoint
                .map_or((Words::default(), 0), |endpoint| (words(endpoint.ip()), u64::from(endpoint.port())));
            if [words.high, words.low, number] == [self.get(port - 2), self.get(port - 1), self.get(port)] {
                continue;
            }
            self.set(port, 0); // A program never finds half of an old and half of a new one.
            self.set(port - 2, words.high);
            self.set(port - 1, words.low);
            self.set(port, number);
        }
    }

    /// What the socket with this cookie dialled; `None` where that is not known (any more).
    pub fn original(&self, cookie: u64) -> Option<SocketAddr> {
        let index = usize::try_from(cookie % u64::from(ORIGINALS)).ok()? * ORIGINAL_WORDS;
        let entry = self.originals.words().get(index..index + ORIGINAL_WORDS)?;
        let read = |place: usize| entry.get(place).map(|word: &AtomicU64| word.load(Ordering::Acquire));
        let before = read(0)?;
        let (high, low, port) = (read(1)?, read(2)?, read(3)?);
        let is_it = cookie != 0 && before == cookie && read(0)? == cookie;
        let ip = IpAddr::V6(Ipv6Addr::from(Words { high, low }.octets())).to_canonical();
        is_it.then_some(SocketAddr::new(ip, u16::try_from(port).ok()?))
    }
}

fn words(ip: IpAddr) -> Words {
    Words::of(match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    })
}
