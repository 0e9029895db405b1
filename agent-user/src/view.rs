//! Everything that the tasks publish, at one moment. The pages, the metrics' neighbours and readiness read it; no task
//! decides by it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::agent::AgentState;
use crate::exchange::Seen;
use crate::guard::GuardState;
use crate::ipa::keeper::DropinState;
use crate::ipa::place::Place;
use crate::ipa::status::IpaState;
use crate::params::Mode;
use crate::passed_by::PassedBy;
use crate::pin::Held;
use crate::probes::ProbesState;
use crate::read_back::ReadBackState;
use crate::report::ReportState;
use crate::sight::SightState;
use crate::watch::Published;

/// What the daemon is to do, and what keeps it from it. It stays the same for the whole run.
#[derive(Debug, Clone)]
pub struct Duty {
    /// The mode that the operator wants.
    pub wanted: Mode,
    /// The mode that it runs in: observe where there is no API URL to work with.
    pub mode: Mode,
    /// Why it runs in another mode than the wanted one.
    pub held_back: Option<String>,
    /// What is wrong with parameters that others gave, one sentence each.
    pub problems: Vec<String>,
}

/// Where each task publishes.
#[derive(Debug, Clone)]
pub struct Sources {
    /// What the daemon is to do.
    pub duty: Arc<Duty>,
    pub decisions: watch::Receiver<Arc<Published>>,
    /// What Ironic holds.
    pub held: watch::Receiver<Held>,
    /// Lookups, heartbeats and bad URLs.
    pub exchanges: watch::Receiver<Seen>,
    pub dropin: watch::Receiver<DropinState>,
    pub place: watch::Receiver<Place>,
    pub ipa: watch::Receiver<IpaState>,
    pub guard: watch::Receiver<GuardState>,
    pub sight: watch::Receiver<SightState>,
    pub agent: watch::Receiver<AgentState>,
    pub probes: watch::Receiver<ProbesState>,
    /// Why IPA bypasses ipa-sidecar, where it does.
    pub passed_by: watch::Receiver<Option<PassedBy>>,
    pub read_back: watch::Receiver<ReadBackState>,
    pub report: watch::Receiver<ReportState>,
    /// Why the pages are not served, where they are not.
    pub web: watch::Receiver<Option<String>>,
}

/// See [`Sources`].
#[derive(Debug, Clone)]
pub struct View {
    /// What the daemon is to do.
    pub duty: Arc<Duty>,
    pub published: Arc<Published>,
    /// What Ironic holds.
    pub held: Held,
    /// Lookups, heartbeats and bad URLs.
    pub exchanges: Seen,
    pub dropin: DropinState,
    pub place: Place,
    pub ipa: IpaState,
    pub guard: GuardState,
    pub sight: SightState,
    pub agent: AgentState,
    pub probes: ProbesState,
    /// Why IPA bypasses ipa-sidecar, where it does.
    pub passed_by: Option<PassedBy>,
    pub read_back: ReadBackState,
    pub report: ReportState,
    /// Why the pages are not served, where they are not.
    pub web: Option<String>,
}

impl View {
    /// What is wrong beside the duty, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = &str> {
        self.duty.problems.iter().chain(&self.probes.problems).chain(&self.web).map(String::as_str)
    }

    /// The mode that it acts in at this moment: mode agent watches only where an ironic-python-agent is here.
    pub fn acting(&self) -> Mode {
        if self.agent.beside.is_some() { Mode::Observe } else { self.duty.mode }
    }
}

impl Sources {
    /// As of now.
    pub fn view(&self) -> View {
        View {
            duty: Arc::clone(&self.duty),
            published: Arc::clone(&self.decisions.borrow()),
            held: self.held.borrow().clone(),
            exchanges: self.exchanges.borrow().clone(),
            dropin: self.dropin.borrow().clone(),
            place: self.place.borrow().clone(),
            ipa: self.ipa.borrow().clone(),
            guard: self.guard.borrow().clone(),
            sight: self.sight.borrow().clone(),
            agent: self.agent.borrow().clone(),
            probes: self.probes.borrow().clone(),
            passed_by: self.passed_by.borrow().clone(),
            read_back: self.read_back.borrow().clone(),
            report: self.report.borrow().clone(),
            web: self.web.borrow().clone(),
        }
    }
}
