//! A D-Bus of our own, and on it as much of systemd's manager as a restart needs (org.freedesktop.systemd1(5)).

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_core::Stream;
use zbus::message::Type;
use zbus::{MatchRule, Message, MessageStream, OwnedObjectPath};

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const JOB: &str = "/org/freedesktop/systemd1/job/77";

/// The private bus.
pub struct Bus {
    daemon: Child,
    directory: PathBuf,
}

impl Bus {
    pub fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-bus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let config = directory.join("bus.conf");
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy \
             context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             </policy></busconfig>",
            directory.join("socket").display()
        );
        std::fs::write(&config, text).unwrap();
        let daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .arg("--nofork")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon (Debian package dbus)");
        let bus = Self { daemon, directory };
        let started = Instant::now();
        while !bus.socket().exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "dbus-daemon does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        bus
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// One call of RestartUnit: its words, and what the drop-in said at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    pub unit: String,
    pub mode: String,
    pub drop_in: String,
}

/// The manager; it ends its jobs when told.
pub struct Systemd {
    restarts: Arc<Mutex<Vec<Restart>>>,
    end: tokio::sync::mpsc::Sender<&'static str>,
}

impl Systemd {
    /// Serves on the bus until the end of the process; `drop_in` is looked at when a restart is asked for.
    pub fn start(bus: &Bus, drop_in: &Path) -> Self {
        let restarts = Arc::new(Mutex::new(Vec::new()));
        let (end, ends) = tokio::sync::mpsc::channel(8);
        let (address, drop_in, kept) = (bus.address(), drop_in.to_owned(), Arc::clone(&restarts));
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Ends with an error when the bus goes.
            let _ = runtime.block_on(serve(&address, &drop_in, &kept, ends, ready));
        });
        is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { restarts, end }
    }

    pub fn restarts(&self) -> Vec<Restart> {
        self.restarts.lock().unwrap().clone()
    }

    /// Ends the job with this result.
    pub fn end_job(&self, result: &'static str) {
        self.end.blocking_send(result).unwrap();
    }
}

async fn serve(
    address: &str,
    drop_in: &Path,
    restarts: &Mutex<Vec<Restart>>,
    mut ends: tokio::sync::mpsc::Receiver<&'static str>,
    ready: std::sync::mpsc::Sender<()>,
) -> zbus::Result<()> {
    let bus = zbus::connection::Builder::address(address).build().await?;
    let rule = MatchRule::builder().msg_type(Type::MethodCall).build()?;
    let mut calls = MessageStream::for_match_rule(rule, &bus, NonZeroUsize::new(8)).await?;
    bus.request_name("org.freedesktop.systemd1").await?;
    let _ = ready.send(());
    let mut subscribed = false;
    loop {
        let next = std::future::poll_fn(|context| Pin::new(&mut calls).poll_next(context));
        tokio::select! {
            call = next => {
                let Some(call) = call else { return Ok(()) };
                answer(&bus, &call?, drop_in, restarts, &mut subscribed).await?;
            }
            Some(result) = ends.recv() => {
                assert!(subscribed, "systemd sends no signals to whom has not subscribed");
                let job = OwnedObjectPath::try_from(JOB)?;
                let body = (77_u32, job, "ironic-python-agent.service", result);
                bus.emit_signal(None::<&str>, "/org/freedesktop/systemd1", MANAGER, "JobRemoved", &body).await?;
            }
        }
    }
}

async fn answer(
    bus: &zbus::Connection,
    call: &Message,
    drop_in: &Path,
    restarts: &Mutex<Vec<Restart>>,
    subscribed: &mut bool,
) -> zbus::Result<()> {
    let header = call.header();
    match header.member().map(|member| member.as_str()) {
        Some("Subscribe") => {
            *subscribed = true;
            bus.reply(&header, &()).await
        }
        Some("RestartUnit") => {
            let (unit, mode): (String, String) = call.body().deserialize()?;
            let drop_in = std::fs::read_to_string(drop_in).unwrap_or_default();
            restarts.lock().unwrap().push(Restart { unit, mode, drop_in });
            // Another job ends first, as they do.
            let other = OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1")?;
            let body = (1_u32, other, "other.service", "failed");
            bus.emit_signal(None::<&str>, "/org/freedesktop/systemd1", MANAGER, "JobRemoved", &body).await?;
            bus.reply(&header, &OwnedObjectPath::try_from(JOB)?).await
        }
        _ => Ok(()),
    }
}
