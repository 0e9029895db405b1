//! What the read-back shows of itself.

use serde::Serialize;
use text::labels;

use crate::recent::Moment;

labels! {
    /// How far the read-back has come.
    pub enum ReadBackPhase {
        /// This mode makes none, or there is no API URL.
        Off = "off",
        /// Nothing shows yet that the token is spent.
        Waiting = "waiting",
        /// Ironic has answered.
        Done = "done",
        /// The last one failed; it is tried again.
        Failed = "failed",
    }
}

/// The read-back, as the page and `/state` show it.
#[derive(Debug, Clone, Serialize)]
pub struct ReadBackState {
    /// How far it has come.
    pub state: ReadBackPhase,
    /// When Ironic answered last.
    #[serde(rename = "seconds_ago")]
    pub at: Option<Moment>,
    /// The node, as Ironic knows it.
    pub node_uuid: Option<String>,
    /// The callback URL that it held, fit to be shown.
    pub agent_url: Option<String>,
    /// It handed a token out, which is in IPA's drop-in now.
    pub token_handed_out: bool,
    /// Why the last one failed; `None` after a success.
    pub last_failure: Option<String>,
}

impl Default for ReadBackState {
    fn default() -> Self {
        Self {
            state: ReadBackPhase::Off,
            at: None,
            node_uuid: None,
            agent_url: None,
            token_handed_out: false,
            last_failure: None,
        }
    }
}
