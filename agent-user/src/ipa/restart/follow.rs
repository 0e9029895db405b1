//! Does what [`judge`] says, once for each process of IPA's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use callback_url::Host;
use fib::listens;
use tokio::sync::{mpsc, watch};

use crate::image::unit;
use crate::ipa::keeper::DropinState;
use crate::ipa::status::IpaState;
use crate::kept::{IpaId, Kept};
use crate::kernel_thread;
use crate::metrics::{Metrics, RestartResult};
use crate::params::{IpaSettings, RestartUnit};
use crate::watch::Published;

use super::stop::Stopped;
use super::systemd::{Manager, SOCKET, SystemdError};
use super::{Drain, RestartFacts, SightRecord, Verdict, drained, given_at_start, is_spent, judge};

/// What it hears of, and where it counts.
pub struct Surroundings {
    pub decisions: watch::Receiver<Arc<Published>>,
    pub ipa: watch::Receiver<IpaState>,
    pub dropin: watch::Receiver<DropinState>,
    /// Sight, where it is attached.
    pub sight: Option<mpsc::Sender<Drain>>,
    /// What outlives the daemon.
    pub kept: Kept,
    pub metrics: Metrics,
}

/// Restarts an IPA before its lookup.
pub struct Restarter {
    unit: RestartUnit,
    /// Where systemd's manager listens.
    systemd: PathBuf,
    port: u16,
    surroundings: Surroundings,
    /// The IPA about which it was decided.
    done: Option<IpaId>,
}

impl Restarter {
    /// `unit` names what is restarted.
    pub fn new(unit: RestartUnit, settings: &IpaSettings, surroundings: Surroundings) -> Self {
        Self { unit, systemd: SOCKET.into(), port: settings.listen_port, surroundings, done: None }
    }

    /// Looks whenever the address, the drop-in or IPA changes, until the daemon ends.
    pub async fn run(mut self) {
        loop {
            let ipa = self.surroundings.ipa.borrow_and_update().process;
            self.surroundings.decisions.borrow_and_update();
            self.surroundings.dropin.borrow_and_update();
            if let Some(ipa) = ipa.filter(|ipa| self.done != Some(*ipa)) {
                self.look_at(ipa).await;
            }
            let Surroundings { decisions, ipa, dropin, .. } = &mut self.surroundings;
            tokio::select! {
                Ok(()) = decisions.changed() => {}
                Ok(()) = ipa.changed() => {}
                Ok(()) = dropin.changed() => {}
                else => return,
            }
        }
    }

    async fn look_at(&mut self, ipa: IpaId) {
        if self.judge(ipa, false).await == Verdict::NotNeeded {
            return;
        }
        self.done = Some(ipa);
        let Some(result) = self.restart(ipa).await else {
            return; // Its address has come back meanwhile.
        };
        self.surroundings.metrics.ipa_restart(result);
        let words = result.words();
        match result {
            RestartResult::Restarted => tracing::warn!(pid = ipa.pid, "{LOST}: {words}"),
            _ => tracing::error!(
                pid = ipa.pid,
                result = result.as_str(),
                "{LOST}, and it is not restarted: {words}"
            ),
        }
    }

    async fn restart(&mut self, ipa: IpaId) -> Option<RestartResult> {
        match self.judge(ipa, false).await {
            Verdict::NotNeeded => return None,
            Verdict::Leave(result) => return Some(result),
            Verdict::Stop | Verdict::Restart => {}
        }
        let Some(name) = self.unit_of(ipa).await else {
            return Some(RestartResult::NoUnit);
        };
        // Before anything is stopped: an IPA that is ended and not started again is worse than one with a lost address.
        let mut manager = match manager_of(&self.systemd, &name).await {
            Ok(manager) => manager,
            Err(error) => return Some(failed(&name, &error)),
        };
        let stopped = match Stopped::stop(ipa).await {
            Ok(stopped) => stopped,
            Err(error) => return Some(failed(&name, &error)),
        };
        match self.judge(ipa, true).await {
            Verdict::Restart => {}
            Verdict::NotNeeded | Verdict::Stop => return None,
            Verdict::Leave(result) => return Some(result),
        }
        if let Err(error) = stopped.kill() {
            return Some(failed(&name, &error));
        }
        Some(match manager.restart(&name).await {
            Ok(()) => RestartResult::Restarted,
            Err(error) => failed(&name, &error),
        })
    }

    async fn judge(&self, ipa: IpaId, stopped: bool) -> Verdict {
        let Surroundings { decisions, dropin, sight, kept, .. } = &self.surroundings;
        let state = self.surroundings.ipa.borrow().clone();
        let kept = kept.read();
        let published = Arc::clone(&decisions.borrow());
        let dropin = match dropin.borrow().address {
            Some(Host::Ip(ip)) => Some(ip),
            _ => None,
        };
        let facts = RestartFacts {
            started_with: given_at_start(&kept, ipa),
            assigned: published.known_local().map(|local| local.assigned.as_slice()),
            dropin,
            token_spent: is_spent(&kept, &state),
            listens: false,
            sight: SightRecord { attached_before_ipa: true, lost: false, lookup_seen: false },
            stopped,
        };
        if judge(&facts) == Verdict::NotNeeded {
            return Verdict::NotNeeded; // The questions below cost something.
        }
        let port = self.port;
        let listens = kernel_thread::ask(move || listens(None, port)).await;
        let facts = RestartFacts {
            listens: !matches!(listens, Some(Ok(false))),
            sight: drained(sight.as_ref(), ipa).await,
            ..facts
        };
        judge(&facts)
    }

    /// The unit that starts it.
    async fn unit_of(&self, ipa: IpaId) -> Option<String> {
        match &self.unit {
            RestartUnit::Off => None,
            RestartUnit::Named(name) => Some(name.clone()),
            RestartUnit::Auto => {
                let find = move || unit::of_process(ipa.pid).or_else(unit::installed);
                kernel_thread::ask(find).await.flatten().map(str::to_owned)
            }
        }
    }
}

/// How each log line begins.
const LOST: &str = "the address that ironic-python-agent started with is lost before its lookup";

async fn manager_of(socket: &Path, unit: &str) -> Result<Manager, SystemdError> {
    let mut manager = Manager::connect(socket).await?;
    manager.has(unit).await?;
    Ok(manager)
}

fn failed(unit: &str, error: &dyn std::fmt::Display) -> RestartResult {
    tracing::error!(unit, %error, "could not restart ironic-python-agent");
    RestartResult::Failed
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
