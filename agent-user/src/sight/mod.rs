//! Sight: what IPA and Ironic say to each other, seen by the kernel, with nothing in its way.

pub mod chunk;
pub mod tls;
