//! One run: a node boots, with a daemon or bare, a schedule happens to it, and Ironic hears of it or does not.

use std::time::{Duration, Instant};

use anyhow::Context;
use testbed::ipa::{IpaOptions, RealIpa};

use super::daemon::Unit;
use super::door::{self, Door, Seen};
use super::hall::{Enrolled, Hall};
use super::outcome::{Class, Outcome};
use super::reach;
use super::schedule::{Schedule, Setting, Step, When};
use super::stage::{self, Stage};

/// After this long without a heartbeat that Ironic accepted there is none.
const LIMIT: Duration = Duration::from_secs(60);
/// A later heartbeat comes in this time, or none does: IPA tries again after 5 to 10 s.
const NEXT: Duration = Duration::from_secs(25);
/// The `RestartSec` of IPA's unit is 30 s; here it is shorter.
const RESTART: Duration = Duration::from_secs(5);
/// IPA's time-outs and pauses, shorter than by default; nothing else of it is changed.
const QUICK: &str = "ipa-http-request-timeout=6 ipa-ip-lookup-timeout=1";
/// What IPA logs when it starts, and when it will never register any more.
const STARTS: &str = "Starting ironic-python-agent version";
const DEAD: [&str; 2] = ["This is **FATAL**", "LookupAgentIPError"];
/// How often everything is looked at.
const POLL: Duration = Duration::from_millis(50);
/// IPA's log is long: it is read less often.
const READ: Duration = Duration::from_millis(250);

/// Beside what IPA runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    Configure,
    Guard,
}

impl Beside {
    /// Its name: of the mode, or `bare`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare",
            Self::Configure => "configure",
            Self::Guard => "guard",
        }
    }
}

/// A run while it lasts. The processes are named before the namespaces: they end first.
struct Run<'a> {
    schedule: &'a Schedule,
    ipa: Option<Ipa>,
    unit: Option<Unit>,
    door: Door,
    stage: Stage,
    options: IpaOptions,
    boot: Instant,
    /// When IPA's log began.
    started: Option<Instant>,
    beat: Option<Instant>,
    pending: Vec<(When, Step)>,
    last_step: Instant,
    /// When IPA's log was read, and whether it is dead.
    read: Instant,
    dead: Option<&'static str>,
}

struct Ipa {
    process: RealIpa,
    since: Instant,
    ended: Option<Instant>,
}

/// Runs it, and gives its end and the logs of daemon and IPA.
///
/// # Errors
/// Where something of the testbed fails; that is no outcome.
pub fn run(
    hall: &Hall,
    schedule: &Schedule,
    setting: Setting,
    beside: Beside,
) -> anyhow::Result<(Outcome, String)> {
    let enrolled = hall.enroll(setting)?;
    let stage = Stage::new(schedule, &enrolled.mac).context("the namespaces")?;
    let host = stage::host(schedule.api);
    let door = Door::open(&stage.conductor, enrolled.address()?, host.clone(), hall.tls(setting));
    let scheme = if setting.https { "https" } else { "http" };
    let cmdline = format!("BOOT_IMAGE=versus ipa-api-url={scheme}://{host}:{} {QUICK} quiet", door::PORT);
    let config = files(hall, &enrolled, setting, &cmdline)?;
    let mut options = IpaOptions::new(&stage.node, &config);
    options.cmdline.clone_from(&cmdline);
    options.hosts = Some("127.0.0.1 localhost".to_owned());
    options.resolv_conf = Some(stage::resolv_conf());
    if schedule.disks > 0 {
        let attempts = (schedule.disks + 1).to_string();
        options.extra_args =
            ["--disk_wait_attempts", &attempts, "--disk_wait_delay", "1"].map(str::to_owned).into();
    }
    if schedule.proxy {
        options.environment = vec![format!("HTTP_PROXY=http://10.99.0.1:{}", door::PROXY)];
        options.environment.push(format!("http_proxy=http://10.99.0.1:{}", door::PROXY));
    }
    let boot = Instant::now();
    let mut run = Run {
        schedule,
        ipa: None,
        unit: None,
        door,
        stage,
        options,
        boot,
        started: None,
        beat: None,
        pending: schedule.steps.clone(),
        last_step: boot,
        read: boot,
        dead: None,
    };
    if beside != Beside::Nothing {
        let mut flags = vec![
            format!("--mode={}", beside.name()),
            format!("--cmdline.path={}", enrolled.directory.join("cmdline").display()),
            format!("--ipa.config-dir={}", config.display()),
        ];
        flags.extend(hall.flags.iter().cloned());
        let netns = &run.stage.node;
        run.unit = Some(Unit::start(netns, hall.binary.clone(), &enrolled.directory, flags)?);
    }
    let outcome = run.to_its_end(&enrolled)?;
    let log = run.log(&outcome);
    Ok((outcome, log))
}

