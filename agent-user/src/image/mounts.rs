//! Where a path of another process leads: it may have another root, and directories of this host mounted in it. The list of
//! mounts of every process may be read by everybody (proc_pid_mountinfo(5)); its root only with CAP_SYS_PTRACE. Pure.

use std::path::{Path, PathBuf};

use super::reading::View;

/// The lists of mounts of this process and of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    own: String,
    its: String,
}

impl Mounts {
    /// From the `mountinfo` of both.
    pub fn of(own: String, its: String) -> Self {
        Self { own, its }
    }

    /// Whether it has another root than this process. Unknown counts as no.
    pub fn is_contained(&self) -> bool {
        let root = Path::new("/");
        identity(&self.own, root).zip(identity(&self.its, root)).is_some_and(|(ours, its)| ours != its)
    }

    /// Whether this lies in the container's own file system, which goes with it.
    fn is_its_own(&self, (device, _): &Identity) -> bool {
        let root = |mounts| identity(mounts, Path::new("/")).map(|(device, _)| device);
        root(&self.its).as_ref() == Some(device) && root(&self.own).as_ref() != Some(device)
    }

    /// Where this process sees it.
    fn seen(&self, wanted: &Identity) -> Option<PathBuf> {
        let (device, path) = wanted;
        let candidates = mounts(&self.own).filter(|mount| mount.device == device).filter_map(|mount| {
            let below = path.strip_prefix(mount.root).ok()?;
            Some(Path::new(mount.point).join(below).components().collect::<PathBuf>())
        });
        // Another mount may lie over it.
        candidates.into_iter().find(|candidate| identity(&self.own, candidate).as_ref() == Some(wanted))
    }
}

impl View for Mounts {
    fn on_host(&self, inside: &Path) -> Option<PathBuf> {
        let wanted = identity(&self.its, inside).filter(|found| !self.is_its_own(found))?;
        self.seen(&wanted)
    }

    fn mounted_in(&self, inside: &Path) -> Vec<PathBuf> {
        let is_config = |path: &Path| path.extension().is_some_and(|kind| kind == "conf");
        let points = mounts(&self.its).map(|mount| Path::new(mount.point));
        let mut points: Vec<_> = points.filter(|p| p.parent() == Some(inside) && is_config(p)).collect();
        points.sort();
        points.into_iter().filter_map(|point| self.on_host(point)).collect()
    }
}

/// A directory, whoever names it: its file system, and its path in that.
type Identity = (String, PathBuf);

/// One line.
struct Mount<'a> {
    device: &'a str,
    root: &'a str,
    point: &'a str,
}

fn mounts(mountinfo: &str) -> impl Iterator<Item = Mount<'_>> {
    mountinfo.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(2);
        Some(Mount { device: words.next()?, root: words.next()?, point: words.next()? })
    })
}

/// What lies at `path` for the process with these mounts. Links are not followed.
fn identity(mountinfo: &str, path: &Path) -> Option<Identity> {
    let over = mounts(mountinfo).filter(|mount| path.starts_with(mount.point));
    // The longest mount point counts, of equal ones the last: it lies over the others.
    let mount = over.max_by_key(|mount| mount.point.len())?;
    let below = path.strip_prefix(mount.point).ok()?;
    Some((mount.device.to_owned(), Path::new(mount.root).join(below).components().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "21 1 0:2 / / rw shared:1 - rootfs rootfs rw\n\
                        22 21 0:5 / /proc rw - proc proc rw\n\
                        23 21 0:30 / /run rw - tmpfs tmpfs rw\n\
                        24 21 0:77 / /var/lib/containers/merged rw - overlay overlay rw\n\
                        25 21 0:31 /b /srv rw - tmpfs tmpfs rw\n";
    /// As podman mounts the host's root at /mnt/coreos, and two files of it.
    const CONTAINER: &str = "50 40 0:77 / / rw - overlay overlay rw\n\
                             51 50 0:2 / /mnt/coreos rw - rootfs rootfs rw\n\
                             52 50 0:2 /etc/b.conf /etc/ipa/b.conf rw - rootfs rootfs rw\n\
                             53 50 0:2 /etc/a.conf /etc/ipa/a.conf rw - rootfs rootfs rw\n\
                             54 50 0:31 / /volume rw - tmpfs tmpfs rw\n";

    fn on_host(its: &str, path: &str) -> Option<String> {
        let path = Mounts::of(HOST.to_owned(), its.to_owned()).on_host(Path::new(path))?;
        Some(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_path_is_known_through_another_root() {
        for (inside, expected) in [
            ("/mnt/coreos/etc/ironic-python-agent.d/", Some("/etc/ironic-python-agent.d")),
            ("/mnt/coreos", Some("/")),
            ("/etc/ironic-python-agent.d", None), // The container's own, though it lies in our file system as well.
            ("/etc/ipa/a.conf", Some("/etc/a.conf")),
            ("/volume/b/x", Some("/srv/x")),
            ("/volume/c", None),         // No mount of this test leads there.
            ("/mnt/coreos/srv/x", None), // Another mount lies over it here.
        ] {
            assert_eq!(on_host(CONTAINER, inside).as_deref(), expected, "{inside}");
        }
        assert_eq!(on_host("", "/etc"), None);
        assert_eq!(on_host("21 1", "/etc"), None);
        let mounts = Mounts::of(HOST.to_owned(), CONTAINER.to_owned());
        let found = mounts.mounted_in(Path::new("/etc/ipa"));
        assert_eq!(found, [Path::new("/etc/a.conf"), Path::new("/etc/b.conf")]);
    }

    #[test]
    fn another_root_is_a_container_and_an_unknown_one_is_none() {
        let is = |its: &str| Mounts::of(HOST.to_owned(), its.to_owned()).is_contained();
        assert!(is(CONTAINER) && !is(HOST) && !is(""));
        assert!(!Mounts::default().is_contained());
    }
}
