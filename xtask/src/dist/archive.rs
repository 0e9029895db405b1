//! Files of the release, and the archive of them: the same files give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::process;

/// What tar must be given so that nothing of this machine is in an archive: owners, times, order.
pub const REPRODUCIBLE: [&str; 7] = [
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=go=rX,u+rw",
    "--format=gnu",
];

/// Copies a file with its permissions; directories are made.
///
/// # Errors
/// Where one cannot be read or the other not be written.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    fs::copy(from, to).map(drop).with_context(|| format!("{} to {}", from.display(), to.display()))
}

/// Copies a directory and all below it.
///
/// # Errors
/// As [`copy`].
pub fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() { copy_tree(&entry.path(), &to)? } else { copy(&entry.path(), &to)? }
    }
    Ok(())
}

/// Packs a directory as `DIRECTORY.tar.zst` beside it, without anything of this machine.
///
/// # Errors
/// Where `tar` fails.
pub fn pack(directory: &Path) -> anyhow::Result<PathBuf> {
    let parent = directory.parent().context("a release has a parent directory")?;
    let name = directory.file_name().context("a release has a name")?;
    let mut archive = name.to_owned();
    archive.push(".tar.zst");
    let mut tar = Command::new("tar");
    tar.args(REPRODUCIBLE);
    tar.args(["--use-compress-program=zstd -19 -T1 -q", "-cf"]).arg(&archive).arg(name);
    process::run(tar.current_dir(parent))?;
    Ok(parent.join(archive))
}
