//! One run: a node boots, with a daemon or bare, a schedule happens to it, and Ironic hears of it or does not.

use std::time::{Duration, Instant};

use anyhow::Context;
use testbed::ipa::IpaOptions;

use super::agent::Agent;
use super::boot::Boot;
use super::daemon::Unit;
use super::door::{Door, Seen};
use super::hall::{Enrolled, Hall};
use super::outcome::{Beside, Class, Outcome};
use super::reach;
use super::schedule::{Schedule, Setting, Step, When};
use super::stage::{self, Stage};

/// After this long without a heartbeat that Ironic accepted there is none.
const LIMIT: Duration = Duration::from_secs(60);
/// A later heartbeat comes in this time, or none does: IPA tries again after 5 to 10 s.
const NEXT: Duration = Duration::from_secs(25);
/// How often everything is looked at.
const POLL: Duration = Duration::from_millis(50);
/// A run while it lasts. The processes are named before the namespaces: they end first.
struct Run<'a> {
    schedule: &'a Schedule,
    enrolled: Enrolled<'a>,
    ipa: Option<Agent>,
    unit: Option<Unit>,
    door: Door,
    stage: Stage,
    options: IpaOptions,
    boot: Instant,
    beat: Option<Instant>,
    pending: Vec<(When, Step)>,
    last_step: Instant,
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
    let door =
        Door::open(&stage.conductor, enrolled.address()?, stage::host(schedule.api), hall.tls(setting));
    let files = Boot::new(hall, &enrolled, schedule, setting)?;
    let boot = Instant::now();
    let mut unit = None;
    if beside != Beside::Nothing {
        let flags = [files.flags(beside), hall.flags.clone()].concat();
        unit = Some(Unit::start(&stage.node, hall.binary.clone(), &enrolled.directory, flags)?);
    }
    let mut run = Run {
        schedule,
        enrolled,
        ipa: None,
        unit,
        door,
        options: files.ipa(schedule, &stage),
        stage,
        boot,
        beat: None,
        pending: schedule.steps.clone(),
        last_step: boot,
    };
    let outcome = run.finish()?;
    let log = run.log(&outcome);
    Ok((outcome, log))
}

impl Run<'_> {
    fn finish(&mut self) -> anyhow::Result<Outcome> {
        loop {
            self.turn()?;
            if let Some(at) = self.accepted_after(self.beat.unwrap_or(self.boot)) {
                self.beat = Some(at);
                let outcome = self.registered(at)?;
                // A 202 is not a record: Ironic drops what comes while the node is locked. The next one counts.
                if outcome.url.is_some() {
                    return Ok(outcome);
                }
            }
            if let Some(note) = self.hopeless() {
                let url = self.enrolled.internal("agent_url")?;
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
        match &mut self.ipa {
            Some(ipa) => ipa.care()?,
            // Ordered behind the daemon.
            None if self.unit.as_ref().is_none_or(Unit::settled) => {
                self.ipa = Some(Agent::start(&self.options)?);
            }
            None => {}
        }
        let due: Vec<_> = self.pending.iter().filter(|(when, _)| self.is_due(*when)).copied().collect();
        self.pending.retain(|step| !due.contains(step));
        for (when, step) in due {
            self.apply(step).with_context(|| format!("{when}: {step}"))?;
            self.last_step = Instant::now();
        }
        Ok(())
    }

    fn is_due(&self, when: When) -> bool {
        let seen = || self.door.seen().into_iter().filter(|seen| seen.request.is_lookup());
        let (since, after) = match when {
            When::Boot(after) => (Some(self.boot), after),
            When::Ipa(after) => (self.ipa.as_ref().and_then(|ipa| ipa.started), after),
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

    /// When the first heartbeat after this was accepted, by what the node heard.
    fn accepted_after(&self, after: Instant) -> Option<Instant> {
        let accepted = |seen: &Seen| seen.request.is_heartbeat() && seen.status == 202 && seen.asked > after;
        self.door.seen().iter().filter(|seen| accepted(seen)).find_map(|seen| seen.answered)
    }

    /// Why no heartbeat will come any more, or none has come in time.
    fn hopeless(&self) -> Option<String> {
        let Some(ipa) = &self.ipa else {
            return (self.boot.elapsed() > LIMIT).then(|| "IPA was not started".to_owned());
        };
        if let Some(why) = ipa.dead {
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

    fn registered(&mut self, at: Instant) -> anyhow::Result<Outcome> {
        let (class, url, note) = reach::look(&self.enrolled, &self.stage.conductor)?;
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
            log.push_str(&format!("=== IPA\n{}", ipa.log()));
        }
        log
    }
}
