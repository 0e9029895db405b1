//! Error numbers by name.

use std::fmt;

/// A positive error number of the kernel (`include/uapi/asm-generic/errno.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// The names of the errors that netlink answers with, and that connect(2) and tcp(7) can end with
/// (include/uapi/asm-generic/errno-base.h and errno.h).
pub const ERRNO_NAMES: [(i32, &str); 24] = [
    (1, "EPERM"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (16, "EBUSY"),
    (19, "ENODEV"),
    (22, "EINVAL"),
    (32, "EPIPE"),
    (71, "EPROTO"),
    (92, "ENOPROTOOPT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (126, "ENOKEY"),
];

impl Errno {
    /// There is no such thing, like the socket that was asked about.
    pub const NOENT: Self = Self(2);
    /// The routing tables say `prohibit`.
    pub const ACCES: Self = Self(13);
    /// There is no such device.
    pub const NODEV: Self = Self(19);
    /// The routing tables say `blackhole` (or the question was malformed).
    pub const INVAL: Self = Self(22);
    /// This kernel lacks what was asked for.
    pub const OPNOTSUPP: Self = Self(95);
    /// This kernel lacks the address family.
    pub const AFNOSUPPORT: Self = Self(97);
    /// The device is down.
    pub const NETDOWN: Self = Self(100);
    /// No route matches.
    pub const NETUNREACH: Self = Self(101);
    /// The routing tables say `unreachable`.
    pub const HOSTUNREACH: Self = Self(113);

    /// The C name, where it is one of [`ERRNO_NAMES`].
    pub fn name(self) -> Option<&'static str> {
        ERRNO_NAMES.iter().find_map(|(number, name)| (*number == self.0).then_some(*name))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}
