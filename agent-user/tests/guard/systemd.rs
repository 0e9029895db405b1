//! A private D-Bus, and on it as much of systemd's manager as a restart needs (org.freedesktop.systemd1(5)).

use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_core::Stream;
use testbed::site::Directory;
use zbus::message::Type;
use zbus::{MatchRule, MessageStream, OwnedObjectPath};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const JOB: &str = "/org/freedesktop/systemd1/job/77";
const OTHER_JOB: &str = "/org/freedesktop/systemd1/job/1";

/// One call of RestartUnit: its words, and the text of the drop-in at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    pub unit: String,
    pub mode: String,
    pub drop_in: String,
}

/// Does the job of a restart; gives its result, "done" where all went well.
type Job = Box<dyn FnMut() -> &'static str + Send>;
type Restarts = Arc<Mutex<Vec<Restart>>>;

/// The bus and the manager; both end with their owner.
pub struct Systemd {
    bus: Child,
    directory: Directory,
    restarts: Restarts,
}

impl Systemd {
    /// Every RestartUnit is done by `job`, one after another.
    pub fn start(drop_in: &Path, job: impl FnMut() -> &'static str + Send + 'static) -> Self {
        let directory = Directory::new("bus");
        let socket = directory.file("socket");
        let text = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy \
             context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>\
             </policy></busconfig>",
            socket.display()
        );
        let config = directory.flag("--config-file", "bus.conf", &text);
        let bus = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "dbus-daemon", "--nofork", "--nopidfile"])
            .arg(config)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        // The file is there before the bus listens.
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "no D-Bus (Debian package dbus)");
            std::thread::sleep(Duration::from_millis(10));
        }
        let restarts = Restarts::default();
        let systemd = Self { bus, directory, restarts: Arc::clone(&restarts) };
        let (address, drop_in) = (systemd.address(), drop_in.to_owned());
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Ends with an error when the bus goes.
            let _ = runtime.block_on(serve(&address, drop_in, &restarts, Box::new(job), ready));
        });
        is_ready.recv_timeout(Duration::from_secs(10)).unwrap();
        systemd
    }

    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.directory.file("socket").display())
    }

    pub fn restarts(&self) -> Vec<Restart> {
        self.restarts.lock().unwrap().clone()
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.bus.kill();
        let _ = self.bus.wait();
    }
}

async fn serve(
    address: &str,
    drop_in: PathBuf,
    restarts: &Mutex<Vec<Restart>>,
    mut job: Job,
    ready: std::sync::mpsc::Sender<()>,
) -> zbus::Result<()> {
    let bus = zbus::connection::Builder::address(address).build().await?;
    let rule = MatchRule::builder().msg_type(Type::MethodCall).build()?;
    let mut calls = MessageStream::for_match_rule(rule, &bus, NonZeroUsize::new(8)).await?;
    bus.request_name(NAME).await?;
    let _ = ready.send(());
    let mut subscribed = false;
    while let Some(call) = std::future::poll_fn(|context| Pin::new(&mut calls).poll_next(context)).await {
        let call = call?;
        let header = call.header();
        match header.member().map(|member| member.as_str()) {
            Some("Subscribe") => {
                subscribed = true;
                bus.reply(&header, &()).await?;
            }
            Some("RestartUnit") => {
                let (unit, mode): (String, String) = call.body().deserialize()?;
                let drop_in = std::fs::read_to_string(&drop_in).unwrap_or_default();
                restarts.lock().unwrap().push(Restart { unit: unit.clone(), mode, drop_in });
                assert!(subscribed, "systemd sends no signals to whom has not subscribed");
                // Another job ends first, as they do.
                let body = (1_u32, OwnedObjectPath::try_from(OTHER_JOB)?, "other.service", "failed");
                bus.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await?;
                bus.reply(&header, &OwnedObjectPath::try_from(JOB)?).await?;
                let result = job(); // This thread has nothing else to do.
                let body = (77_u32, OwnedObjectPath::try_from(JOB)?, unit.as_str(), result);
                bus.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &body).await?;
            }
            other => panic!("systemd was asked for {other:?}"),
        }
    }
    Ok(())
}
