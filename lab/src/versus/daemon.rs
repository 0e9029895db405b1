//! The daemon of one run, as systemd keeps its unit.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::schedule::Hit;

/// The `RestartSec` of its unit.
const RESTART: Duration = Duration::from_secs(2);
/// The `WatchdogSec` of its unit is 30 s; here it is shorter.
const WATCHDOG: Duration = Duration::from_secs(10);
/// So long after its last word it may still become ready; by itself it asks systemd for 30 s again and again.
const START: Duration = Duration::from_secs(15);
/// Its `--advertise.wait`; the default is longer than a run.
const WAIT: &str = "--advertise.wait=12";

/// A daemon that is started again when it ends.
pub struct Unit {
    netns: Arc<Netns>,
    binary: PathBuf,
    etc: PathBuf,
    flags: Vec<String>,
    socket: UnixDatagram,
    socket_path: PathBuf,
    daemon: Option<Daemon>,
    again: Option<Instant>,
    terminated: bool,
    settled: bool,
    /// When it last said something to systemd.
    said: Instant,
    log: String,
}

impl Unit {
    /// Starts it; `directory` is for its files, and `etc` in it becomes its `/etc`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        netns: &Arc<Netns>,
        binary: PathBuf,
        directory: &std::path::Path,
        flags: Vec<String>,
    ) -> anyhow::Result<Self> {
        let socket_path = directory.join("notify");
        let socket = UnixDatagram::bind(&socket_path)?;
        socket.set_nonblocking(true)?;
        let mut unit = Self {
            netns: Arc::clone(netns),
            binary,
            etc: directory.join("etc"),
            flags,
            socket,
            socket_path,
            daemon: None,
            again: None,
            terminated: false,
            settled: false,
            said: Instant::now(),
            log: String::new(),
        };
        unit.run()?;
        Ok(unit)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let mut command = self.netns.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
        command.arg("mount --bind \"$0\" /etc && exec \"$@\"").arg(&self.etc).arg(&self.binary);
        let mut flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        flags.push(WAIT);
        command.args(Daemon::words(&flags));
        command.env("NOTIFY_SOCKET", &self.socket_path);
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        command.env("RUNTIME_DIRECTORY", self.etc.with_file_name("run"));
        self.daemon = Some(Daemon::from_command(command, &self.netns)?);
        self.said = Instant::now();
        Ok(())
    }

    /// Looks after it; call it often.
    ///
    /// # Errors
    /// Where it cannot be started again.
    pub fn care(&mut self) -> anyhow::Result<()> {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned();
            self.said = Instant::now();
            self.settled |= text.lines().any(|line| line == "READY=1");
        }
        if self.said.elapsed() > if self.settled { WATCHDOG } else { START } {
            self.hit(Hit::Kill)?;
        }
        if let Some(status) = self.ended() {
            self.log.push_str(&self.daemon.take().map(|daemon| daemon.log()).unwrap_or_default());
            self.log.push_str(&format!("--- ended: {status}\n"));
            self.settled = true; // A failed start holds nothing up that is ordered behind it.
            let pause = if std::mem::take(&mut self.terminated) { Duration::ZERO } else { RESTART };
            self.again = Some(Instant::now() + pause);
        }
        if self.again.is_some_and(|again| again <= Instant::now()) {
            self.again = None;
            self.run()?;
        }
        Ok(())
    }

    /// Whether what is ordered behind it may start.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// Hits it, where it runs.
    ///
    /// # Errors
    /// Where the signal cannot be sent.
    pub fn hit(&mut self, hit: Hit) -> anyhow::Result<()> {
        let Some(daemon) = &self.daemon else { return Ok(()) };
        let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw).context("its id")?;
        self.terminated |= hit == Hit::Terminate;
        let signal = match hit {
            Hit::Kill => Signal::KILL,
            Hit::Stop => Signal::STOP,
            Hit::Continue => Signal::CONT,
            Hit::Terminate => Signal::TERM,
        };
        Ok(kill_process(pid, signal)?)
    }

    /// What all of its runs logged.
    pub fn log(&self) -> String {
        let last = self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
        format!("{}{last}", self.log)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut()?.ended_already()
    }
}
