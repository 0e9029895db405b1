//! What outlives the daemon, and not the machine's boot: `kept.json` in `/run/ipa-sidecar`. No token is in it.
//!
//! Whatever is wrong with the file, it reads as empty: who reads it must take "unknown" as the careful answer.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callback_url::Host;
use exporter::read_opened;
use rustix::fs::{Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The file; its temporary sibling has a dot before it.
const FILE: &str = "kept.json";
const TEMPORARY: &str = ".kept.json.new";
/// Where it lies without systemd's `RuntimeDirectory=` (file-hierarchy(7): a system package's runtime data).
const DIRECTORY: &str = "/run/ipa-sidecar";
/// random(4): differs after every boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The drop-in that the daemon wrote last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropinWrite {
    /// The address in it.
    pub address: Host,
    /// When it was written: the time since the kernel's start (CLOCK_BOOTTIME).
    pub written: Duration,
}

/// A change of the address in the drop-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropinChange {
    /// The address from then on; `None`: none.
    pub address: Option<Host>,
    /// When: the time since the kernel's start (CLOCK_BOOTTIME).
    pub at: Duration,
}

/// The URL that the daemon put into a heartbeat of IPA's and that Ironic has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// The node of the heartbeat.
    pub node_uuid: String,
    /// The URL as Ironic has it.
    pub url: String,
    /// IPA's own URL, which it goes on sending.
    pub instead_of: String,
    /// Ironic's addresses, as they were redirected then.
    #[serde(default)]
    pub endpoints: Vec<SocketAddr>,
}

/// One process of IPA's: a process id alone comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpaId {
    /// Its process id.
    pub pid: u32,
    /// Its start in clock ticks since the kernel's start (proc_pid_stat(5), field 22).
    pub start_ticks: u64,
}

/// The address with which an IPA has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedWith {
    /// Its process.
    pub ipa: IpaId,
    /// What the drop-in said when it read it.
    pub address: Host,
}

/// What a lookup of its own has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// The IPA that answered then, where its process was found.
    pub ipa: Option<IpaId>,
    /// The node, as Ironic knows it.
    pub node_uuid: String,
    /// The callback URL that Ironic held.
    pub url: Option<String>,
    /// Ironic's time-out for heartbeats.
    #[serde(default)]
    pub heartbeat_timeout: Option<Duration>,
}

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// The drop-in that is on disk; `None`: none, or unknown.
    pub dropin: Option<DropinWrite>,
    /// The last changes of its address, oldest first: an IPA may have started with an earlier one.
    pub dropins: Vec<DropinChange>,
    /// The repaired URL that Ironic holds.
    pub repaired: Option<Repaired>,
    /// The IPA that is known to have its token.
    pub token_spent: Option<IpaId>,
    /// With which address IPA has started, where its lookup has passed.
    pub started_with: Option<StartedWith>,
    /// What the last read-back has shown.
    pub read_back: Option<ReadBack>,
    /// A token that Ironic handed out to the daemon is in the drop-in.
    pub token_in_dropin: bool,
}

/// The file's content: of another boot it counts for nothing.
#[derive(Serialize, Deserialize)]
struct OfBoot {
    boot_id: String,
    #[serde(flatten)]
    contents: Contents,
}

/// The home of what is kept; cheap to clone.
#[derive(Debug, Clone)]
pub struct Kept(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    boot_id: String,
    contents: Contents,
    /// The last write failed, and that was logged.
    failed: bool,
}

/// So many changes of the drop-in are kept.
const CHANGES: usize = 16;

impl Contents {
    /// Remembers a change of the address in the drop-in.
    pub fn dropin_changed(&mut self, address: Option<&Host>, at: Duration) {
        if self.dropins.last().is_some_and(|last| last.address.as_ref() == address) {
            return;
        }
        self.dropins.push(DropinChange { address: address.cloned(), at });
        let excess = self.dropins.len().saturating_sub(CHANGES);
        self.dropins.drain(..excess);
    }
}

/// The time since the kernel's start, sleep included: what [`DropinWrite::written`] counts.
pub fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// The directory: the first that systemd made for the unit (systemd.exec(5), `RuntimeDirectory=`), else `/run/ipa-sidecar`.
pub fn directory() -> PathBuf {
    first_of(std::env::var_os("RUNTIME_DIRECTORY"))
}

