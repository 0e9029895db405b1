//! A running `ipa-sidecar` in a namespace: its log, its web pages, its end.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::{Http, Response};
use crate::netns::Netns;

/// Where the daemon's web server listens, in a namespace of its own.
const WEB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10099);
/// systemd's variable (systemd.exec(5)).
const RUNTIME_DIRECTORY: &str = "RUNTIME_DIRECTORY";
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(20);
/// Flags that keep this machine's own parameters out of a test.
const ISOLATION: [&str; 5] = [
    "--web.listen-address=127.0.0.1:10099",
    "--cmdline.path=/dev/null",
    "--no-vmedia",
    "--log.format=text",
    "--log.level=debug",
];

/// The daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    http: Http,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Runs `binary run FLAGS` inside, without this machine's own kernel command line and virtual media.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(binary: impl AsRef<OsStr>, netns: &Arc<Netns>, flags: &[&str]) -> io::Result<Self> {
        let mut command = netns.command(binary);
        command.args(Self::words(flags));
        Self::from_command(command, netns)
    }

    /// The words behind the program: `run`, the flags of every daemon here that `flags` do not set, and `flags`.
    pub fn words<'a>(flags: &[&'a str]) -> Vec<&'a str> {
        let mut words = vec!["run"];
        for flag in ISOLATION {
            let name = flag.split('=').next();
            if !flags.iter().any(|own| own.split('=').next() == name) {
                words.push(flag);
            }
        }
        words.extend(flags);
        words
    }

    /// Runs a command that was made with [`Netns::command`] and ends in a daemon: under `strace`, `setpriv`, ...
    /// Give it [`Daemon::words`]. It gets a `RUNTIME_DIRECTORY` of the namespace's own.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn from_command(mut command: Command, netns: &Arc<Netns>) -> io::Result<Self> {
        if command.get_envs().all(|(name, _)| name != RUNTIME_DIRECTORY) {
            command.env(RUNTIME_DIRECTORY, netns.runtime_directory()?);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        let reader = child.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        });
        Ok(Self { child, http: Http::inside(netns, WEB), log, reader })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A page of its web server.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn get(&self, path: &str) -> io::Result<Response> {
        self.http.get(path, &[])
    }

    /// `/state`.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn state(&self) -> io::Result<Value> {
        self.get("/state")?.json()
    }

    /// The value of one sample of `/metrics`, named as there with its labels and without the prefix
    /// `ipa_sidecar_`; `None` where there is no such sample.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn metric(&self, sample: &str) -> io::Result<Option<f64>> {
        let text = self.get("/metrics")?.text();
        let name = format!("ipa_sidecar_{sample} ");
        Ok(text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()))
    }

    /// Waits until `/state` is as wanted, with the probes loaded, and gives it.
    ///
    /// # Errors
    /// After `limit`: what was waited for, the last state, and the log.
    pub fn wait_state(
        &self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> io::Result<Value> {
        let mut last = Value::Null;
        self.wait(what, limit, || {
            last = self.state().unwrap_or(Value::Null);
            (last.is_object() && !are_loading(&last) && wanted(&last)).then(|| last.clone())
        })
    }

    /// Waits until the address is `address` (`None`: until there is none).
    ///
    /// # Errors
    /// As [`Daemon::wait_state`].
    pub fn wait_address(&self, address: Option<&str>, limit: Duration) -> io::Result<Value> {
        let wanted = address.map_or(Value::Null, Value::from);
        self.wait_state(&format!("address {address:?}"), limit, |state| {
            state.get("generation").is_some_and(|g| g != 0) && state.get("address") == Some(&wanted)
        })
    }

    /// Waits until the log holds `text`.
    ///
    /// # Errors
    /// After `limit`, with the log.
    pub fn wait_log(&self, text: &str, limit: Duration) -> io::Result<()> {
        self.wait(&format!("log line {text:?}"), limit, || self.log().contains(text).then_some(()))
    }

    /// Waits until `look` gives something.
    ///
    /// # Errors
    /// After `limit`: what was waited for, the state, and the log.
    pub fn wait<T>(&self, what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Some(found) = look() {
                return Ok(found);
            }
            sleep(POLL);
        }
        let state = self.state().map_or_else(|error| error.to_string(), |state| format!("{state:#}"));
        Err(io::Error::other(format!("not within {limit:?}: {what}\nstate: {state}\nlog:\n{}", self.log())))
    }

    /// Sends SIGTERM and waits; gives the status and how long it took.
    ///
    /// # Errors
    /// Where it does not end within 10 s.
    pub fn terminate(&mut self) -> io::Result<(ExitStatus, Duration)> {
        let started = Instant::now();
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        self.ended(Duration::from_secs(10)).map(|status| (status, started.elapsed()))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// After `limit`, with the log.
    pub fn ended(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                self.read_rest();
                return Ok(status);
            }
            sleep(POLL);
        }
        Err(io::Error::other(format!("still running after {limit:?}\nlog:\n{}", self.log())))
    }

    /// How it ended, where it has.
    pub fn ended_already(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten()?;
        self.read_rest();
        Some(status)
    }

    fn read_rest(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.read_rest();
    }
}

/// Whether a `/state` is from a time at which the probes are not there yet.
pub fn are_loading(state: &Value) -> bool {
    let probes = state.pointer("/probes/list").and_then(Value::as_array);
    probes.into_iter().flatten().any(|probe| probe.get("reason").is_some_and(|reason| reason == "not_yet"))
}
