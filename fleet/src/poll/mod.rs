//! What is asked of Ironic: every page of a listing, one node after the other, one request at a time.

mod look;
mod walk;

pub use look::{HIDDEN, Look, Wish, look, narrow, nobody};
pub use walk::{Listing, key, walk};
