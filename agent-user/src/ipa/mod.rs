//! ironic-python-agent on this machine: its configuration drop-in, its process, unit and status, with which address it has
//! started, and its restart before the lookup.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod place;
pub mod process;
pub mod restart;
pub mod status;
pub mod token;

use std::path::Path;

use crate::image::Image;

/// What this machine's image says of its IPA, and what the arguments of one that runs already say.
pub fn image() -> Image {
    let running = process::running(None).and_then(process::seen);
    Image::of(Path::new("/"), running.as_ref())
}
