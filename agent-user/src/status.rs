//! What the daemon is doing, for people: the page, `/state`, readiness. Written by the tasks, read by the web server.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::params::Mode;
use crate::probes::Report;

/// So many heartbeats and bad URLs are kept to look at.
const KEPT: usize = 10;

/// How far agent mode has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AgentPhase {
    /// Not in agent mode.
    #[default]
    Off,
    /// There is no advertise address yet.
    AwaitingAddress,
    /// The node is being looked up.
    LookingUp,
    /// The token went to somebody else.
    WithoutToken,
    /// Nothing listens on the advertised port.
    AwaitingListener,
    /// Heartbeats are sent.
    Heartbeating,
}

/// Whether Ironic holds our URL, and what went wrong last.
#[derive(Debug, Clone, Default)]
pub struct AgentStatus {
    /// How far it has come.
    pub phase: AgentPhase,
    /// The node, once looked up.
    pub node_uuid: Option<String>,
    /// When the last heartbeat was accepted.
    pub last_accepted: Option<Instant>,
    /// Why the last request failed; `None` after a success.
    pub last_failure: Option<String>,
}

/// The guard.
#[derive(Debug, Clone, Default)]
pub struct GuardStatus {
    /// Where it listens.
    pub listening: Option<SocketAddr>,
    /// Why IPA is not told of it.
    pub out_of_path: Option<String>,
    /// Why lookups are held right now.
    pub gate: Option<String>,
    /// Why the last heartbeat was held.
    pub held_heartbeat: Option<String>,
    /// How a connection to Ironic contradicts the decision.
    pub witness: Option<String>,
    /// What it did, oldest first.
    pub events: VecDeque<GuardEvent>,
}

/// One thing that the guard did.
#[derive(Debug, Clone)]
pub struct GuardEvent {
    /// When.
    pub at: Instant,
    /// What.
    pub what: String,
}

/// The drop-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropinStatus {
    /// This mode writes none.
    Off,
    /// None is written, for want of an address.
    Absent,
    /// It is on disk with this address.
    Written(String),
    /// It should be, and is not.
    Failed(String),
}

/// IPA, as far as its status URL tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IpaStatus {
    /// It answers.
    pub up: bool,
    /// The version that it tells.
    pub version: Option<String>,
}

/// One heartbeat that was sent.
#[derive(Debug, Clone)]
pub struct HeartbeatEvent {
    /// When it ended.
    pub at: Instant,
    /// The URL in it.
    pub callback_url: String,
    /// The metric label of its end.
    pub result: &'static str,
}

/// One connect that failed, as the probes saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectFailure {
    /// When it was read, at most a moment after it happened.
    pub at: Instant,
    /// It went to an API address in use.
    pub ironic: bool,
    /// Where it went.
    pub peer: SocketAddr,
    /// Where it came from; `None` before the kernel had chosen.
    pub local: Option<SocketAddr>,
    /// The metric label.
    pub errno: &'static str,
    /// How sure that is.
    pub sureness: &'static str,
    /// From the call to the end.
    pub duration: Duration,
    /// The process that called connect, as the initial pid namespace numbers it.
    pub process: u32,
    /// The name of its thread.
    pub comm: String,
    /// Its user.
    pub user: u32,
    /// The id of its cgroup in version 2 of the hierarchy.
    pub cgroup: u64,
    /// The inode number of its network namespace; 0 where that is not known.
    pub network_namespace: u32,
}

impl ConnectFailure {
    /// Whom it was to reach: the metric label.
    pub fn target(&self) -> &'static str {
        if self.ironic { "ironic" } else { "other" }
    }
}

/// Connections to the advertised port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallbackStatus {
    /// How they are looked for.
    pub source: &'static str,
    /// How many from outside reached it.
    pub connections: u64,
    /// How many from outside were refused.
    pub refused: u64,
    /// When the last one reached it, and from where.
    pub last: Option<(Instant, SocketAddr)>,
    /// When the last one was refused.
    pub last_refused: Option<(Instant, SocketAddr)>,
}

/// The probes.
#[derive(Debug, Clone, Default)]
pub struct ProbesStatus {
    /// Which are attached, and why the others are not.
    pub report: Report,
    /// The last failed connects, oldest first.
    pub connect_failures: VecDeque<ConnectFailure>,
    /// Events that were lost.
    pub lost: u64,
    /// Runs of the programs that the kernel skipped.
    pub skipped: u64,
    /// The conductor's call-back.
    pub callback: CallbackStatus,
}

/// One bad callback URL that was seen.
#[derive(Debug, Clone)]
pub struct BadUrlEvent {
    /// When.
    pub at: Instant,
    /// The URL.
    pub url: String,
    /// What is wrong with it.
    pub reasons: Vec<&'static str>,
}

/// Everything, as of now.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The mode that the operator wants.
    pub wanted_mode: Mode,
    /// The mode that it runs in: observe where there is no API URL to work with.
    pub mode: Mode,
    /// Why it runs in another mode than the wanted one.
    pub held_back: Option<String>,
    /// What is wrong with parameters that others gave, one sentence each.
    pub problems: Vec<String>,
    /// What Ironic holds as our URL, as far as we know.
    pub pinned: Option<String>,
    /// What the operator has to do because Ironic holds another URL.
    pub stale: Option<String>,
    /// Agent mode.
    pub agent: AgentStatus,
    /// The guard.
    pub guard: GuardStatus,
    /// The drop-in.
    pub dropin: DropinStatus,
    /// IPA.
    pub ipa: IpaStatus,
    /// The probes.
    pub probes: ProbesStatus,
    /// The last heartbeats, oldest first.
    pub heartbeats: VecDeque<HeartbeatEvent>,
    /// The last bad URLs, oldest first.
    pub bad_urls: VecDeque<BadUrlEvent>,
}

