//! Gathers the facts, judges them, and publishes what came of it.

use std::time::{Duration, Instant};

use callback_url::{ApiUrl, Host, Scheme};
use tokio::sync::watch;

use super::judge::{Facts, Sight, judge};
use super::proxy::proxy;
use super::{PassedBy, Why};
use crate::exchange::Seen;
use crate::guard::GuardState;
use crate::ipa::keeper::DropinState;
use crate::ipa::place::Running;
use crate::ipa::status::IpaState;
use crate::kept::{Contents, IpaId, Kept, since_boot};
use crate::metrics::Metrics;
use crate::params::Mode;
use crate::probes::{ProbesState, Target};
use crate::sight::SightState;

/// What stays the same for the whole run.
#[derive(Debug)]
pub struct Setting {
    /// What the daemon does.
    pub mode: Mode,
    /// Ironic.
    pub api_urls: Vec<ApiUrl>,
    /// The operator gave the host where IPA reads it as well.
    pub known_elsewhere: bool,
}

/// Where the facts are published.
#[derive(Debug)]
pub struct Heard {
    /// Heard of every minute at least, which sets the pace here.
    pub ipa: watch::Receiver<IpaState>,
    pub running: watch::Receiver<Running>,
    pub exchanges: watch::Receiver<Seen>,
    pub dropin: watch::Receiver<DropinState>,
    pub guard: watch::Receiver<GuardState>,
    pub sight: watch::Receiver<SightState>,
    pub probes: watch::Receiver<ProbesState>,
    /// What outlives the daemon.
    pub kept: Kept,
}

/// Which process has answered since when.
#[derive(Debug, Default)]
struct Memory(Option<(Option<IpaId>, Instant)>);

/// Looks until the daemon ends.
pub async fn follow(
    setting: Setting,
    mut heard: Heard,
    state: watch::Sender<Option<PassedBy>>,
    metrics: Metrics,
) {
    metrics.show_passed_by(&Why::NAMES, None);
    let mut memory = Memory::default();
    loop {
        let ipa = heard.ipa.borrow_and_update().clone();
        memory.learn(&ipa);
        heard.exchanges.borrow_and_update();
        heard.running.borrow_and_update();
        let facts = memory.facts(&setting, &ipa, &heard);
        // One that has ended has bypassed the daemon all its life, and perhaps died of that. The next one is judged anew.
        let is_looked_at = heard.running.borrow().as_ref().map(|(id, _)| *id) == ipa.process;
        if is_looked_at && (ipa.up || ipa.process.is_some() || state.borrow().is_none()) {
            publish(judge(&facts).map(|why| facts.describe(why)), &state, &metrics);
        }
        tokio::select! {
            changed = heard.ipa.changed() => if changed.is_err() { return },
            changed = heard.exchanges.changed() => if changed.is_err() { return },
            changed = heard.running.changed() => if changed.is_err() { return },
        }
    }
}

/// A line in the log where the cause is another one than before.
fn publish(now: Option<PassedBy>, state: &watch::Sender<Option<PassedBy>>, metrics: &Metrics) {
    let why = now.as_ref().map(|now| now.why);
    let before = state.borrow().as_ref().map(|before| before.why);
    match &now {
        Some(PassedBy { why, sentence }) if before != Some(*why) => {
            tracing::error!(why = why.as_str(), "{sentence}");
        }
        None if before.is_some() => tracing::info!("ironic-python-agent no longer bypasses ipa-sidecar"),
        _ => {}
    }
    metrics.show_passed_by(&Why::NAMES, why.map(Why::as_str));
    state.send_if_modified(|shown| {
        let changed = *shown != now;
        *shown = now;
        changed
    });
}

impl Memory {
    fn learn(&mut self, ipa: &IpaState) {
        self.0 = match self.0 {
            Some((process, since)) if ipa.up && process == ipa.process => Some((process, since)),
            _ => ipa.up.then(|| (ipa.process, Instant::now())),
        };
    }

    fn facts(&self, setting: &Setting, ipa: &IpaState, heard: &Heard) -> Facts {
        let running = heard.running.borrow();
        let started = running.as_ref().filter(|(id, _)| Some(*id) == ipa.process).map(|(_, started)| started);
        let sight = match setting.mode {
            Mode::Guard => {
                guards(&heard.guard.borrow(), &heard.exchanges.borrow(), &heard.probes.borrow(), ipa)
            }
            Mode::Configure | Mode::Observe => {
                let urls = &setting.api_urls;
                seen(&heard.sight.borrow(), &heard.exchanges.borrow(), &heard.probes.borrow(), ipa, urls)
            }
            Mode::Agent => None,
        };
        Facts {
            mode: setting.mode,
            runs: (ipa.up || ipa.process.is_some()) && !started.is_some_and(|one| one.is_standalone),
            answers_for: self.0.map(|(_, since)| since.elapsed()),
            sight,
            heartbeat_timeout: heard.exchanges.borrow().heartbeat_timeout,
            dropin: heard.dropin.borrow().address.clone(),
            given: ipa.process.and_then(|id| given(&heard.kept.read(), id)),
            known_elsewhere: setting.known_elsewhere,
            place: started.map(|started| started.place.clone()),
            overridden: started.and_then(|started| started.overridden.clone()),
            proxy: started.and_then(|started| proxy(&started.environment, &setting.api_urls)),
        }
    }
}

