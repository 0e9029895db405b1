//! The parameters: where they come from, what they mean.

mod types;

pub use types::*;
