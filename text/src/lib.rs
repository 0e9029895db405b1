//! The ground floor of every crate here: closed sets of labels, secrets, and foreign text made fit to show.

mod foreign;
mod labels;
mod secret;

pub use foreign::{foreign_text, inert, printable, redact};
pub use secret::{MASK, Secret, SecretBytes};

/// What the expansion of [`labels!`] needs.
#[doc(hidden)]
pub use serde;
