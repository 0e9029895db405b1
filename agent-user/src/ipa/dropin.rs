//! The one file that the daemon writes: IPA's configuration drop-in. It is there whole or not at all, whenever the daemon dies.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use callback_url::Host;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::image::place::DROPIN_NAME;

use super::token;

/// How every drop-in of ipa-sidecar begins, of every version.
const SIGNATURE: &str = "# Written by ipa-sidecar";

/// More than any drop-in of ipa-sidecar has.
const CONTENT_MAX: usize = 4096;

/// How the line with the address begins.
const OPTION: &str = "advertise_host = ";

/// The directories that images give to IPA: ironic-python-agent-builder's, RDO's, the container images'. An own drop-in
/// may lie in each of them, of an earlier run with another `--ipa.config-dir`.
const KNOWN_DIRECTORIES: [&str; 3] =
    ["/etc/ironic-python-agent.d", "/etc/ironic-python-agent.conf.d", "/etc/ironic-python-agent"];

/// Does not end in `.conf`, so that IPA never reads it.
const TEMPORARY_NAME: &str = ".zz-ipa-sidecar.new";

/// Why the drop-in is not on disk as it should be.
#[derive(Debug, Error)]
#[error("cannot {action} {path:?}: {error}{}", hint(error))]
pub struct DropinError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "; IPA's configuration directory must exist and be among those that IPA reads (see --ipa.config-dir)"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the directory must be writable: name it in ReadWritePaths= of ipa-sidecar.service, or give IPA another --config-dir"
        }
        io::ErrorKind::StorageFull => "; make room and it is written at the next try",
        _ => "",
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file has new content.
    Changed,
    /// It had this content already.
    Unchanged,
}

/// The content that makes IPA advertise `address`. IPv6 without brackets: IPA adds them itself.
pub fn content(address: &Host) -> String {
    let address = address.bare();
    format!(
        "{SIGNATURE}: the address from which the kernel reaches the Ironic API.\n\
         # Without this file ironic-python-agent chooses for itself.\n\
         [DEFAULT]\n\
         {OPTION}{address}\n"
    )
}

/// How the drop-in begins where there is no address to give.
pub fn content_without_address() -> String {
    format!("{SIGNATURE}: there is no address to advertise.\n[DEFAULT]\n")
}

/// What is on disk, where the daemon wrote it. The bytes are wiped: a token may be in them.
pub fn read(directory: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let path = directory.join(DROPIN_NAME);
    // At its final size from the beginning: what grows leaves copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(CONTENT_MAX));
    let is_file = fs::symlink_metadata(&path).is_ok_and(|file| file.is_file());
    let file = is_file.then(|| File::open(&path).ok()).flatten()?;
    file.take(CONTENT_MAX as u64).read_to_end(&mut content).ok()?;
    content.starts_with(SIGNATURE.as_bytes()).then_some(content)
}

/// Writes the drop-in where its content differs: into a temporary file, to disk, then renamed. One with a token in it is
/// for its owner only.
///
/// # Errors
/// What failed, where, and what would help. The old file is then still there.
pub fn write(directory: &Path, content: &str) -> Result<Written, DropinError> {
    let path = directory.join(DROPIN_NAME);
    if read(directory).is_some_and(|old| *old == content.as_bytes()) {
        return Ok(Written::Unchanged);
    }
    let temporary = directory.join(TEMPORARY_NAME);
    let result = write_temporary(&temporary, content).and_then(|()| {
        fs::rename(&temporary, &path).map_err(failed("rename to", &path))?;
        sync_directory(directory)
    });
    if result.is_err() {
        // What a full disk took of it helps no node; it may not exist at all.
        let _ = fs::remove_file(&temporary);
    }
    result.map(|()| Written::Changed)
}

/// Whether the drop-in on disk gives this address.
pub fn says(directory: &Path, address: &Host) -> bool {
    let line = format!("{OPTION}{}", address.bare());
    let content = read(directory).unwrap_or_default();
    content.split(|byte| *byte == b'\n').any(|found| found == line.as_bytes())
}

/// Removes the drop-in and what an interrupted write left.
///
/// # Errors
/// Where it is there and cannot be removed.
pub fn remove(directory: &Path) -> Result<Written, DropinError> {
    let mut written = Written::Unchanged;
    for name in [TEMPORARY_NAME, DROPIN_NAME] {
        let path = directory.join(name);
        match fs::remove_file(&path) {
            Ok(()) => written = Written::Changed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &path)(error)),
        }
    }
    if written == Written::Changed {
        sync_directory(directory)?;
    }
    Ok(written)
}

