//! What the guard shows of itself.

use std::net::SocketAddr;

use serde::Serialize;

use crate::probes::Unavailable;
use crate::recent::{Moment, Recent};

/// The guard, as the page and `/state` show it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuardState {
    /// Where it listens.
    pub listening: Option<SocketAddr>,
    /// Why there is no redirect, where the mode wants one.
    pub off: Option<Unavailable>,
    /// Whether connects to Ironic are redirected at the moment.
    pub redirecting: bool,
    /// Since when without a gap.
    #[serde(skip)]
    pub redirecting_since: Option<Moment>,
    /// Why they are not, after a failure of its own.
    pub paused: Option<String>,
    /// How many connections were taken.
    pub connections: u64,
    /// Why Ironic refused the last heartbeat.
    pub refused: Option<String>,
    /// That this node's heartbeats need the guard, where one was repaired.
    pub depends: Option<String>,
    /// What it did, oldest first.
    pub events: Recent<GuardEvent>,
}

/// One thing that the guard did.
#[derive(Debug, Clone, Serialize)]
pub struct GuardEvent {
    /// When.
    #[serde(rename = "seconds_ago")]
    pub at: Moment,
    pub what: String,
}

impl GuardState {
    /// Keeps what the guard did.
    pub fn event(&mut self, what: String) {
        self.events.push(GuardEvent { at: Moment::now(), what });
    }
}