/// The host in the drop-in that was on disk when this IPA started.
fn given(kept: &Contents, id: IpaId) -> Option<Host> {
    if let Some(known) = kept.started_with.as_ref().filter(|known| known.ipa == id) {
        return Some(known.address.clone());
    }
    let dropin = kept.dropin.as_ref().filter(|dropin| dropin.written <= id.started());
    dropin.map(|dropin| dropin.address.clone())
}

/// What the guard sees of this IPA while it redirects; `None` while it does not.
fn guards(guard: &GuardState, seen: &Seen, probes: &ProbesState, ipa: &IpaState) -> Option<Sight> {
    Some(looked(guard.redirecting_since?.elapsed(), seen, probes, ipa))
}

/// What sight sees of this IPA where it looks at every API URL. What was lost makes nothing of what was seen; but silence
/// counts only since then.
fn seen(
    sight: &SightState,
    seen: &Seen,
    probes: &ProbesState,
    ipa: &IpaState,
    urls: &[ApiUrl],
) -> Option<Sight> {
    let looks_for = sight.since(urls.iter())?.elapsed();
    // An IPA in a container may use another libssl: until something of it was seen, nobody knows that it would be.
    if urls.iter().any(|url| url.scheme == Scheme::Https) && sight.exchanges.last().is_none() {
        return None;
    }
    let whole_for = sight.whole_for().unwrap_or(Duration::MAX);
    Some(looked(looks_for.min(whole_for), seen, probes, ipa))
}

fn looked(for_so_long: Duration, seen: &Seen, probes: &ProbesState, ipa: &IpaState) -> Sight {
    // The process's age; of an unknown one nobody knows what it missed.
    let age = ipa.process.map(|id| since_boot().saturating_sub(id.started()));
    let is_its = |ago: &Duration| age.is_none_or(|age| *ago <= age);
    let beat = seen.heartbeats.last();
    let failed = probes.connect_failures.iter().rev().find(|failure| failure.target == Target::Ironic);
    let last = [seen.last_of_ipa, beat.map(|beat| beat.at), failed.map(|failure| failure.at)];
    let last = last.into_iter().flatten().map(|at| at.elapsed()).filter(is_its).min();
    let url = beat.filter(|beat| is_its(&beat.at.elapsed()) && !beat.callback_url.is_empty());
    Sight {
        for_so_long,
        whole: age.is_some_and(|age| age < for_so_long),
        last,
        url: url.map(|beat| beat.callback_url.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::{DropinWrite, StartedWith};
    use crate::recent::Moment;

    const IPA: IpaId = IpaId { pid: 7, start_ticks: 1000 };

    #[test]
    fn a_drop_in_counts_for_an_ipa_that_began_after_it() {
        let address = Host::parse("192.0.2.1").unwrap();
        let mut kept = Contents::default();
        assert_eq!(given(&kept, IPA), None);
        kept.dropin = Some(DropinWrite { address: address.clone(), written: Duration::from_secs(11) });
        assert_eq!(given(&kept, IPA), None, "it began a second before");
        kept.dropin = Some(DropinWrite { address: address.clone(), written: Duration::from_secs(10) });
        assert_eq!(given(&kept, IPA), Some(address.clone()));
        kept.dropin =
            Some(DropinWrite { address: Host::parse("192.0.2.2").unwrap(), written: Duration::from_secs(9) });
        kept.started_with = Some(StartedWith { ipa: IPA, address: address.clone() });
        assert_eq!(given(&kept, IPA), Some(address), "what it is known to have read");
    }

    #[test]
    fn a_guard_that_does_not_redirect_sees_nothing() {
        let (seen, probes) = (Seen::default(), ProbesState::default());
        let began = since_boot();
        let ticks = u64::try_from(began.as_millis() / 10).unwrap();
        let now = IpaState { process: Some(IpaId { pid: 1, start_ticks: ticks }), ..IpaState::default() };
        let guard = GuardState::default();
        assert!(guards(&guard, &seen, &probes, &now).is_none());
        std::thread::sleep(Duration::from_millis(30));
        let guard = GuardState { redirecting_since: Some(Moment::now()), ..guard };
        let sight = guards(&guard, &seen, &probes, &now).unwrap();
        assert!(
            !sight.whole && sight.last.is_none() && sight.url.is_none(),
            "IPA was there before: {sight:?}"
        );
        let later =
            IpaState { process: Some(IpaId { pid: 1, start_ticks: u64::MAX }), ..IpaState::default() };
        assert!(guards(&guard, &seen, &probes, &later).unwrap().whole);
    }
}
