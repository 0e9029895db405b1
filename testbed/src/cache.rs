//! Where what was once fetched is kept, and the locks that let parallel tests fetch it once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The cache directory: `IPA_SIDECAR_CACHE`, else `ipa-sidecar` in `XDG_CACHE_HOME`, else in `~/.cache`.
/// It is made where it is missing.
///
/// # Errors
/// Where none of these variables is set, or the directory cannot be made.
pub fn directory() -> io::Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = set("IPA_SIDECAR_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("ipa-sidecar")))
        .or_else(|| Some(set("HOME")?.join(".cache/ipa-sidecar")))
        .ok_or_else(|| {
            io::Error::other("no cache directory: IPA_SIDECAR_CACHE, XDG_CACHE_HOME and HOME are all unset")
        })?;
    fs::create_dir_all(&path).map_err(|e| at(&path, &e))?;
    std::path::absolute(&path)
}

/// Waits until no other process holds the lock of that name; it is held until the file is dropped or we end.
///
/// # Errors
/// Where the lock file cannot be made.
pub fn lock(name: &str) -> io::Result<File> {
    let path = directory()?.join(format!("{name}.lock"));
    let file = File::create(&path).map_err(|e| at(&path, &e))?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(at(&path, &e.into())),
        }
    }
}

/// The error with the path in front.
pub(crate) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
