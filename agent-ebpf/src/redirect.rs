//! The layout of the two arrays that the guard shares with the programs of its redirect. Both sides map them, word by word:
//! neither needs a system call to read or write them.

use core::mem::{offset_of, size_of};

/// How many addresses of the API are redirected at most.
pub const ENDPOINTS: usize = 32;
/// How many redirected connects are remembered: a slot is found by the socket's cookie.
pub const ORIGINALS: u32 = 1024;
/// BPF_F_MMAPABLE (include/uapi/linux/bpf.h, Linux 5.5).
pub const MAPPABLE: u32 = 1 << 10;
/// Connects are redirected while the stamp is younger, in nanoseconds.
pub const STAMP_LIFETIME: u64 = 2_000_000_000;

/// An address as two words in the order of their bytes in memory, IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The first eight bytes.
    pub high: u64,
    /// The last eight.
    pub low: u64,
}

/// One address and port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: Words,
    /// The port in the machine's byte order; 0: the entry is empty.
    pub port: u64,
}

/// What user space lays down, and what the programs tell about the connect of the self-test.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// When the guard last showed that it works: CLOCK_MONOTONIC in nanoseconds; 0 redirects nothing.
    pub stamp: u64,
    /// The cookie of the network namespace that counts.
    pub namespace: u64,
    /// The process whose connects go out as they are: the guard itself.
    pub process: u64,
    /// The port of the listener at 127.0.0.1.
    pub listener: u64,
    /// The cookie of the socket of a self-test, which is redirected although it is the guard's own; 0: there is none.
    pub test: u64,
    /// The network namespace of that socket, as the program saw it.
    pub seen_namespace: u64,
    /// The process that connected it, as the program saw it.
    pub seen_process: u64,
    /// What is redirected.
    pub endpoints: [Endpoint; ENDPOINTS],
}

/// Where a redirected connect wanted to go.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// The cookie of its socket; 0 while the entry is written.
    pub cookie: u64,
    /// What it dialled.
    pub endpoint: Endpoint,
}

/// The length of [`Settings`], counted in units of 8 bytes.
pub const SETTINGS_WORDS: usize = size_of::<Settings>() / 8;
/// The length of [`Original`], counted in units of 8 bytes.
pub const ORIGINAL_WORDS: usize = size_of::<Original>() / 8;

/// The places of the settings' fields, counted in units of 8 bytes.
pub mod place {
    use super::{Settings, offset_of};

    /// See [`Settings::stamp`].
    pub const STAMP: usize = offset_of!(Settings, stamp) / 8;
    /// See [`Settings::namespace`].
    pub const NAMESPACE: usize = offset_of!(Settings, namespace) / 8;
    /// See [`Settings::process`].
    pub const PROCESS: usize = offset_of!(Settings, process) / 8;
    /// See [`Settings::listener`].
    pub const LISTENER: usize = offset_of!(Settings, listener) / 8;
    /// See [`Settings::test`].
    pub const TEST: usize = offset_of!(Settings, test) / 8;
    /// See [`Settings::seen_namespace`].
    pub const SEEN_NAMESPACE: usize = offset_of!(Settings, seen_namespace) / 8;
    /// See [`Settings::seen_process`].
    pub const SEEN_PROCESS: usize = offset_of!(Settings, seen_process) / 8;
    /// See [`Settings::endpoints`].
    pub const ENDPOINTS: usize = offset_of!(Settings, endpoints) / 8;
}

impl Words {
    /// Of an IPv6 address.
    pub fn of(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self {
            high: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            low: u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
        }
    }

    /// The IPv6 address.
    pub fn octets(self) -> [u8; 16] {
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) =
            (self.high.to_ne_bytes(), self.low.to_ne_bytes());
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}
