//! What a report is sent for, as others publish it.

use api_client::is_uuid;
use tokio::sync::watch;

use crate::agent::AgentState;
use crate::exchange::{Begun, Seen};
use crate::probes::ProbesState;
use crate::read_back::ReadBackState;
use crate::recent::Moment;
use crate::sight::SightState;

use super::state::Occasion;

/// What is listened to.
#[derive(Debug)]
pub struct Heard {
    /// Heartbeats that go out.
    pub begun: watch::Receiver<Begun>,
    /// What was answered.
    pub exchanges: watch::Receiver<Seen>,
    /// Call-backs.
    pub probes: watch::Receiver<ProbesState>,
    /// Who knows which node this is.
    pub agent: watch::Receiver<AgentState>,
    /// The same.
    pub sight: watch::Receiver<SightState>,
    /// The same.
    pub read_back: watch::Receiver<ReadBackState>,
}

/// What was there already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Known {
    begun: u64,
    lookups: u64,
    heartbeat: Option<Moment>,
    callbacks: (u64, u64),
    node: bool,
}

impl Heard {
    /// Waits for the next occasion.
    pub async fn next(&mut self, known: &mut Known) -> Occasion {
        loop {
            if let Some(occasion) = self.newest(known) {
                return occasion;
            }
            tokio::select! {
                Ok(()) = self.begun.changed() => {}
                Ok(()) = self.exchanges.changed() => {}
                Ok(()) = self.probes.changed() => {}
                Ok(()) = self.agent.changed() => {}
                Ok(()) = self.sight.changed() => {}
                Ok(()) = self.read_back.changed() => {}
                else => std::future::pending().await, // The daemon ends.
            }
        }
    }

    /// What has come since, the most telling where several have.
    pub fn newest(&mut self, known: &mut Known) -> Option<Occasion> {
        let now = self.look();
        let before = std::mem::replace(known, now);
        match () {
            () if known.callbacks != before.callbacks => Some(Occasion::Callback),
            () if known.heartbeat != before.heartbeat => Some(Occasion::Answer),
            () if known.begun != before.begun => Some(Occasion::Heartbeat),
            // The answer that named the node may have been there before.
            () if known.lookups != before.lookups || (known.node && !before.node) => Some(Occasion::Answer),
            () => None,
        }
    }

    fn look(&mut self) -> Known {
        self.agent.mark_unchanged();
        self.sight.mark_unchanged();
        self.read_back.mark_unchanged();
        let node = self.node().is_some();
        let begun = self.begun.borrow_and_update().count;
        let (lookups, heartbeat) = {
            let seen = self.exchanges.borrow_and_update();
            (seen.lookups.values().sum(), seen.heartbeats.last().map(|last| last.at))
        };
        let probes = self.probes.borrow_and_update();
        let callbacks = (probes.callback.connections, probes.callback.refused);
        Known { begun, lookups, heartbeat, callbacks, node }
    }

    /// This node, where it is known. A heartbeat may name it otherwise than by its UUID: then nobody could tell which
    /// one it is.
    pub fn node(&self) -> Option<String> {
        let named = [
            self.agent.borrow().node_uuid.clone(),
            self.begun.borrow().node_uuid.clone(),
            self.sight.borrow().node_uuid.clone(),
            self.read_back.borrow().node_uuid.clone(),
        ];
        named.into_iter().flatten().find(|uuid| is_uuid(uuid))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::exchange::{Exchanges, SeenBy};
    use crate::ironic::{HeartbeatResult, LookupResult};
    use crate::metrics::Metrics;

    const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";

    #[tokio::test]
    async fn each_occasion_is_heard_once_and_the_most_telling_wins() {
        let exchanges = Exchanges::new(Metrics::new().unwrap());
        let probes = watch::Sender::<ProbesState>::default();
        let sight = watch::Sender::<SightState>::default();
        let mut heard = Heard {
            begun: exchanges.begun(),
            exchanges: exchanges.subscribe(),
            probes: probes.subscribe(),
            agent: watch::channel(AgentState::default()).1,
            sight: sight.subscribe(),
            read_back: watch::channel(ReadBackState::default()).1,
        };
        let mut known = Known::default();
        assert_eq!(heard.newest(&mut known), None);
        assert_eq!(heard.node(), None);
        exchanges.heartbeat_begins(Some("a-name"));
        assert_eq!(heard.next(&mut known).await, Occasion::Heartbeat);
        assert_eq!(heard.node(), None, "it is no UUID");
        // The node of an answer that was there before.
        sight.send_modify(|state| state.node_uuid = Some(NODE.to_owned()));
        assert_eq!(heard.next(&mut known).await, Occasion::Answer);
        exchanges.lookup(SeenBy::Sight, LookupResult::Ok, Duration::ZERO);
        assert_eq!(heard.next(&mut known).await, Occasion::Answer);
        exchanges.heartbeat_begins(Some(NODE));
        exchanges.lookup(SeenBy::Sight, LookupResult::Ok, Duration::ZERO);
        assert_eq!(heard.next(&mut known).await, Occasion::Heartbeat);
        assert_eq!(heard.node().as_deref(), Some(NODE));
        exchanges.heartbeat(
            SeenBy::Sight,
            "http://192.0.2.1:9999",
            HeartbeatResult::Accepted,
            Duration::ZERO,
        );
        probes.send_modify(|state| state.callback.connections += 1);
        assert_eq!(heard.next(&mut known).await, Occasion::Callback);
        // Neither what is shown beside nor a foreign exchange is an occasion.
        exchanges.heartbeat_timeout(Duration::from_secs(300));
        exchanges.heartbeat(
            SeenBy::Foreign,
            "http://192.0.2.9:9999",
            HeartbeatResult::Accepted,
            Duration::ZERO,
        );
        assert_eq!(heard.newest(&mut known), None);
    }
}
