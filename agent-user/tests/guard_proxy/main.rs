//! The guard between a client that speaks as IPA does and a stand-in Ironic: gate, repair, hold, silence, bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../guard_setup/mod.rs"]
mod setup;

mod bytes;
mod gate;
mod heartbeat;
mod hostile;
mod http;
mod latency;
mod observed;
mod read_back;
mod repair;
mod restart;
mod signals;
mod silence;
