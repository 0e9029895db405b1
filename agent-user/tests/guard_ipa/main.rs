//! The guard between the real ironic-python-agent and the real Ironic, and between the seed's agent and Ironic.
//! Each test prints what it measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

mod before_address;
mod dual_stack;
mod fail_open;
mod lab;
mod pass_through;
mod seed;
mod systemd;
