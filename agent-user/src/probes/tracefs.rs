//! Where tracefs is mounted. The system's own mounts are never changed: where it is missing it is mounted for the
//! calling thread alone.

use std::path::{Path, PathBuf};

use super::report::{Reason, Unavailable};
use crate::private_mount::mount_privately;

/// The places that the kernel has for it (Documentation/trace/ftrace.rst).
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Finds it, or mounts it in a mount namespace that only the calling thread gets: call it on a thread that ends soon.
///
/// # Errors
/// Where it is neither there nor can be mounted.
pub fn find() -> Result<PathBuf, Unavailable> {
    if let Some(found) = PLACES.iter().map(Path::new).find(|place| is_mounted(place)) {
        return Ok(found.to_owned());
    }
    let [place, _] = PLACES;
    mount_privately("tracefs", place).map_err(|error| {
        Unavailable::new(
            Reason::NoTracefs,
            format!("tracefs is not mounted at {place}, and cannot be: {error}"),
        )
    })?;
    Ok(PathBuf::from(place))
}

fn is_mounted(place: &Path) -> bool {
    place.join("events/sock").is_dir()
}
