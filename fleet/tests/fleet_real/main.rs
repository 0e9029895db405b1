//! `ipa-fleet` against a real Ironic, with http_basic and with a real Keystone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod basic;
mod keystone;
mod lab;
mod relay;
mod run;
mod words;