/// Removes own drop-ins that no mode keeps: of an earlier mode, or of another directory. `kept` is the directory of the
/// one that this run keeps; `others` are those that IPA reads or the operator has named.
pub fn remove_left_behind<'a>(others: impl IntoIterator<Item = &'a Path>, kept: Option<&Path>) {
    let known = KNOWN_DIRECTORIES.map(Path::new);
    let mut done: Vec<PathBuf> = kept.into_iter().map(resolved).collect();
    for directory in known.into_iter().chain(others) {
        // One of them may be a link to another.
        let directory = resolved(directory);
        if done.contains(&directory) {
            continue;
        }
        let path = directory.join(DROPIN_NAME);
        if is_ours(&path) {
            match remove(&directory) {
                Ok(_) => tracing::info!(?path, "removed the drop-in of an earlier run"),
                Err(error) => tracing::error!(%error, "could not remove the drop-in of an earlier run"),
            }
        }
        done.push(directory);
    }
}

fn resolved(directory: &Path) -> PathBuf {
    fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned())
}

/// Whether its first line is the daemon's. A link is not: the daemon never wrote one.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.is_file())
        && exporter::read_file(path).is_ok_and(|content| content.starts_with(SIGNATURE.as_bytes()))
}

fn write_temporary(path: &Path, content: &str) -> Result<(), DropinError> {
    // A file left by an interrupted write is replaced; whatever else has this name (a symbolic link) is not followed.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if token::stands_in(content.as_bytes()) { 0o600 } else { 0o644 })
        .open(path)
        .map_err(failed("create", path))?;
    file.write_all(content.as_bytes()).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("sync", path))
}

fn sync_directory(directory: &Path) -> Result<(), DropinError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("sync", directory))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DropinError + use<> {
    let path = path.to_owned();
    move |error| DropinError { action, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ipa-sidecar-dropin-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn writes_only_changes_and_leaves_nothing_else() {
        let directory = Directory::new("write");
        let one = content(&Host::parse("172.25.134.128").unwrap());
        let other = content(&Host::parse("fd00::1").unwrap());
        assert!(one.ends_with("\nadvertise_host = 172.25.134.128\n"));
        assert!(other.ends_with("\nadvertise_host = fd00::1\n"), "IPA adds the brackets itself");
        fs::write(directory.0.join(TEMPORARY_NAME), "half").unwrap();
        assert_eq!(write(&directory.0, &one).unwrap(), Written::Changed);
        assert_eq!(write(&directory.0, &one).unwrap(), Written::Unchanged);
        assert_eq!(write(&directory.0, &other).unwrap(), Written::Changed);
        assert_eq!(directory.names(), [DROPIN_NAME]);
        assert_eq!(fs::read_to_string(directory.0.join(DROPIN_NAME)).unwrap(), other);
        assert_eq!(remove(&directory.0).unwrap(), Written::Changed);
        assert_eq!(remove(&directory.0).unwrap(), Written::Unchanged);
        assert!(directory.names().is_empty());
    }

    #[test]
    fn only_own_files_that_no_mode_keeps_are_removed() {
        let (one, other) = (Directory::new("left"), Directory::new("kept"));
        let ours = content(&Host::parse("192.0.2.1").unwrap());
        for directory in [&one, &other] {
            write(&directory.0, &ours).unwrap();
        }
        remove_left_behind([&*one.0], Some(&one.0));
        assert_eq!(one.names(), [DROPIN_NAME], "this run keeps it");
        remove_left_behind([&*one.0], Some(&other.0));
        assert!(one.names().is_empty());
        assert_eq!(other.names(), [DROPIN_NAME]);
        write(&one.0, "[DEFAULT]\nadvertise_host = 192.0.2.1\n").unwrap();
        remove_left_behind([&*one.0], None);
        assert_eq!(one.names(), [DROPIN_NAME], "another program wrote it");
        std::os::unix::fs::symlink(other.0.join(DROPIN_NAME), one.0.join("link")).unwrap();
        fs::rename(one.0.join("link"), one.0.join(DROPIN_NAME)).unwrap();
        remove_left_behind([&*one.0], None);
        assert_eq!(one.names(), [DROPIN_NAME], "a link is not ours");
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let directory = Directory::new("link");
        let victim = directory.0.join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, directory.0.join(TEMPORARY_NAME)).unwrap();
        write(&directory.0, "x").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn our_unit_works_under_each_name_of_ipas_and_may_write_to_each_directory() {
        let ours = include_str!("../../../ramdisk/ipa-sidecar.service");
        let values = |key: &str| {
            let line = ours.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
            line.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let units = crate::image::unit::UNITS;
        assert_eq!(values("Before"), units);
        assert_eq!(values("WantedBy"), [&units[..], &["multi-user.target"]].concat());
        assert_eq!(values("ReadWritePaths"), KNOWN_DIRECTORIES.map(|directory| format!("-{directory}")));
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = write(Path::new("/nonexistent/ipa.d"), "x").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/ipa.d") && error.contains("--ipa.config-dir"), "{error}");
    }
}
