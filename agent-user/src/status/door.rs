//! The socket in its directory: made at the start, removed at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// The socket; its temporary sibling has a dot before it.
pub const FILE: &str = "status.sock";
const TEMPORARY: &str = ".status.sock.new";
/// Only its owner may connect (unix(7): that needs write permission).
const OWNER_ONLY: u32 = 0o600;

/// A socket that listens; its file goes with it, where nobody has replaced that.
#[derive(Debug)]
pub struct Door {
    pub listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Opens the socket in this directory. The daemon works without it: trouble is logged, once.
pub fn open(directory: &Path) -> Option<Door> {
    Door::open(directory)
        .inspect_err(|error| {
            tracing::warn!(%error, ?directory, "`ipa-sidecar status` will not work: could not create its socket");
        })
        .ok()
}

impl Door {
    /// The socket of a daemon that was killed is replaced. In one step, so that whoever connects finds it with its
    /// permissions.
    fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let (path, temporary) = (directory.join(FILE), directory.join(TEMPORARY));
        let _ = fs::remove_file(&temporary); // Of a start that was interrupted.
        let listener = UnixListener::bind(&temporary)?;
        let placed = fs::set_permissions(&temporary, Permissions::from_mode(OWNER_ONLY))
            .and_then(|()| fs::symlink_metadata(&temporary))
            .and_then(|file| fs::rename(&temporary, &path).map(|()| file.ino()));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        Ok(Self { listener, path, inode: placed? })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode);
        if is_ours {
            let _ = fs::remove_file(&self.path); // What stays is replaced by the next daemon.
        }
    }
}

#[cfg(test)]
mod tests {
    use testbed::site::{Directory, names};

    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_only_our_own_is_removed() {
        let directory = Directory::new("door");
        let place = directory.file("made/by/us");
        let killed = std::os::unix::net::UnixListener::bind({
            fs::create_dir_all(&place).unwrap();
            place.join(FILE)
        });
        drop(killed); // Its file stays, as of a killed daemon.
        let first = open(&place).unwrap();
        assert_eq!(names(&place), [FILE]);
        assert_eq!(fs::metadata(place.join(FILE)).unwrap().mode() & 0o777, OWNER_ONLY);
        std::os::unix::net::UnixStream::connect(place.join(FILE)).unwrap();
        let second = open(&place).unwrap();
        drop(first);
        std::os::unix::net::UnixStream::connect(place.join(FILE)).unwrap();
        drop(second);
        assert!(names(&place).is_empty());
    }

    #[tokio::test]
    async fn a_place_where_nothing_can_be_made_is_no_socket() {
        let directory = Directory::new("door-none");
        directory.write("file", "no directory");
        assert!(open(&directory.file("file")).is_none());
        directory.write(&format!("taken/{FILE}/file"), "");
        assert!(open(&directory.file("taken")).is_none());
        assert_eq!(names(&directory.file("taken")), [FILE]);
        assert!(open(&directory.file(&"long".repeat(40))).is_none(), "unix(7): 108 bytes");
    }
}
