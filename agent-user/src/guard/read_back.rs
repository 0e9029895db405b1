//! What Ironic has recorded, read back by a lookup of our own. Only after IPA has its token, at most once per
//! heartbeat interval: a 202 does not mean recorded.

use std::sync::Arc;
use std::time::Duration;

use callback_url::Host;
use text::foreign_text;
use tokio::time::{Instant, sleep};

use crate::ironic::{HeartbeatResult, LookupQuery};
use crate::pin::{FORGET, ReadBack};

use super::Guard;

/// Ironic records a heartbeat after it has answered, in a worker of the conductor.
const RECORDING: Duration = Duration::from_secs(2);

impl Guard {
    /// Asks, for an answer within `patience`, and takes what Ironic holds for the truth.
    pub(super) async fn read_back(&self, patience: Duration) {
        let node_uuid = {
            let mut memory = self.memory();
            memory.read_back_at = Some(Instant::now());
            memory.node.as_ref().map(|node| node.uuid.clone())
        };
        let query = LookupQuery { addresses: Vec::new(), node_uuid };
        let endpoints = self.decision().endpoints();
        match self.exchanges().look_up(&self.client, &endpoints, &query, Some(patience)).await {
            Ok(answer) => self.compare(answer.value.agent_url.as_deref()),
            Err(error) => {
                tracing::warn!(%error, "what Ironic has recorded could not be read back");
                if !error.may_have_been_served() {
                    self.memory().read_back_at = None; // It was not asked.
                }
            }
        }
    }

    fn compare(&self, recorded: Option<&str>) {
        let is_known = self.pin().held().unrecorded;
        let outcome = self.pin().compare(recorded);
        let shown = foreign_text(recorded.unwrap_or_default(), None);
        match outcome {
            ReadBack::Confirmed => self.event(format!("Ironic has recorded {shown}")),
            ReadBack::News => self.event(format!("Ironic holds {shown} already")),
            ReadBack::Unrecorded if !is_known => self.event("Ironic has recorded nothing yet".to_owned()),
            ReadBack::Unrecorded | ReadBack::Another | ReadBack::Nothing => {}
        }
    }

    /// After an answered heartbeat: looks once whether it was recorded, or what is held where Ironic refuses it and we
    /// do not know why.
    pub(super) fn confirm_soon(self: &Arc<Self>, result: HeartbeatResult) {
        let held = self.pin().held();
        let wanted = match result {
            HeartbeatResult::Accepted => !held.confirmed,
            HeartbeatResult::PinnedRefused => !held.known,
            _ => false,
        };
        let due = {
            let mut memory = self.memory();
            let due = wanted && memory.may_read_back();
            if due {
                memory.read_back_at = Some(Instant::now()); // Nobody else asks meanwhile.
            }
            due
        };
        if due {
            let guard = Arc::clone(self);
            tokio::spawn(async move {
                sleep(RECORDING).await;
                guard.read_back(guard.budget).await;
            });
        }
    }

    /// Ironic goes on accepting the URL of an address that this node has lost: nobody else would say so.
    pub(super) fn lost_address(&self) -> Option<String> {
        let decision = self.decision();
        let held = self.pin().held().url?;
        let (Some(Host::Ip(held_ip)), Some(decided)) = (callback_url::host(&held), decision.address) else {
            return None;
        };
        let lost = !self.operator_host && decided != Host::Ip(held_ip);
        lost.then(|| format!("Ironic holds {held}, and the address of this node is {decided} now: {FORGET}"))
    }
}
