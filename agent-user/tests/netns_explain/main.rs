//! `ipa-sidecar explain` on the real kernel, each machine in a network namespace of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../netns_setup/mod.rs"]
mod netns_setup;

mod addresses;
mod names;
mod refusals;
mod routes;
mod witness;
