//! The real ironic-python-agent in a cage, to be looked at beside the real Ironic.
//!
//! It has no block devices, no disk or power tools, no right to write outside its own directory, and stays in its
//! network namespace. Even so, use it only with an Ironic that never sends it a step: `fast_track` true and the
//! node `manageable`, which is what [`RealIronic`](crate::ironic::RealIronic) starts with.

mod cage;
mod install;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use install::{Installation, OLDER_ONE_URL_VERSION, ONE_URL_VERSION, VERSION, versions};
use rustix::process::{Pid, Signal, kill_process};

use crate::cache;
use crate::guardian::{Guardian, fresh_directory};
use crate::netns::Netns;

/// How long the cage may take to stand; it takes some ten milliseconds.
const CAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long IPA may take to end after SIGTERM before it is killed.
const TERM_TIMEOUT: Duration = Duration::from_secs(10);
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Which IPA, where, and what it reads.
#[derive(Clone, Debug)]
pub struct IpaOptions {
    /// One of [`versions`].
    pub version: String,
    /// The namespace to run in. IPA lists a veth only where its name looks like a VLAN's: `eth0.77`.
    pub netns: Arc<Netns>,
    /// The content of `/proc/cmdline`.
    pub cmdline: String,
    /// Its `--config-dir`: `*.conf` in it is read, in the order of the names. It is made where it is missing.
    pub config_dir: PathBuf,
    /// More arguments.
    pub extra_args: Vec<String>,
    /// More variables of its environment, each `NAME=value`.
    pub environment: Vec<String>,
    /// The content of `/etc/hosts`; `None`: this machine's own.
    pub hosts: Option<String>,
    /// The content of `/etc/resolv.conf`; `None`: this machine's own, unless that lies in `/run`, which is IPA's own.
    pub resolv_conf: Option<String>,
}

impl IpaOptions {
    /// The newest version, without anything that tells it of an Ironic.
    pub fn new(netns: &Arc<Netns>, config_dir: impl Into<PathBuf>) -> Self {
        Self {
            version: VERSION.to_owned(),
            netns: Arc::clone(netns),
            cmdline: "BOOT_IMAGE=testbed".to_owned(),
            config_dir: config_dir.into(),
            extra_args: Vec::new(),
            environment: Vec::new(),
            hosts: None,
            resolv_conf: None,
        }
    }
}

/// A running ironic-python-agent. It ends with its owner, however that ends.
#[derive(Debug)]
pub struct RealIpa {
    options: IpaOptions,
    run: Guardian,
    pid: Pid,
}

impl RealIpa {
    /// Installs that version into the [cache] unless it is there: 15 s and 110 MB. `progress` gets a line for each
    /// step.
    ///
    /// # Errors
    /// An unknown version; without Python 3.11 or without PyPI; the error says what was run and what it said.
    pub fn install(version: &str, progress: &mut dyn FnMut(&str)) -> io::Result<Installation> {
        install::install(version, progress)
    }

    /// Starts it; installs it first where it is missing, telling stderr. Its first heartbeat comes one to three
    /// seconds later. Needs root.
    ///
    /// # Errors
    /// Where it cannot be installed, or the cage cannot be built.
    pub fn start(options: &IpaOptions) -> io::Result<Self> {
        let (run, pid) = run(options)?;
        let options = options.clone();
        Ok(Self { options, run, pid })
    }

    /// Ends it by SIGTERM (and SIGKILL after 10 s) and starts it again, as `systemctl restart` would. It reads its
    /// configuration again, and its log begins anew.
    ///
    /// # Errors
    /// As [`RealIpa::start`].
    pub fn restart(&mut self) -> io::Result<()> {
        if self.ended().is_none() {
            kill_process(self.pid, Signal::TERM)?;
            let start = Instant::now();
            while self.ended().is_none() && start.elapsed() < TERM_TIMEOUT {
                std::thread::sleep(POLL);
            }
        }
        self.run.kill(); // Before the next one wants its port.
        (self.run, self.pid) = run(&self.options)?;
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The exit code, if it ended by itself; 128 + N after signal N.
    pub fn ended(&self) -> Option<i32> {
        self.run.ended()
    }

    /// What it wrote to its output, then its log.
    pub fn log(&self) -> String {
        let tail = |name| self.run.tail(name, usize::MAX);
        format!("{}{}", tail("output"), tail("ipa.log"))
    }

    /// Waits until the log holds `text`, and gives the line.
    ///
    /// # Errors
    /// After `limit`, or where it ended without; with the end of the log.
    pub fn wait_log(&self, text: &str, limit: Duration) -> io::Result<String> {
        let start = Instant::now();
        loop {
            let ended = self.ended(); // Before the log is read, which is then whole.
            if let Some(line) = self.log().lines().find(|line| line.contains(text)) {
                return Ok(line.to_owned());
            }
            if ended.is_some() || start.elapsed() > limit {
                let log = self.log_tail(30);
                let text = format!("IPA did not say {text:?} within {limit:?} (ended: {ended:?}):\n{log}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The calls of disk, power and other tools that the cage refused, one a line.
    ///
    /// # Errors
    /// Where the record cannot be read.
    pub fn refused(&self) -> io::Result<String> {
        let path = self.run.directory().join("refused.txt");
        fs::read_to_string(&path).map_err(|e| cache::at(&path, &e))
    }

    /// The last lines of what it wrote and of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        let tail = |name| self.run.tail(name, lines);
        format!("{}{}", tail("output"), tail("ipa.log"))
    }
}

impl Drop for RealIpa {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of IPA's log:\n{}", self.log_tail(40));
        }
    }
}

/// Starts it in a directory of its own and waits until the cage stands.
fn run(options: &IpaOptions) -> io::Result<(Guardian, Pid)> {
    let installation = install::install(&options.version, &mut |line| eprintln!("ipa: {line}"))?;
    let config_dir = std::path::absolute(&options.config_dir)?;
    fs::create_dir_all(&config_dir).map_err(|e| cache::at(&config_dir, &e))?;
    let directory = fresh_directory("ipa")?;
    let mut files = vec![("cmdline", options.cmdline.as_str())];
    for (name, text) in [("hosts", &options.hosts), ("resolv.conf", &options.resolv_conf)] {
        files.extend(text.as_ref().map(|text| (name, text.as_str())));
    }
    // The cage ends in env(1), which takes words before the program for variables.
    let mut program: Vec<_> = options.environment.iter().map(PathBuf::from).collect();
    program.extend(installation.program());
    program.extend(["--debug", "--disk_wait_attempts", "0", "--log-file"].map(PathBuf::from));
    program.push(directory.join("ipa.log"));
    program.extend([PathBuf::from("--config-dir"), config_dir]);
    program.extend(options.extra_args.iter().map(PathBuf::from));
    let command = cage::prepare(&directory, &files, program)?;
    let output = fs::File::create(directory.join("output"))?;
    let run = Guardian::spawn(Some(&options.netns), &directory, output, &command)?;
    let start = Instant::now();
    loop {
        if let Some(pid) = pid_of(&run) {
            return Ok((run, pid));
        }
        if run.ended().is_some() || start.elapsed() > CAGE_TIMEOUT {
            let said = run.tail("output", 20);
            return Err(io::Error::other(format!("no cage for IPA (root?):\n{said}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The process that the cage became.
fn pid_of(run: &Guardian) -> Option<Pid> {
    let text = fs::read_to_string(run.directory().join("pid")).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}
