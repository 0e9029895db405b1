//! `/state`: everything as JSON. Its shape is written down in `docs/state.md`, and a test compares the two.

use serde::Serialize;

use crate::advertise::{Explanation, Origin};
use crate::agent::AgentState;
use crate::exchange::{BadUrl, HeartbeatSeen};
use crate::guard::GuardState;
use crate::ipa::keeper::DropinState;
use crate::ipa::place::Place;
use crate::ipa::status::IpaState;
use crate::params::Mode;
use crate::passed_by::PassedBy;
use crate::probes::ProbesState;
use crate::read_back::ReadBackState;
use crate::readiness::Readiness;
use crate::recent::Recent;
use crate::report::ReportState;
use crate::sight::SightState;
use crate::view::View;

/// The whole object: that of `explain --json`, and what the daemon adds.
#[derive(Serialize)]
pub struct State<'a> {
    #[serde(flatten)]
    explanation: Explanation<'a>,
    detail: Option<&'a str>,
    origin: Option<Origin>,
    valid: bool,
    generation: u64,
    mode: Mode,
    acting_mode: Mode,
    ready: bool,
    ready_reason: &'a str,
    pinned_url: Option<String>,
    stale: Option<&'a str>,
    passed_by: Option<&'a PassedBy>,
    agent: &'a AgentState,
    guard: &'a GuardState,
    sight: &'a SightState,
    dropin: &'a DropinState,
    place: &'a Place,
    ipa: &'a IpaState,
    read_back: &'a ReadBackState,
    reports: &'a ReportState,
    probes: &'a ProbesState,
    heartbeats: &'a Recent<HeartbeatSeen>,
    bad_agent_urls: &'a Recent<BadUrl>,
    problems: Vec<&'a str>,
    version: Version,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    revision: &'static str,
    rustc: &'static str,
}

impl<'a> State<'a> {
    /// The state of one moment.
    pub(super) fn of(view: &'a View, ready: &'a Readiness) -> Self {
        let decision = &view.published.decision;
        Self {
            explanation: Explanation::from(decision),
            detail: decision.detail.as_deref(),
            origin: decision.origin,
            valid: decision.valid,
            generation: view.published.generation,
            mode: view.duty.wanted,
            acting_mode: view.acting(),
            ready: ready.is_ok(),
            ready_reason: match ready {
                Ok(words) | Err(words) => words,
            },
            pinned_url: view.held.shown(),
            stale: view.held.stale.as_deref(),
            passed_by: view.passed_by.as_ref(),
            agent: &view.agent,
            guard: &view.guard,
            sight: &view.sight,
            dropin: &view.dropin,
            place: &view.place,
            ipa: &view.ipa,
            read_back: &view.read_back,
            reports: &view.report,
            probes: &view.probes,
            heartbeats: &view.exchanges.heartbeats,
            bad_agent_urls: &view.exchanges.bad_urls,
            problems: view.problems().collect(),
            version: Version {
                version: env!("CARGO_PKG_VERSION"),
                revision: env!("BUILD_REVISION"),
                rustc: env!("BUILD_RUSTC"),
            },
        }
    }
}
