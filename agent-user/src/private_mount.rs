//! Mounts that only the calling thread sees: the system's own are never changed.

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

/// Mounts a file system of this kind in a mount namespace that only the calling thread gets: call it on a thread that
/// ends soon.
///
/// # Errors
/// Where the kernel refuses.
pub fn mount_privately(kind: &str, place: &str) -> Result<(), Errno> {
    new_mount_namespace()?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(kind, place, kind, flags, None)
}

/// CLONE_NEWNS of a thread wants CLONE_FS too: its working directory becomes its own (unshare(2)).
#[allow(deprecated)] // Its unsafe successor is for flags that take descriptors from under other threads; these do not.
fn new_mount_namespace() -> Result<(), Errno> {
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::FS)
}
