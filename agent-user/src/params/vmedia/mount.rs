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
use crate::params::ipa_files::FILES_MAX;

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
            Err(Errno::NOSYS) => at_directory(device, file_system, &std::env::temp_dir()), // Before Linux 5.2.
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
            Some(file) => exporter::read_opened(file).map(Some),
            None => Ok(None),
        }
    }

    /// The names in a directory, sorted, at most [`FILES_MAX`] of those wanted; none where it does not exist.
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
            if names.len() == FILES_MAX {
                return Err(io::Error::other(format!("more than {FILES_MAX} files")));
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

/// The same with mount(2): at a new private directory in `parent`, from which it is taken away again as soon as it is open.
fn at_directory(device: &Path, file_system: FileSystem, parent: &Path) -> io::Result<Mounted> {
    let directory = private_directory(parent)?;
    let options = if file_system == FileSystem::Ext4 { c"noload" } else { c"" };
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = mount(device, &directory, file_system.as_str(), flags, options);
    let root = mounted.and_then(|()| {
        let root =
            rustix::fs::open(&directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        unmount(&directory, UnmountFlags::DETACH).and(root)
    });
    std::fs::remove_dir(&directory)?;
    Ok(Mounted { root: root? })
}

/// A new directory that only the daemon can enter.
fn private_directory(parent: &Path) -> io::Result<PathBuf> {
    let name = format!("ipa-sidecar-{:016x}", fastrand::u64(..));
    let path = parent.join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&path)?; // Fails where the name is taken, link or not.
    Ok(path)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Tools that make the image.
mod tests {
    use std::process::Command;

    use super::*;

    struct Image {
        directory: PathBuf,
        device: PathBuf,
    }

    impl Image {
        fn new() -> Self {
            let directory = private_directory(&std::env::temp_dir()).unwrap();
            let content = directory.join("content");
            std::fs::create_dir(&content).unwrap();
            std::fs::write(content.join("parameters.txt"), "a=b").unwrap();
            let image = directory.join("image");
            let made =
                Command::new("mkfs.ext4").args(["-q", "-d"]).args([&content, &image]).arg("2M").output();
            assert!(made.unwrap().status.success());
            let attached =
                Command::new("losetup").args(["--find", "--show", "--read-only"]).arg(&image).output();
            let device = String::from_utf8(attached.unwrap().stdout).unwrap().trim().into();
            Self { directory, device }
        }
    }

    impl Drop for Image {
        fn drop(&mut self) {
            let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn both_ways_of_mounting_read_the_same_and_leave_nothing() {
        if !rustix::process::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "mounting needs root");
            println!("SKIP: mounting needs root");
            return;
        }
        let image = Image::new();
        let parent = image.directory.join("parent");
        std::fs::create_dir(&parent).unwrap();
        let ways = [
            Mounted::new(&image.device, FileSystem::Ext4),
            at_directory(&image.device, FileSystem::Ext4, &parent),
        ];
        for mounted in ways {
            let mounted = mounted.unwrap();
            let content = mounted.read(&[], OsStr::new("parameters.txt")).unwrap();
            assert_eq!(content.as_deref(), Some(b"a=b".as_slice()));
            assert!(mounted.read(&["etc", "x"], OsStr::new("y")).unwrap().is_none());
            let flags = rustix::fs::fstatvfs(&mounted.root).unwrap().f_flag;
            use rustix::fs::StatVfsMountFlags as Flag;
            assert!(flags.contains(Flag::RDONLY | Flag::NOSUID | Flag::NODEV | Flag::NOEXEC), "{flags:?}");
            let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
            assert!(!mounts.contains(image.device.to_str().unwrap()), "{mounts}");
        }
        for (device, file_system) in
            [(image.device.as_path(), FileSystem::Vfat), (Path::new("/nowhere"), FileSystem::Ext4)]
        {
            assert!(Mounted::new(device, file_system).is_err());
            assert!(at_directory(device, file_system, &parent).is_err());
        }
        let left = std::fs::read_dir(&parent).unwrap();
        assert_eq!(left.count(), 0, "directories stay behind");
    }
}
