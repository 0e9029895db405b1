//! The two files of /etc whose appearance or change matters: `resolv.conf` and `.rescued`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::system;
use crate::tick::Tick;

/// Where inotify cannot be had, and behind a chain of symbolic links, a look now and then must do.
const LOOK: Duration = Duration::from_secs(30);

/// What can change the content of a file in a directory.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB);

/// What was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// `resolv.conf` is another than before.
    ResolvConf,
    /// `.rescued` has appeared: the machine belongs to a tenant's network now.
    Rescued,
}

/// Watches a directory, which is `/etc` outside of tests.
#[derive(Debug)]
pub struct EtcWatch {
    directory: PathBuf,
    inotify: Option<AsyncFd<OwnedFd>>,
    resolv_conf: Option<(SystemTime, u64)>,
    look: Tick,
}

impl EtcWatch {
    /// Begins to watch; what happens from now on is not missed.
    pub fn begin(directory: &Path) -> Self {
        let inotify = open(directory)
            .inspect_err(|error| tracing::debug!(%error, ?directory, "no inotify; looking every 30 s"))
            .ok();
        let resolv_conf = stamp(&directory.join("resolv.conf"));
        let watch = Self { directory: directory.to_owned(), inotify, resolv_conf, look: Tick::every(LOOK) };
        watch.follow_link();
        watch
    }

    /// systemd-resolved and NetworkManager keep the file elsewhere, behind a symbolic link that may come before its
    /// target, or lead to another place later. A directory that is watched already stays watched once.
    fn follow_link(&self) {
        let name = self.directory.join("resolv.conf");
        let Some(inotify) = &self.inotify else { return };
        let Ok(target) = std::fs::read_link(name) else {
            return;
        };
        if let Some(elsewhere) = self.directory.join(target).parent()
            && let Err(error) = inotify::add_watch(inotify.get_ref(), elsewhere, EVENTS)
        {
            tracing::debug!(%error, ?elsewhere, "the directory of resolv.conf is not watched");
        }
    }

    /// Waits for the next touch. A `.rescued` that is there already is reported at once.
    pub async fn touched(&mut self) -> Touched {
        loop {
            self.follow_link();
            if self.directory.join(".rescued").exists() {
                return Touched::Rescued;
            }
            let now = stamp(&self.directory.join("resolv.conf"));
            if now != self.resolv_conf {
                self.resolv_conf = now;
                return Touched::ResolvConf;
            }
            tokio::select! {
                () = self.look.next() => {}
                () = poked(&mut self.inotify) => {}
            }
        }
    }
}

/// Modification time and size, through symbolic links.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn open(directory: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&fd, directory, EVENTS)?;
    system::watch(fd)
}

/// Waits for events and throws them away: the files tell.
async fn poked(inotify: &mut Option<AsyncFd<OwnedFd>>) {
    let Some(fd) = inotify else {
        return std::future::pending().await;
    };
    let Ok(mut ready) = fd.readable_mut().await else {
        *inotify = None;
        return;
    };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(ready.get_inner(), &mut buffer);
    while reader.next().is_ok() {}
    ready.clear_ready();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_both_files_and_nothing_else() {
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-etc-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut watch = EtcWatch::begin(&directory);
        std::fs::write(directory.join("hosts"), "x").unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(100), watch.touched()).await;
        assert!(nothing.is_err(), "another file is no touch");
        std::fs::write(directory.join("resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(watch.touched().await, Touched::ResolvConf);
        let rename = async {
            std::fs::write(directory.join("new"), "nameserver 192.0.2.22\n").unwrap();
            std::fs::rename(directory.join("new"), directory.join("resolv.conf")).unwrap();
        };
        let (touched, ()) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(5), watch.touched()), rename);
        assert_eq!(touched.unwrap(), Touched::ResolvConf);
        std::fs::write(directory.join(".rescued"), "").unwrap();
        assert_eq!(watch.touched().await, Touched::Rescued);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
