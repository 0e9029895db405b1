//! Where a path of another process leads: it may have another root, and directories of ours mounted in it. The list of
//! mounts of every process may be read by everybody (proc_pid_mountinfo(5)); its root only with CAP_SYS_PTRACE.

use std::path::{Path, PathBuf};

/// A directory, whoever names it: its file system, and its path in that.
pub type Identity = (String, PathBuf);

/// What lies at `path` for the process with these mounts. Links are not followed.
pub fn identity(mountinfo: &str, path: &Path) -> Option<Identity> {
    let mut found: Option<(usize, Identity)> = None;
    for line in mountinfo.lines() {
        let mut words = line.split_ascii_whitespace().skip(2);
        let (device, root, point) = (words.next()?, words.next()?, words.next()?);
        let Ok(below) = path.strip_prefix(point) else { continue };
        // The longest mount point counts, of equal ones the last: it lies over the others.
        if found.as_ref().is_none_or(|(longest, _)| point.len() >= *longest) {
            found = Some((point.len(), (device.to_owned(), Path::new(root).join(below))));
        }
    }
    found.map(|(_, identity)| identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "21 1 0:2 / / rw shared:1 - rootfs rootfs rw\n\
                        22 21 0:5 / /proc rw - proc proc rw\n\
                        23 21 0:30 / /run rw - tmpfs tmpfs rw\n";
    /// As podman mounts the host's root at /mnt/coreos, and one file of it.
    const CONTAINER: &str = "50 40 0:77 / / rw - overlay overlay rw\n\
                             51 50 0:2 / /mnt/coreos rw - rootfs rootfs rw\n\
                             52 50 0:2 /etc/given /etc/taken rw - rootfs rootfs rw\n";

    fn at(mountinfo: &str, path: &str) -> Identity {
        identity(mountinfo, Path::new(path)).unwrap()
    }

    #[test]
    fn a_directory_is_known_through_another_root() {
        let ours = at(HOST, "/etc/ironic-python-agent.d");
        assert_eq!(at(HOST, "/etc/ironic-python-agent.d/"), ours);
        assert_eq!(at(CONTAINER, "/mnt/coreos/etc/ironic-python-agent.d"), ours);
        assert_ne!(at(CONTAINER, "/etc/ironic-python-agent.d"), ours);
        assert_eq!(at(CONTAINER, "/etc/taken/x"), at(HOST, "/etc/given/x"));
        assert_ne!(at(HOST, "/run/x"), at(CONTAINER, "/run/x"));
        assert_eq!(identity("", Path::new("/etc")), None);
        assert_eq!(identity("21 1", Path::new("/etc")), None);
    }
}
