//! `/state`: everything as JSON. Its shape is written down in `docs/state.md`, and a test compares the two.

use std::net::SocketAddr;

use serde::Serialize;

use super::View;
use super::state_probes::Probes;
use crate::advertise::{Explanation, Origin};
use crate::status::{AgentPhase, DropinStatus, GuardStatus, IpaStatus};

/// The whole object: that of `explain --json`, and what the daemon adds.
#[derive(Serialize)]
pub struct State<'a> {
    #[serde(flatten)]
    explanation: Explanation<'a>,
    detail: Option<&'a str>,
    origin: Option<&'static str>,
    valid: bool,
    generation: u64,
    mode: &'static str,
    acting_mode: &'static str,
    ready: bool,
    ready_reason: &'a str,
    pinned_url: Option<&'a str>,
    stale: Option<&'a str>,
    agent: Agent<'a>,
    guard: Guard<'a>,
    dropin: Dropin<'a>,
    ipa: &'a IpaStatus,
    probes: Probes<'a>,
    heartbeats: Vec<Heartbeat<'a>>,
    bad_agent_urls: Vec<BadUrl<'a>>,
    problems: &'a [String],
    version: Version,
}

#[derive(Serialize)]
struct Agent<'a> {
    phase: AgentPhase,
    node_uuid: Option<&'a str>,
    last_accepted_seconds_ago: Option<f64>,
    last_failure: Option<&'a str>,
}

#[derive(Serialize)]
struct Guard<'a> {
    listening: Option<SocketAddr>,
    out_of_path: Option<&'a str>,
    gate: Option<&'a str>,
    held_heartbeat: Option<&'a str>,
    witness: Option<&'a str>,
    events: Vec<GuardEvent<'a>>,
}

#[derive(Serialize)]
struct GuardEvent<'a> {
    seconds_ago: f64,
    what: &'a str,
}

impl<'a> From<&'a GuardStatus> for Guard<'a> {
    fn from(status: &'a GuardStatus) -> Self {
        let events = status.events.iter();
        let events = events
            .map(|event| GuardEvent { seconds_ago: event.at.elapsed().as_secs_f64(), what: &event.what });
        Self {
            listening: status.listening,
            out_of_path: status.out_of_path.as_deref(),
            gate: status.gate.as_deref(),
            held_heartbeat: status.held_heartbeat.as_deref(),
            witness: status.witness.as_deref(),
            events: events.collect(),
        }
    }
}

#[derive(Serialize)]
struct Dropin<'a> {
    state: &'static str,
    address: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> From<&'a DropinStatus> for Dropin<'a> {
    fn from(status: &'a DropinStatus) -> Self {
        let (state, address, error) = match status {
            DropinStatus::Off => ("off", None, None),
            DropinStatus::Absent => ("absent", None, None),
            DropinStatus::Written(address) => ("written", Some(address.as_str()), None),
            DropinStatus::Failed(error) => ("failed", None, Some(error.as_str())),
        };
        Self { state, address, error }
    }
}

#[derive(Serialize)]
struct Heartbeat<'a> {
    seconds_ago: f64,
    callback_url: &'a str,
    result: &'static str,
}

#[derive(Serialize)]
struct BadUrl<'a> {
    seconds_ago: f64,
    url: &'a str,
    reasons: &'a [&'static str],
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
    revision: &'static str,
    rustc: &'static str,
}

impl<'a> State<'a> {
    /// The state of one moment.
    pub(super) fn of(view: &'a View) -> Self {
        let (decision, snapshot) = (&view.published.decision, &view.snapshot);
        let heartbeats = snapshot.heartbeats.iter().map(|event| Heartbeat {
            seconds_ago: event.at.elapsed().as_secs_f64(),
            callback_url: &event.callback_url,
            result: event.result,
        });
        let bad_urls = snapshot.bad_urls.iter().map(|event| BadUrl {
            seconds_ago: event.at.elapsed().as_secs_f64(),
            url: &event.url,
            reasons: &event.reasons,
        });
        Self {
            explanation: Explanation::from(decision),
            detail: decision.detail.as_deref(),
            origin: decision.origin.map(Origin::as_str),
            valid: decision.valid,
            generation: view.published.generation,
            mode: snapshot.wanted_mode.as_str(),
            acting_mode: snapshot.mode.as_str(),
            ready: view.ready.is_ok(),
            ready_reason: match &view.ready {
                Ok(words) | Err(words) => words,
            },
            pinned_url: snapshot.pinned.as_deref(),
            stale: snapshot.stale.as_deref(),
            agent: Agent {
                phase: snapshot.agent.phase,
                node_uuid: snapshot.agent.node_uuid.as_deref(),
                last_accepted_seconds_ago: snapshot.agent.last_accepted.map(|at| at.elapsed().as_secs_f64()),
                last_failure: snapshot.agent.last_failure.as_deref(),
            },
            guard: Guard::from(&snapshot.guard),
            dropin: Dropin::from(&snapshot.dropin),
            ipa: &snapshot.ipa,
            probes: Probes::from(&snapshot.probes),
            heartbeats: heartbeats.collect(),
            bad_agent_urls: bad_urls.collect(),
            problems: &snapshot.problems,
            version: Version {
                version: env!("CARGO_PKG_VERSION"),
                revision: env!("IPA_SIDECAR_REVISION"),
                rustc: env!("IPA_SIDECAR_RUSTC"),
            },
        }
    }
}