/// The files of daemon and IPA; gives the directory of IPA's configuration.
fn files(
    hall: &Hall,
    enrolled: &Enrolled<'_>,
    setting: Setting,
    cmdline: &str,
) -> anyhow::Result<std::path::PathBuf> {
    let directory = &enrolled.directory;
    let (config, etc, ca) = (directory.join("conf"), directory.join("etc"), directory.join("ca.pem"));
    for path in [&config, &etc, &directory.join("run")] {
        std::fs::create_dir_all(path)?;
    }
    std::fs::write(&ca, &hall.ca)?;
    std::fs::write(etc.join("hosts"), "127.0.0.1 localhost\n")?;
    std::fs::write(etc.join("resolv.conf"), stage::resolv_conf())?;
    std::fs::write(directory.join("cmdline"), cmdline)?;
    let text = format!("[DEFAULT]\ncafile = {}\nenable_auto_tls = {}\n", ca.display(), setting.auto_tls);
    std::fs::write(config.join("10-site.conf"), text)?;
    Ok(config)
}

impl Run<'_> {
    fn to_its_end(&mut self, enrolled: &Enrolled<'_>) -> anyhow::Result<Outcome> {
        loop {
            self.turn()?;
            if let Some(at) = self.accepted_after(self.boot) {
                self.beat = Some(at);
                return self.registered(enrolled, at);
            }
            if let Some(note) = self.hopeless() {
                let url = enrolled.internal("agent_url")?;
                return Ok(Outcome { class: Class::Missing, url, since_boot: None, since_ipa: None, note });
            }
            std::thread::sleep(POLL);
        }
    }

    /// One look at everything.
    fn turn(&mut self) -> anyhow::Result<()> {
        if let Some(unit) = &mut self.unit {
            unit.care()?;
        }
        self.care_for_ipa()?;
        let due: Vec<_> = self.pending.iter().filter(|(when, _)| self.is_due(*when)).copied().collect();
        self.pending.retain(|step| !due.contains(step));
        for (when, step) in due {
            self.apply(step).with_context(|| format!("{when}: {step}"))?;
            self.last_step = Instant::now();
        }
        Ok(())
    }

    /// As systemd does: behind the daemon, and again some time after its end.
    fn care_for_ipa(&mut self) -> anyhow::Result<()> {
        match &mut self.ipa {
            None => {
                if self.unit.as_ref().is_none_or(Unit::settled) {
                    let process = RealIpa::start(&self.options)?;
                    self.ipa = Some(Ipa { process, since: Instant::now(), ended: None });
                }
            }
            Some(ipa) => {
                if ipa.ended.is_none() && ipa.process.ended().is_some() {
                    ipa.ended = Some(Instant::now());
                }
                if ipa.ended.is_some_and(|ended| ended.elapsed() > RESTART) {
                    ipa.process.restart()?;
                    ipa.ended = None;
                }
                if self.read.elapsed() > READ {
                    let log = ipa.process.log();
                    self.read = Instant::now();
                    self.dead = DEAD.into_iter().find(|why| log.contains(why));
                    if self.started.is_none() && log.contains(STARTS) {
                        self.started = Some(self.read);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_due(&self, when: When) -> bool {
        let seen = || self.door.seen().into_iter().filter(|seen| seen.request.is_lookup());
        let (since, after) = match when {
            When::Boot(after) => (Some(self.boot), after),
            When::Ipa(after) => (self.started, after),
            When::Asked(after) => (seen().map(|seen| seen.asked).next(), after),
            When::Lookup(after) => {
                (seen().filter(|seen| seen.status == 200).find_map(|seen| seen.answered), after)
            }
            When::Beat(after) => (self.beat, after),
        };
        since.is_some_and(|since| since.elapsed().as_secs_f32() >= after)
    }

    fn apply(&mut self, step: Step) -> anyhow::Result<()> {
        match (step, &mut self.unit) {
            (Step::Ironic(mood), _) => self.door.set(mood),
            (Step::Daemon(hit), Some(unit)) => unit.hit(hit)?,
            (step, _) => self.stage.apply(&step)?,
        }
        Ok(())
    }

    /// When the first heartbeat after this was accepted.
    fn accepted_after(&self, after: Instant) -> Option<Instant> {
        let accepted = |seen: &Seen| seen.request.is_heartbeat() && seen.status == 202 && seen.asked > after;
        self.door.seen().iter().find(|seen| accepted(seen))?.answered
    }

    /// Why no heartbeat will come any more, or none has come in time.
    fn hopeless(&self) -> Option<String> {
        let ipa = self.ipa.as_ref()?;
        if let Some(why) = self.dead {
            return Some(format!("IPA says {why}"));
        }
        (ipa.since.elapsed() > LIMIT).then(|| {
            let seen = self.door.seen();
            let last = seen.iter().rev().find(|seen| seen.status >= 400);
            match last {
                Some(seen) => format!("{} {}: {}", seen.request.target, seen.status, seen.fault),
                None => format!("{} requests reached Ironic, none was refused", seen.len()),
            }
        })
    }

    fn registered(&mut self, enrolled: &Enrolled<'_>, at: Instant) -> anyhow::Result<Outcome> {
        let (class, url, note) = reach::look(enrolled, &self.stage.conductor)?;
        let ipa = self.ipa.as_ref().map(|ipa| at.saturating_duration_since(ipa.since));
        let since_boot = Some(at.saturating_duration_since(self.boot));
        let mut outcome = Outcome { class, url, since_boot, since_ipa: ipa, note };
        if class == Class::Right && self.schedule.goes_on() && !self.goes_on()? {
            outcome.class = Class::Lost;
            let seen = self.door.seen();
            let last = seen.iter().rev().find(|seen| seen.request.is_heartbeat());
            outcome.note = last.map(|seen| format!("{} {}", seen.status, seen.fault)).unwrap_or_default();
        }
        Ok(outcome)
    }

    /// Whether Ironic accepts another heartbeat after the last step.
    fn goes_on(&mut self) -> anyhow::Result<bool> {
        let start = Instant::now();
        while start.elapsed() < NEXT {
            self.turn()?;
            if self.pending.is_empty() && self.accepted_after(self.last_step).is_some() {
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
        Ok(false)
    }

    fn log(&self, outcome: &Outcome) -> String {
        let mut log = format!("{outcome} {:?} {}\n", outcome.url, outcome.note);
        for (when, step) in &self.pending {
            log.push_str(&format!("--- did not happen: {when}: {step}\n"));
        }
        for seen in self.door.seen() {
            let Seen { asked, answered, request, status, fault } = seen;
            let second = |at: Instant| at.saturating_duration_since(self.boot).as_secs_f32();
            let url = request.callback_url.unwrap_or_default();
            let answered = answered.map_or_else(|| "never".to_owned(), |at| format!("{:.2}", second(at)));
            let line = format!(
                "{:6.2} {} {} {url} {status} {answered}",
                second(asked),
                request.method,
                request.target
            );
            log.push_str(&format!("{line} {fault}\n"));
        }
        if let Some(unit) = &self.unit {
            log.push_str(&format!("=== daemon\n{}", unit.log()));
        }
        if let Some(ipa) = &self.ipa {
            log.push_str(&format!("=== IPA\n{}", ipa.process.log()));
        }
        log
    }
}
