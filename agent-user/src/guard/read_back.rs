//! What Ironic has recorded, read back by a lookup of our own. Only after IPA has its token, at most once per
//! heartbeat interval: a 202 does not mean recorded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::agent_url;
use crate::api_url::Host;
use crate::ironic::{HeartbeatResult, LookupQuery, LookupResult, foreign_text};
use crate::metrics::Sender;

use super::Guard;
use super::heartbeat::FORGET;
use super::policy::Pin;

/// Ironic records a heartbeat after it has answered, in a worker of the conductor.
const RECORDING: Duration = Duration::from_secs(2);

impl Guard {
    /// Asks, for an answer until `deadline`, and takes what Ironic holds for the truth.
    pub(super) async fn read_back(&self, deadline: Instant) {
        let uuid = {
            let mut memory = self.memory();
            memory.read_back_at = Some(Instant::now());
            memory.node.as_ref().map(|node| node.uuid.clone())
        };
        let query = LookupQuery { addresses: Vec::new(), node_uuid: uuid };
        let started = Instant::now();
        let endpoints = self.decision().endpoints();
        let answer = timeout_at(deadline, self.client.lookup(&endpoints, &query)).await;
        let result = match &answer {
            Ok(Ok(answer)) => answer.value.result(),
            Ok(Err(error)) => error.lookup_result(),
            Err(_) => LookupResult::Timeout,
        };
        self.metrics.lookup(Sender::Sidecar, result, started.elapsed());
        match answer {
            Ok(Ok(answer)) => self.compare(answer.value.agent_url),
            Ok(Err(error)) => {
                tracing::warn!(%error, "what Ironic has recorded could not be read back");
                if !error.may_have_been_served() {
                    self.memory().read_back_at = None; // It was not asked.
                }
            }
            Err(_) => tracing::warn!("what Ironic has recorded could not be read back in time"),
        }
    }

    fn compare(&self, recorded: Option<String>) {
        let supposed = self.memory().pin.clone();
        match (&recorded, supposed) {
            (None, Pin::Held(url)) => {
                if !std::mem::replace(&mut self.memory().unrecorded_is_said, true) {
                    let url = foreign_text(&url, None);
                    let words = format!(
                        "Ironic accepted {url} and recorded nothing: is the node in a state that awaits its ramdisk?"
                    );
                    tracing::error!("{words}");
                    self.event(words);
                }
                return; // What it accepted stays what it must see.
            }
            (Some(recorded), Pin::Held(url)) if agent_url::same_to_ironic(recorded, &url) => {
                self.memory().confirmed = true;
                self.event(format!("Ironic has recorded {}", foreign_text(recorded, None)));
            }
            (Some(recorded), Pin::Held(url)) => {
                self.callback.recorded_another(recorded, &url);
            }
            (Some(recorded), Pin::None) => {
                self.event(format!("Ironic holds {} already", foreign_text(recorded, None)));
                self.callback.judge_recorded(recorded);
            }
            (None, Pin::None) => {}
        }
        self.pin(recorded.as_deref());
    }

    /// After an answered heartbeat: looks once whether it was recorded, or what is held where Ironic refuses it and we
    /// do not know why.
    pub(super) fn confirm_soon(self: &Arc<Self>, result: HeartbeatResult) {
        let due = {
            let mut memory = self.memory();
            let wanted = match result {
                HeartbeatResult::Accepted => !memory.confirmed,
                HeartbeatResult::PinnedRefused => !memory.pin_is_known,
                _ => false,
            };
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
                guard.read_back(Instant::now() + guard.budget).await;
            });
        }
    }

    /// Ironic goes on accepting the URL of an address that this node has lost: nobody else would say so.
    pub(super) fn lost_address(&self) -> Option<String> {
        let decision = self.decision();
        let Pin::Held(held) = self.memory().pin.clone() else {
            return None;
        };
        let (Some(Host::Ip(held_ip)), Some(decided)) = (agent_url::host(&held), decision.address) else {
            return None;
        };
        let lost = !self.operator_host && decided != Host::Ip(held_ip);
        lost.then(|| format!("Ironic holds {held}, and the address of this node is {decided} now: {FORGET}"))
    }
}
