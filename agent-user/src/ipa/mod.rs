//! ironic-python-agent on this machine: its configuration drop-in, its process, unit and status, and with which address it
//! has started.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod place;
pub mod process;
pub mod status;

use std::path::Path;

use crate::image::Image;

/// What this machine's image says of its IPA, and what the arguments of one that runs already say.
pub fn image() -> Image {
    let running = process::running(None).and_then(process::seen);
    Image::of(Path::new("/"), running.as_ref())
}
