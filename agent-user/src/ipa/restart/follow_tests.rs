//! With a real systemd: its user manager speaks as the system's does.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use callback_url::Local;
use testbed::root_test;
use testbed::site::Directory;
use tokio::time::sleep;

use crate::advertise::{Decision, Refusal};
use crate::ipa::process;
use crate::kept::since_boot;

use super::*;

/// Managers of the same user share their control groups: a unit of its own for each, or one would end the other's process.
static UNITS: AtomicU32 = AtomicU32::new(0);
const SEEN: SightRecord = SightRecord { attached_before_ipa: true, lost: false, lookup_seen: false };
const LIMIT: Duration = Duration::from_secs(20);

/// The manager, with a unit that looks like IPA's.
struct Systemd {
    manager: Child,
    directory: Directory,
    unit: String,
}

impl Systemd {
    async fn start() -> Self {
        let directory = Directory::new("systemd");
        let place = directory.path().display().to_string();
        directory.write("run/none", "");
        directory.write("ironic-python-agent", format!("echo $$ >> {place}/pids; exec sleep 1000"));
        let number = UNITS.fetch_add(1, Ordering::Relaxed);
        let unit = format!("ipa-of-test-{}-{number}.service", std::process::id());
        let service = format!("[Service]\nExecStart=/bin/sh {place}/ironic-python-agent\n");
        directory.write(&format!("config/systemd/user/{unit}"), service);
        // It wants to be where systemd has booted.
        let script = "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system; exec setpriv --pdeathsig KILL -- \
                      /lib/systemd/systemd --user --log-target=null";
        let manager = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--", "sh", "-ec", script])
            .env("XDG_RUNTIME_DIR", directory.file("run"))
            .env("XDG_CONFIG_HOME", directory.file("config"))
            .env("HOME", directory.path())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let systemd = Self { manager, directory, unit };
        systemd.wait("its socket", || systemd.socket().exists().then_some(())).await;
        systemd
    }

    fn socket(&self) -> PathBuf {
        self.directory.file("run/systemd/private")
    }

    /// Every process that the unit has had.
    fn pids(&self) -> Vec<u32> {
        let pids = fs::read_to_string(self.directory.file("pids")).unwrap_or_default();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    async fn wait<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(begun.elapsed() < LIMIT, "{what}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The newest process, once there are so many.
    async fn ipa(&self, count: usize) -> IpaId {
        let pid = self.wait("a process", || self.pids().get(count - 1).copied()).await;
        IpaId { pid, start_ticks: process::start_ticks_of(pid).unwrap() }
    }

    /// The unit's first process.
    async fn started(&self) -> IpaId {
        let mut manager = Manager::connect(&self.socket()).await.unwrap();
        let unknown = manager.has("nobody.service").await.unwrap_err().to_string();
        assert!(unknown.contains("NoSuchUnit"), "{unknown}");
        manager.call("StartUnit", &[&self.unit, "replace"]).await.unwrap();
        let ipa = self.ipa(1).await;
        manager.has(&self.unit).await.unwrap();
        ipa
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
        for pid in self.pids() {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if command == b"sleep\x001000\x00" {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            }
        }
    }
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn is_stopped(ipa: IpaId) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", ipa.pid)).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('T')
}

/// An IPA that started while the drop-in gave the first address; the second one is here now. Gives its restarter, and what
/// would answer for sight.
fn lost(systemd: &Systemd, unit: &str, sight: Option<SightRecord>) -> Restarter {
    let kept = Kept::open(&systemd.directory.file("kept"));
    kept.update(|contents| {
        contents.dropins.clear();
        contents.dropin_changed(Some(&Host::Ip(ip(1))), Duration::ZERO);
        contents.dropin_changed(Some(&Host::Ip(ip(2))), since_boot() + LIMIT);
    });
    let local = Local { assigned: vec![ip(2)], ..Local::default() };
    let published = Published::new(Decision::none(Refusal::NoRoute), 1);
    let published = Published { local: Arc::new(local), ..published };
    let sight = sight.map(|record| {
        let (sight, mut asked) = mpsc::channel::<Drain>(1);
        tokio::spawn(async move {
            while let Some(drain) = asked.recv().await {
                let _ = drain.answer.send(record);
            }
        });
        sight
    });
    let surroundings = Surroundings {
        decisions: watch::channel(Arc::new(published)).1,
        ipa: watch::channel(IpaState::default()).1,
        dropin: watch::channel(DropinState::of(Some(Host::Ip(ip(2))))).1,
        sight,
        kept,
        metrics: Metrics::new().unwrap(),
    };
    let settings = IpaSettings { listen_port: 1, ..crate::params::Parameters::default().ipa_settings };
    let restarter = Restarter::new(RestartUnit::Named(unit.to_owned()), &settings, surroundings);
    Restarter { systemd: systemd.socket(), ..restarter }
}

fn counted(restarter: &Restarter, result: RestartResult) -> bool {
    let text = String::from_utf8(restarter.surroundings.metrics.render().unwrap().0).unwrap();
    text.contains(&format!("ipa_sidecar_ipa_restarts_total{{result=\"{}\"}} 1\n", result.as_str()))
}

#[tokio::test]
async fn an_ipa_whose_address_is_lost_before_its_lookup_starts_again() {
    root_test!();
    let systemd = Systemd::start().await;
    let first = systemd.started().await;
    let unit = systemd.unit.as_str();
    for (unit, sight, result) in [
        (unit, None, RestartResult::NotAttached),
        (unit, Some(SightRecord { lookup_seen: true, ..SEEN }), RestartResult::LookupSeen),
        (unit, Some(SightRecord { lost: true, ..SEEN }), RestartResult::EventsLost),
        ("nobody.service", Some(SEEN), RestartResult::Failed),
    ] {
        let mut restarter = lost(&systemd, unit, sight);
        restarter.look_at(first).await;
        assert!(counted(&restarter, result), "{result:?}");
        assert!(!is_stopped(first), "{result:?}");
    }
    let mut restarter = lost(&systemd, unit, Some(SEEN));
    restarter.look_at(first).await;
    assert!(counted(&restarter, RestartResult::Restarted));
    let second = systemd.ipa(2).await;
    assert_eq!(process::start_ticks_of(first.pid), None, "it is gone");
    assert!(!is_stopped(second));
}

/// The lookup leaves while it is decided: sight sees it only once IPA is stopped.
#[tokio::test]
async fn an_ipa_whose_lookup_leaves_meanwhile_goes_on() {
    root_test!();
    let systemd = Systemd::start().await;
    let ipa = systemd.started().await;
    let mut restarter = lost(&systemd, &systemd.unit, None);
    let (sight, mut asked) = mpsc::channel::<Drain>(1);
    restarter.surroundings.sight = Some(sight);
    let answering = tokio::spawn(async move {
        while let Some(drain) = asked.recv().await {
            let lookup_seen = is_stopped(drain.ipa);
            let _ = drain.answer.send(SightRecord { lookup_seen, ..SEEN });
        }
    });
    restarter.look_at(ipa).await;
    assert!(counted(&restarter, RestartResult::LookupSeen));
    let goes_on = || (!is_stopped(ipa)).then_some(());
    systemd.wait("that it goes on", goes_on).await;
    assert_eq!(systemd.pids().len(), 1);
    answering.abort();
}
