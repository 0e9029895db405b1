//! What the probes have seen, as the page and `/state` show it.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use text::labels;

use super::report::{Report, Unavailable};
use crate::recent::{Moment, Recent};

labels! {
    /// Whom a connect was to reach.
    pub enum Target {
        /// An API address in use.
        Ironic = "ironic",
        /// Anything else.
        Other = "other",
    }
}

/// The probes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProbesState {
    /// Neither they nor the probes on libssl are there yet.
    #[serde(skip)]
    pub loading: bool,
    /// Those that the parameters ask for and that are missing, a sentence for each reason.
    #[serde(skip)]
    pub problems: Vec<String>,
    /// Which are attached, and why the others are not.
    #[serde(flatten)]
    pub report: Report,
    /// Events that were lost.
    pub events_lost: u64,
    /// Runs of the programs that the kernel skipped.
    pub runs_skipped: u64,
    /// The last failed connects, oldest first.
    pub connect_failures: Recent<ConnectFailure>,
    /// The conductor's call-back.
    pub callback: CallbackState,
}

impl ProbesState {
    /// Of probes that are being loaded.
    pub fn loading() -> Self {
        Self { loading: true, report: Report::none(&Unavailable::loading()), ..Self::default() }
    }
}

/// One connect that failed, as the probes saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectFailure {
    /// When it was read, at most a moment after it happened.
    #[serde(rename = "seconds_ago")]
    pub at: Moment,
    /// Whom it was to reach.
    pub target: Target,
    /// Where it went.
    pub peer: SocketAddr,
    /// Where it came from; `None` before the kernel had chosen.
    pub local: Option<SocketAddr>,
    /// The metric label.
    pub errno: &'static str,
    /// How sure that is.
    pub errno_source: &'static str,
    /// From the call to the end.
    #[serde(rename = "duration_seconds", serialize_with = "in_seconds")]
    pub duration: Duration,
    /// The process that called connect, as the initial pid namespace numbers it.
    pub pid: u32,
    /// The name of its thread.
    pub comm: String,
    pub uid: u32,
    /// The id of its cgroup in version 2 of the hierarchy.
    pub cgroup_id: u64,
    /// The inode number of its network namespace, where that is known.
    pub network_namespace: Option<u32>,
}

/// Connections to the advertised port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallbackState {
    /// How they are looked for.
    pub source: &'static str,
    /// How many from outside reached it.
    pub connections: u64,
    /// When the last one reached it.
    #[serde(rename = "last_connection_seconds_ago")]
    pub last_connection: Option<Moment>,
    /// Where that came from.
    pub last_connection_peer: Option<SocketAddr>,
    /// How many from outside were refused.
    pub refused: u64,
    /// When the last one was refused.
    #[serde(rename = "last_refused_seconds_ago")]
    pub last_refused: Option<Moment>,
    /// Where that came from.
    pub last_refused_peer: Option<SocketAddr>,
}

fn in_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
