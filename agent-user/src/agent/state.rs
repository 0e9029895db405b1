//! What agent mode shows of itself.

use serde::Serialize;
use text::labels;

use crate::recent::Moment;

labels! {
    /// How far agent mode has come.
    pub enum AgentPhase {
        /// Not in agent mode.
        Off = "off": "not in agent mode",
        /// An ironic-python-agent is here, or may be: nothing is sent.
        BesideIpa = "beside_ipa": "acting as observe: an ironic-python-agent is here",
        /// There is no advertise address yet.
        AwaitingAddress = "awaiting_address": "waiting for an address",
        /// The node is being looked up.
        LookingUp = "looking_up": "looking the node up",
        /// The token went to another sender.
        WithoutToken = "without_token": "without the agent token, which went to another sender",
        /// Nothing listens on the advertised port.
        AwaitingListener = "awaiting_listener": "waiting for something to listen on the advertised port",
        /// Heartbeats are sent.
        Heartbeating = "heartbeating": "sending heartbeats",
    }
}

/// Agent mode, as the page and `/state` show it.
#[derive(Debug, Clone, Serialize)]
pub struct AgentState {
    /// How far it has come.
    pub phase: AgentPhase,
    /// Where it acts as observe: which ironic-python-agent is here, and what to do.
    pub beside: Option<String>,
    /// The node, once looked up.
    pub node_uuid: Option<String>,
    /// When the last heartbeat was accepted.
    #[serde(rename = "last_accepted_seconds_ago")]
    pub last_accepted: Option<Moment>,
    /// Why the last request failed; `None` after a success.
    pub last_failure: Option<String>,
}

impl Default for AgentState {
    fn default() -> Self {
        Self {
            phase: AgentPhase::Off,
            beside: None,
            node_uuid: None,
            last_accepted: None,
            last_failure: None,
        }
    }
}
