//! Looking at a medium: mounted read-only without a name in the file tree, so that nothing is left behind however we
//! end, and read without following a link.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount, unmount,
};

use super::superblock::FileSystem;
use crate::params::files;

/// A mounted medium; it is gone when this is dropped.
pub(super) struct Mounted {
    root: OwnedFd,
}

impl Mounted {
    /// Mounts a device read-only, nosuid, nodev, noexec.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn new(device: &Path, file_system: FileSystem) -> io::Result<Self> {
        match detached(device, file_system) {
            Err(Errno::NOSYS) => at_directory(device, file_system), // Before Linux 5.2.
            root => Ok(Self { root: root? }),
        }
    }

    /// Reads a regular file by its path in parts. `None` where it does not exist.
    ///
    /// # Errors
    /// A link, something that is no regular file, too large a file, or what the system said.
    pub(super) fn read(&self, directories: &[&str], name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let Some(directory) = self.directory(directories)? else {
            return Ok(None);
        };
        match open_at(&directory, name, flags)? {
            Some(file) => files::read_opened(file).map(Some),
            None => Ok(None),
        }
    }

    /// The names in a directory, sorted, at most [`files::FILES_MAX`] of those wanted; none where it does not exist.
    ///
    /// # Errors
    /// As above.
    pub(super) fn names(
        &self,
        directories: &[&str],
        wanted: fn(&OsStr) -> bool,
    ) -> io::Result<Vec<OsString>> {
        let Some(directory) = self.directory(directories)? else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in Dir::new(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if !wanted(name) {
                continue;
            }
            if names.len() == files::FILES_MAX {
                return Err(io::Error::other(format!("more than {} files", files::FILES_MAX)));
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok(names)
    }

    fn directory(&self, path: &[&str]) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut directory = open_at(&self.root, OsStr::new("."), flags)?;
        for part in path {
            let Some(parent) = directory else { break };
            directory = open_at(&parent, OsStr::new(part), flags)?;
        }
        Ok(directory)
    }
}

fn open_at(directory: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<Option<OwnedFd>> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(io::Error::other("a symbolic link")),
        Err(Errno::NOTDIR) if is_link(directory, name) => Err(io::Error::other("a symbolic link")),
        Err(error) => Err(error.into()),
    }
}

fn is_link(directory: &OwnedFd, name: &OsStr) -> bool {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink)
}

/// A mount that no directory shows: fsopen(2), fsmount(2).
fn detached(device: &Path, file_system: FileSystem) -> Result<OwnedFd, Errno> {
    let context = fsopen(file_system.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", device)?;
    fsconfig_set_flag(&context, "ro")?;
    if file_system == FileSystem::Ext4 {
        fsconfig_set_flag(&context, "noload")?; // Not even the journal is written to a foreign medium.
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// The same with mount(2): at a private directory, from which it is taken away again as soon as it is open.
fn at_directory(device: &Path, file_system: FileSystem) -> io::Result<Mounted> {
    let directory = private_directory()?;
    let options = if file_system == FileSystem::Ext4 {
        c"noload"
    } else {
        c""
    };
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = mount(device, &directory, file_system.as_str(), flags, options);
    let root = mounted.and_then(|()| {
        let root = rustix::fs::open(
            &directory,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        unmount(&directory, UnmountFlags::DETACH).and(root)
    });
    std::fs::remove_dir(&directory)?;
    Ok(Mounted { root: root? })
}

/// A new directory that only we can enter.
fn private_directory() -> io::Result<PathBuf> {
    let name = format!("ipa-sidecar-{:016x}", fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&path)?; // Fails where the name is taken, link or not.
    Ok(path)
}
