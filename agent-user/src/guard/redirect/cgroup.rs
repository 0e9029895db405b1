//! The root of the cgroup2 hierarchy: programs that are attached there see every process of the machine.

use std::fs::File;
use std::path::PathBuf;

use crate::private_mount::mount_privately;
use crate::probes::{Reason, Unavailable};

/// Where systemd has it, and where it can be mounted.
const PLACE: &str = "/sys/fs/cgroup";

/// Opens it; where it is not mounted, it is mounted for the calling thread alone, which should end soon.
///
/// # Errors
/// Where it is neither there nor can be mounted.
pub fn open_root() -> Result<File, Unavailable> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let none = |why: String| Unavailable::new(Reason::NoCgroup, format!("no cgroup2 hierarchy: {why}"));
    let place = match root(&mounts) {
        Some(place) => place,
        None => {
            mount_privately("cgroup2", PLACE)
                .map_err(|error| none(format!("it is not mounted, and cannot be at {PLACE}: {error}")))?;
            PathBuf::from(PLACE)
        }
    };
    File::open(&place).map_err(|error| none(format!("{}: {error}", place.display())))
}

/// The mount point of a whole cgroup2 hierarchy in the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn root(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_hierarchy_is_found() {
        let others = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw\n\
                      38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
                      39 31 0:36 /part /mnt rw shared:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(root(others), None);
        let all =
            format!("{others}41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 none rw\n");
        assert_eq!(root(&all), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }
}
