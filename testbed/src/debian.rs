//! Debian's packages, unpacked and not installed.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output};

use crate::cache::at;

/// Fetches packages and unpacks them into `root`. They are unpacked beside it and renamed after `finish`, so that what is
/// there is whole.
///
/// # Errors
/// Where apt has no such package, or it cannot be unpacked.
pub fn unpack(
    packages: &[String],
    root: &Path,
    finish: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let unpacked = root.with_extension("part");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    let files = unpacked.join("packages");
    fs::create_dir_all(&files).map_err(|error| at(&files, &error))?;
    let mut apt = Command::new("apt-get");
    // As root apt would drop its rights, and could not write here then.
    apt.args(["-q", "-o", "APT::Sandbox::User=root", "download"]).args(packages).current_dir(&files);
    run(&mut apt)?;
    for file in fs::read_dir(&files)? {
        run(Command::new("dpkg-deb").arg("-x").arg(file?.path()).arg(&unpacked))?;
    }
    fs::remove_dir_all(&files)?;
    finish(&unpacked)?;
    fs::rename(&unpacked, root)
}

/// Runs a program; an error where it does not end well, with what it said.
pub(crate) fn run(command: &mut Command) -> io::Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name} ended with {}: {}", output.status, said.trim())))
}
