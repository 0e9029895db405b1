//! What the guard has learned from what passed: the node, its token, how far the gate is.

use std::time::Duration;

use callback_url::Host;
use text::Secret;
use tokio::time::Instant;

/// Ironic's default `[api]ramdisk_heartbeat_timeout`, until a lookup tells.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(300);

/// The node, as IPA's lookup or heartbeat named it.
#[derive(Debug, Clone)]
pub struct Node {
    pub uuid: String,
    /// Its token, where the lookup that gave it passed here.
    pub token: Option<Secret>,
    /// Ironic refuses its heartbeats without a token.
    pub token_required: bool,
    /// How long Ironic waits for a heartbeat.
    pub heartbeat_timeout: Duration,
}

/// Everything that is remembered; nothing of it is written anywhere.
#[derive(Debug, Default)]
pub struct Memory {
    /// When the first lookup was held.
    pub held_since: Option<Instant>,
    /// Lookups that Ironic has not answered yet.
    pub lookups_under_way: usize,
    /// A lookup was answered, or may have been, or somebody heartbeats: the token is spent.
    pub token_spent: bool,
    /// IPA was restarted with the drop-in of this address.
    pub restarted_with: Option<Host>,
    /// A restart is under way, or has failed.
    pub restart: RestartState,
    pub node: Option<Node>,
    /// When a lookup succeeded.
    pub looked_up_at: Option<Instant>,
    /// A heartbeat of IPA's has been seen.
    pub heartbeat_seen: bool,
    /// IPA speaks the vendor_passthru of its first releases: such an Ironic has no lookup of ours to be asked by.
    pub vendor_passthru: bool,
    /// When Ironic was last asked what it has recorded, or is going to be.
    pub read_back_at: Option<Instant>,
}

/// The restart of IPA's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartState {
    /// None is under way.
    #[default]
    Idle,
    /// systemd is at it.
    Running,
    /// systemd could not; it is not tried again.
    Failed,
}

impl Memory {
    /// Whether IPA has the token, or may get it any moment: from then on a restart would lose it.
    pub fn token_may_be_spent(&self) -> bool {
        self.token_spent || self.lookups_under_way > 0
    }

    /// Whether IPA heartbeats for another node than this one.
    pub fn heartbeats_as_another(&self, uuid: &str) -> bool {
        self.heartbeat_seen && self.node.as_ref().is_some_and(|node| node.uuid != uuid)
    }

    /// How long Ironic waits for a heartbeat.
    pub fn heartbeat_timeout(&self) -> Duration {
        self.node.as_ref().map_or(HEARTBEAT_TIMEOUT, |node| node.heartbeat_timeout)
    }

    /// Whether what Ironic has recorded may be asked for again: at most once per heartbeat interval.
    pub fn may_read_back(&self) -> bool {
        let is_due = self.read_back_at.is_none_or(|at| at.elapsed() >= self.heartbeat_timeout().mul_f64(0.3));
        is_due && !self.vendor_passthru
    }
}