fn first_of(of_systemd: Option<OsString>) -> PathBuf {
    let first = of_systemd.and_then(|list| std::env::split_paths(&list).next());
    first.filter(|path| path.is_absolute()).unwrap_or_else(|| PathBuf::from(DIRECTORY))
}

impl Kept {
    /// Reads what an earlier run of the same boot has kept. It writes nothing.
    pub fn open(directory: &Path) -> Self {
        let boot_id = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self::of_boot(directory, boot_id)
    }

    fn of_boot(directory: &Path, boot_id: String) -> Self {
        let contents = read(&directory.join(FILE), &boot_id);
        let inner = Inner { directory: directory.to_owned(), boot_id, contents, failed: false };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// What is kept.
    pub fn read(&self) -> Contents {
        self.inner().contents.clone()
    }

    /// Changes it, and writes the file where that changed something or the last write failed. A failed write is logged
    /// once; this run goes on with what it knows.
    pub fn update(&self, change: impl FnOnce(&mut Contents)) {
        let mut inner = self.inner();
        let mut contents = inner.contents.clone();
        change(&mut contents);
        if contents == inner.contents && !inner.failed {
            return;
        }
        inner.contents = contents;
        let written = inner.write();
        if let (Err(error), false) = (&written, inner.failed) {
            let directory = &inner.directory;
            tracing::error!(%error, ?directory, "could not write the state for the next run");
        }
        inner.failed = written.is_err();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Plain values: a panic elsewhere leaves them usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Into a temporary file, then renamed. Not to disk: a boot later it counts for nothing.
    fn write(&self) -> io::Result<()> {
        let kept = OfBoot { boot_id: self.boot_id.clone(), contents: self.contents.clone() };
        let text = serde_json::to_vec(&kept)?;
        std::fs::create_dir_all(&self.directory)?;
        let temporary = self.directory.join(TEMPORARY);
        // Of an interrupted write. A planted link of this name goes, and is not followed.
        let _ = std::fs::remove_file(&temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let written = rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| std::fs::File::from(file).write_all(&text))
            .and_then(|()| std::fs::rename(&temporary, self.directory.join(FILE)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary); // What a full disk took of it helps nobody.
        }
        written
    }
}

/// The contents of the daemon's own file of this boot; empty for any other.
fn read(path: &Path, boot_id: &str) -> Contents {
    let text = match read_own(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Contents::default(),
        Err(error) => {
            tracing::warn!(%error, ?path, "ignoring the state of an earlier run");
            return Contents::default();
        }
    };
    match serde_json::from_slice::<OfBoot>(&text) {
        Ok(kept) if kept.boot_id == boot_id && !boot_id.is_empty() => kept.contents,
        Ok(_) => Contents::default(),
        Err(error) => {
            tracing::warn!(%error, ?path, "could not read the state of an earlier run");
            Contents::default()
        }
    }
}

/// Reads a file that belongs to the daemon's user and that no other may write; no link is followed.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    let others_write = Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH);
    if stat.st_uid != rustix::process::geteuid().as_raw() || others_write {
        return Err(io::Error::other("it belongs to another user, or another user may write it"));
    }
    read_opened(file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use testbed::site::Directory;

    use super::*;

    fn filled() -> Contents {
        Contents {
            dropin: Some(DropinWrite {
                address: Host::parse("fd77::5").unwrap(),
                written: Duration::from_millis(12_345),
            }),
            repaired: Some(Repaired {
                node_uuid: "node".to_owned(),
                url: "http://[fd77::5]:9999".to_owned(),
                instead_of: "http://[fd77::4]:9999".to_owned(),
                endpoints: vec!["[fd77::1]:6385".parse().unwrap()],
            }),
            token_spent: Some(IpaId { pid: 7, start_ticks: 1234 }),
            read_back: Some(ReadBack {
                ipa: Some(IpaId { pid: 7, start_ticks: 1234 }),
                node_uuid: "node".to_owned(),
                url: Some("http://[fd77::5]:9999".to_owned()),
                heartbeat_timeout: Some(Duration::from_secs(300)),
            }),
            ..Contents::default()
        }
    }

    fn kept(directory: &Directory) -> Kept {
        Kept::of_boot(directory.path(), "this boot".to_owned())
    }

    #[test]
    fn the_next_run_of_the_same_boot_reads_it() {
        let directory = Directory::new("kept");
        let first = kept(&directory);
        assert_eq!(first.read(), Contents::default());
        first.update(|contents| *contents = filled());
        assert_eq!(first.read(), filled());
        assert_eq!(kept(&directory).read(), filled());
        let other_boot = Kept::of_boot(directory.path(), "another boot".to_owned());
        assert_eq!(other_boot.read(), Contents::default());
        // A kernel without a boot id keeps nothing.
        let unknown = Kept::of_boot(directory.path(), String::new());
        unknown.update(|contents| *contents = filled());
        assert_eq!(Kept::of_boot(directory.path(), String::new()).read(), Contents::default());
        assert_eq!(fs::metadata(directory.file(FILE)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(testbed::site::names(directory.path()), [FILE]);
    }

    #[test]
    fn the_boot_of_this_machine_is_known() {
        let directory = Directory::new("kept-boot");
        let place = directory.file("made/by/us");
        Kept::open(&place).update(|contents| *contents = filled());
        assert_eq!(Kept::open(&place).read(), filled());
    }

    #[test]
    fn a_broken_file_is_empty_and_replaced() {
        let directory = Directory::new("kept-broken");
        for broken in [
            "",
            "{",
            "[]",
            "null",
            r#"{"boot_id": 7}"#,
            r#"{"boot_id":"this boot","dropin":{"address":"!"}}"#,
        ] {
            directory.write(FILE, broken);
            let kept_now = kept(&directory);
            assert_eq!(kept_now.read(), Contents::default(), "{broken}");
            kept_now.update(|contents| *contents = filled());
            assert_eq!(kept(&directory).read(), filled());
        }
        directory.write(FILE, r#"{"boot_id": "this boot", "of_a_later_version": 1}"#);
        assert_eq!(kept(&directory).read(), Contents::default());
    }

    #[test]
    fn a_file_that_others_could_have_written_is_not_read() {
        let directory = Directory::new("kept-foreign");
        kept(&directory).update(|contents| *contents = filled());
        let file = directory.file(FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o606)).unwrap();
        assert_eq!(kept(&directory).read(), Contents::default());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&file, directory.file("elsewhere")).unwrap();
        symlink(directory.file("elsewhere"), &file).unwrap();
        assert_eq!(kept(&directory).read(), Contents::default());
        // The link goes where the daemon writes, and what it led to stays.
        kept(&directory).update(|contents| contents.repaired = filled().repaired);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert!(fs::read_to_string(directory.file("elsewhere")).unwrap().contains("token_spent\":{"));
        testbed::root_test!();
        std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
        assert_eq!(kept(&directory).read(), Contents::default());
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let directory = Directory::new("kept-link");
        directory.write("victim", "precious");
        symlink(directory.file("victim"), directory.file(TEMPORARY)).unwrap();
        kept(&directory).update(|contents| *contents = filled());
        assert_eq!(fs::read_to_string(directory.file("victim")).unwrap(), "precious");
    }

    #[test]
    fn a_write_that_fails_is_tried_again_and_ends_nothing() {
        // As on a full disk: `/dev/full` cannot stand in for a directory, a file can.
        let directory = Directory::new("kept-failed");
        directory.write("place", "no directory");
        let place = directory.file("place");
        let kept = Kept::of_boot(&place, "this boot".to_owned());
        kept.update(|contents| *contents = filled());
        assert!(kept.inner().failed, "it is logged as long as this is false");
        assert_eq!(kept.read(), filled(), "this run knows it");
        fs::remove_file(&place).unwrap();
        kept.update(|_| {});
        assert!(!kept.inner().failed);
        assert_eq!(Kept::of_boot(&place, "this boot".to_owned()).read(), filled());
    }

    #[test]
    fn systemd_says_where() {
        assert_eq!(first_of(None), Path::new(DIRECTORY));
        assert_eq!(first_of(Some("/run/one:/run/two".into())), Path::new("/run/one"));
        assert_eq!(first_of(Some("".into())), Path::new(DIRECTORY));
    }
}
