//! What `ipa-sidecar status` asks the daemon of this machine: a unix socket beside what is kept, for root and the daemon's
//! own user. A password or TLS on the pages does not matter there.
//!
//! The client sends one line, [`TEXT`] or [`JSON`]. The answer is one line, [`READY`] or [`NOT_READY`] and the length of
//! what follows in bytes, and that.

mod door;
mod serve;

pub use door::{Door, FILE, open};
pub use serve::serve;

/// What the page says, for a console.
pub const TEXT: &str = "text";
/// `/state`.
pub const JSON: &str = "json";
/// As `/-/ready` with status 200.
pub const READY: &str = "ready";
/// As `/-/ready` with status 503.
pub const NOT_READY: &str = "not_ready";
