//! What the eBPF probes see, and what the daemon does without them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod callback;
#[cfg(feature = "ebpf")]
mod connect;
#[cfg(feature = "ebpf")]
mod degrade;
#[cfg(all(feature = "ebpf", target_arch = "x86_64"))]
mod guest;
#[cfg(feature = "ebpf")]
mod overload;
mod place;
