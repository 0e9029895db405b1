//! `ipa-fleet` before an Ironic that is away, slow, broken or hostile, and before logs of every kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod answers;
mod fake;
mod hostile;
mod keystone;
mod logs;
mod page;
mod run;
mod running;
mod tls;
mod usage;
