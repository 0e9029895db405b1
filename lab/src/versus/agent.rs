//! IPA of one run, as systemd keeps its unit.

use std::time::{Duration, Instant};

use testbed::ipa::{IpaOptions, RealIpa};

/// The `RestartSec` of its unit is 30 s; here it is shorter.
const RESTART: Duration = Duration::from_secs(5);
/// What it logs when it starts, and when it will never register any more.
const STARTS: &str = "Starting ironic-python-agent version";
const DEAD: [&str; 2] = ["This is **FATAL**", "LookupAgentIPError"];
/// Its log is long: it is read no more often than this.
const READ: Duration = Duration::from_millis(250);

/// An IPA that is started again when it ends.
pub struct Agent {
    process: RealIpa,
    ended: Option<Instant>,
    read: Instant,
    /// When it was started.
    pub since: Instant,
    /// When its log began.
    pub started: Option<Instant>,
    /// Why it will never register any more.
    pub dead: Option<&'static str>,
}

impl Agent {
    /// Starts it.
    ///
    /// # Errors
    /// Where its cage cannot be built.
    pub fn start(options: &IpaOptions) -> anyhow::Result<Self> {
        let process = RealIpa::start(options)?;
        let since = Instant::now();
        Ok(Self { process, ended: None, read: since, since, started: None, dead: None })
    }

    /// Looks after it; call it often.
    ///
    /// # Errors
    /// Where it cannot be started again.
    pub fn care(&mut self) -> anyhow::Result<()> {
        if self.ended.is_none() && self.process.ended().is_some() {
            self.ended = Some(Instant::now());
        }
        if self.read.elapsed() > READ {
            let log = self.log();
            self.read = Instant::now();
            self.dead = DEAD.into_iter().find(|why| log.contains(why));
            if self.started.is_none() && log.contains(STARTS) {
                self.started = Some(self.read);
            }
        }
        if self.ended.is_some_and(|ended| ended.elapsed() > RESTART) {
            self.process.restart()?;
            self.ended = None;
        }
        Ok(())
    }

    /// What it logged since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
