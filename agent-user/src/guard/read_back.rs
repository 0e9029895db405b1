//! What Ironic has recorded, read back by a lookup of our own. Only after IPA has its token, at most once per
//! heartbeat interval: a 202 does not mean recorded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::agent_url;
use crate::api_url::Host;
use crate::ironic::LookupQuery;
use crate::metrics::Sender;

use super::Guard;
use super::policy::Pin;

/// Ironic records a heartbeat after it has answered, in a worker of the conductor.
const RECORDING: Duration = Duration::from_secs(2);

impl Guard {
    /// Asks, and takes what Ironic holds for the truth.
    pub(super) async fn read_back(&self) {
        let uuid = {
            let mut memory = self.memory();
            memory.read_back_at = Some(Instant::now());
            memory.node.as_ref().map(|node| node.uuid.clone())
        };
        let query = LookupQuery {
            addresses: Vec::new(),
            node_uuid: uuid,
        };
        let started = Instant::now();
        let answer = self.client.lookup(&self.decision().endpoints(), &query).await;
        let result = match &answer {
            Ok(answer) => answer.value.result(),
            Err(error) => error.lookup_result(),
        };
        self.metrics.lookup(Sender::Sidecar, result, started.elapsed());
        match answer {
            Ok(answer) => self.compare(answer.value.agent_url),
            Err(error) => tracing::warn!(%error, "what Ironic has recorded could not be read back"),
        }
    }

    fn compare(&self, recorded: Option<String>) {
        let supposed = self.memory().pin.clone();
        match (&recorded, supposed) {
            (None, Pin::Held(url)) => {
                tracing::warn!(
                    url,
                    "Ironic accepted the heartbeat and recorded nothing: is the node in a state that awaits its ramdisk?"
                );
                return; // What it accepted stays what it must see.
            }
            (Some(recorded), Pin::Held(url)) if agent_url::same_to_ironic(recorded, &url) => {
                self.memory().confirmed = true;
                self.event(format!("Ironic has recorded {recorded}"));
            }
            (Some(recorded), Pin::Held(url)) => {
                self.callback.recorded_another(recorded, &url);
            }
            (Some(recorded), Pin::None) => {
                self.event(format!("Ironic holds {recorded} already"));
                self.callback.judge_recorded(recorded);
            }
            (None, Pin::None) => {}
        }
        self.pin(recorded.as_deref());
    }

    /// After an accepted heartbeat: looks once whether it was recorded.
    pub(super) fn confirm_soon(self: &Arc<Self>) {
        let due = {
            let memory = self.memory();
            !memory.confirmed && memory.may_read_back()
        };
        if due {
            let guard = Arc::clone(self);
            tokio::spawn(async move {
                sleep(RECORDING).await;
                guard.read_back().await;
            });
        }
    }

    /// Ironic goes on accepting the URL of an address that this node has lost: nobody else would say so.
    pub(super) fn warn_of_a_lost_address(&self) {
        let decision = self.decision();
        let Pin::Held(held) = self.memory().pin.clone() else {
            return;
        };
        let (Some(Host::Ip(held_ip)), Some(decided)) = (agent_url::host(&held), decision.address) else {
            return;
        };
        let lost = !self.operator_host && decided != Host::Ip(held_ip);
        self.callback.set_stale(lost.then(|| {
            format!(
                "Ironic holds {held}, and the address of this node is {decided} now: power the node off or reboot it \
                 through Ironic, which makes it forget the old URL"
            )
        }));
    }
}