/// Shared by all tasks.
#[derive(Debug, Clone)]
pub struct Status(Arc<Mutex<Snapshot>>);

impl Status {
    /// The state at the start. `held_back` says why `mode` is not `wanted_mode`.
    pub fn new(wanted_mode: Mode, mode: Mode, held_back: Option<String>, problems: Vec<String>) -> Self {
        Self(Arc::new(Mutex::new(Snapshot {
            wanted_mode,
            mode,
            held_back,
            problems,
            pinned: None,
            stale: None,
            agent: AgentStatus::default(),
            guard: GuardStatus::default(),
            dropin: if mode == Mode::Configure || mode == Mode::Guard {
                DropinStatus::Absent
            } else {
                DropinStatus::Off
            },
            ipa: IpaStatus::default(),
            probes: ProbesStatus::default(),
            heartbeats: VecDeque::new(),
            bad_urls: VecDeque::new(),
        })))
    }

    /// A copy to look at.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        // A task that panicked while it held the lock left at worst an old sentence.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// Keeps a heartbeat.
    pub fn push_heartbeat(&mut self, callback_url: &str, result: &'static str) {
        push(
            &mut self.heartbeats,
            HeartbeatEvent { at: Instant::now(), callback_url: callback_url.to_owned(), result },
        );
    }

    /// Keeps what the guard did.
    pub fn push_guard_event(&mut self, what: String) {
        push(&mut self.guard.events, GuardEvent { at: Instant::now(), what });
    }

    /// Keeps a failed connect.
    pub fn push_connect_failure(&mut self, failure: ConnectFailure) {
        push(&mut self.probes.connect_failures, failure);
    }

    /// Keeps a bad URL.
    pub fn push_bad_url(&mut self, url: &str, reasons: Vec<&'static str>) {
        push(&mut self.bad_urls, BadUrlEvent { at: Instant::now(), url: url.to_owned(), reasons });
    }

    /// Whether the duty of the wanted mode can be done, or in words why not. `decided` says whether the kernel was
    /// asked at all yet; `no_address` why there is no address, where there is none.
    pub fn readiness(&self, decided: bool, no_address: Option<&str>) -> Result<String, String> {
        if let Some(why) = &self.held_back {
            let (wanted, acting) = (self.wanted_mode.as_str(), self.mode.as_str());
            return Err(format!("mode {wanted} acts as {acting}: {why}"));
        }
        match self.mode {
            _ if !decided => Err("the kernel has not been asked yet".to_owned()),
            Mode::Observe => Ok(match self.problems.first() {
                None => "watching".to_owned(),
                Some(problem) => format!("watching; {problem}"),
            }),
            Mode::Configure => self.dropin_readiness(no_address),
            Mode::Guard => self.guard_readiness(no_address),
            Mode::Agent => self.agent_readiness(no_address),
        }
    }

    fn dropin_readiness(&self, no_address: Option<&str>) -> Result<String, String> {
        match &self.dropin {
            DropinStatus::Written(address) => Ok(format!("the drop-in says {address}")),
            DropinStatus::Failed(error) => Err(error.clone()),
            DropinStatus::Absent | DropinStatus::Off => {
                Err(format!("no drop-in: {}", no_address.unwrap_or("not written yet")))
            }
        }
    }

    fn guard_readiness(&self, no_address: Option<&str>) -> Result<String, String> {
        let guard = &self.guard;
        let dropin = self.dropin_readiness(no_address)?;
        if let Some(stale) = &self.stale {
            return Err(stale.clone());
        }
        if let Some(why) = &guard.held_heartbeat {
            return Err(format!("IPA's heartbeat is held: {why}"));
        }
        if let Some(why) = &guard.gate {
            return Err(format!("IPA's lookup is held: {why}"));
        }
        match (&guard.out_of_path, guard.listening) {
            (Some(why), _) => Ok(format!("{dropin}; the guard is not in IPA's path: {why}")),
            (None, Some(address)) => Ok(format!("the guard listens on {address}; {dropin}")),
            (None, None) => Err("the guard does not listen yet".to_owned()),
        }
    }

    fn agent_readiness(&self, no_address: Option<&str>) -> Result<String, String> {
        if let Some(stale) = &self.stale {
            return Err(stale.clone());
        }
        // What is waited for now goes before what failed earlier.
        match (self.agent.phase, &self.agent.last_failure) {
            (AgentPhase::Off | AgentPhase::AwaitingAddress, _) => {
                Err(no_address.unwrap_or("the lookup has not begun yet").to_owned())
            }
            (AgentPhase::AwaitingListener, _) => Err("nothing listens on the advertised port".to_owned()),
            (_, Some(failure)) => Err(failure.clone()),
            (AgentPhase::LookingUp, None) => Err("the node is not looked up yet".to_owned()),
            (AgentPhase::WithoutToken, None) => Err("the agent token went to somebody else".to_owned()),
            (AgentPhase::Heartbeating, None) => match self.agent.last_accepted {
                Some(at) => Ok(format!("last heartbeat accepted {} ago", seconds(at.elapsed()))),
                None => Err("no heartbeat sent yet".to_owned()),
            },
        }
    }
}

/// A duration for people.
pub fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn push<T>(events: &mut VecDeque<T>, event: T) {
    if events.len() == KEPT {
        events.pop_front();
    }
    events.push_back(event);
}
