//! What the guard shows of itself.

use std::net::SocketAddr;

use serde::Serialize;

use crate::recent::{Moment, Recent};

/// The guard, as the page and `/state` show it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GuardState {
    /// Where it listens.
    pub listening: Option<SocketAddr>,
    /// Why IPA does not know of it.
    pub out_of_path: Option<String>,
    /// Why lookups are held right now.
    pub gate: Option<String>,
    /// Why the last heartbeat was held.
    pub held_heartbeat: Option<String>,
    /// How a connection to Ironic contradicts the decision.
    pub witness: Option<String>,
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
