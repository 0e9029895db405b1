//! The one recorder of lookups and heartbeats, whoever saw them, and of the bad callback URLs in them.
//!
//! An exchange that the daemon makes itself is made here too, so that none goes unrecorded.

use std::collections::BTreeMap;
use std::time::Duration;

use callback_url::{Reason, Warning};
use serde::Serialize;
use text::{foreign_text, labels};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::ironic::{
    Answer, Client, Connection, Endpoint, Heartbeat, HeartbeatResult, IronicError, LookupQuery, LookupReply,
    LookupResult,
};
use crate::metrics::{Metrics, Sender, Trigger, UrlAction, UrlSource};
use crate::recent::{Moment, Recent};

labels! {
    /// Who saw an exchange.
    pub enum SeenBy {
        /// The guard, between IPA and Ironic.
        Guard = "guard",
        /// Sight, with nothing in its way.
        Sight = "sight",
        /// The daemon itself, who made it.
        Own = "self",
        /// Sight, and it was not IPA's for this node: another user, another network namespace, another node.
        Foreign = "foreign",
    }
}

impl SeenBy {
    /// Who sent the request, where it counts for this node.
    fn sender(self) -> Option<Sender> {
        match self {
            Self::Guard | Self::Sight => Some(Sender::Ipa),
            Self::Own => Some(Sender::Sidecar),
            Self::Foreign => None,
        }
    }
}

/// One heartbeat.
#[derive(Debug, Clone, Serialize)]
pub struct HeartbeatSeen {
    /// When it ended.
    #[serde(rename = "seconds_ago")]
    pub at: Moment,
    /// The URL in it, fit to be shown.
    pub callback_url: String,
    pub result: HeartbeatResult,
    /// Who saw it.
    pub seen_by: SeenBy,
}

/// One bad callback URL.
#[derive(Debug, Clone, Serialize)]
pub struct BadUrl {
    /// When it was seen.
    #[serde(rename = "seconds_ago")]
    pub at: Moment,
    /// The URL, fit to be shown.
    pub url: String,
    /// What is wrong with it.
    pub reasons: Vec<Reason>,
}

/// What was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How many lookups ended how.
    pub lookups: BTreeMap<(Sender, LookupResult), u64>,
    /// The last heartbeats.
    pub heartbeats: Recent<HeartbeatSeen>,
    /// The last bad URLs.
    pub bad_urls: Recent<BadUrl>,
    /// When IPA last spoke to Ironic.
    pub last_of_ipa: Option<Moment>,
    /// What Ironic gave in its last answer to a lookup.
    pub heartbeat_timeout: Option<Duration>,
    /// Ironic has accepted a heartbeat.
    accepted: bool,
}

impl Seen {
    fn spoke(&mut self, sender: Sender) {
        if sender == Sender::Ipa {
            self.last_of_ipa = Some(Moment::now());
        }
    }
}

/// What Ironic has answered to IPA's heartbeats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IpaBeats {
    /// How many it has accepted.
    pub accepted: u64,
    /// It has refused IPA's token, and has accepted nothing since.
    pub token_refused: bool,
}

/// Heartbeats that go out, as far as is known before their answers.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// How many.
    pub count: u64,
    /// The node that the last one named, where that is known.
    pub node_uuid: Option<String>,
}

/// The recorder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Exchanges {
    seen: watch::Sender<Seen>,
    begun: watch::Sender<Begun>,
    beats: watch::Sender<IpaBeats>,
    metrics: Metrics,
}

impl Exchanges {
    /// Nothing was seen yet.
    pub fn new(metrics: Metrics) -> Self {
        metrics.begin_exchanges_seen(&SeenBy::NAMES);
        let (seen, begun, beats) = Default::default();
        Self { seen, begun, beats, metrics }
    }

    /// Where heartbeats appear that go out.
    pub fn begun(&self) -> watch::Receiver<Begun> {
        self.begun.subscribe()
    }

    /// A heartbeat goes out now. `node_uuid`: of which node, where that is known.
    pub fn heartbeat_begins(&self, node_uuid: Option<&str>) {
        self.begun.send_modify(|begun| {
            begun.count += 1;
            if let Some(uuid) = node_uuid {
                begun.node_uuid = Some(uuid.to_owned());
            }
        });
    }

    /// Where the answers to IPA's heartbeats appear, for who acts on them.
    pub fn ipa_beats(&self) -> watch::Receiver<IpaBeats> {
        self.beats.subscribe()
    }

    /// Where what was seen appears.
    pub fn subscribe(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Records a lookup.
    pub fn lookup(&self, seen_by: SeenBy, result: LookupResult, duration: Duration) {
        tracing::debug!(seen_by = seen_by.as_str(), result = result.as_str(), ?duration, "lookup");
        self.metrics.exchange_seen(seen_by.as_str());
        let Some(sender) = seen_by.sender() else { return };
        self.metrics.lookup(sender, result, duration);
        self.seen.send_modify(|seen| {
            seen.spoke(sender);
            *seen.lookups.entry((sender, result)).or_default() += 1;
        });
    }

    /// Records a heartbeat with this URL.
    pub fn heartbeat(&self, seen_by: SeenBy, url: &str, result: HeartbeatResult, duration: Duration) {
        let accepted = result == HeartbeatResult::Accepted;
        let callback_url = foreign_text(url, None);
        tracing::debug!(
            seen_by = seen_by.as_str(),
            url = callback_url,
            result = result.as_str(),
            ?duration,
            "heartbeat"
        );
        self.metrics.exchange_seen(seen_by.as_str());
        let Some(sender) = seen_by.sender() else { return };
        let event = HeartbeatSeen { at: Moment::now(), callback_url, result, seen_by };
        let mut first = false;
        self.seen.send_modify(|seen| {
            seen.spoke(sender);
            first = accepted && !seen.accepted;
            seen.accepted |= accepted;
            seen.heartbeats.push(event);
        });
        self.metrics.heartbeat(sender, result, duration);
        if accepted {
            self.metrics.heartbeat_accepted(first);
        }
        if sender == Sender::Ipa {
            self.ipa_beat(result);
        }
    }

    fn ipa_beat(&self, result: HeartbeatResult) {
        self.beats.send_if_modified(|beats| {
            let before = *beats;
            match result {
                HeartbeatResult::Accepted => {
                    *beats = IpaBeats { accepted: beats.accepted.saturating_add(1), token_refused: false };
                }
                HeartbeatResult::TokenRefused => beats.token_refused = true,
                _ => {}
            }
            *beats != before
        });
    }

    /// Records what is neither a lookup nor a heartbeat.
    pub fn other(&self, seen_by: SeenBy) {
        self.metrics.exchange_seen(seen_by.as_str());
    }

    /// Records the heartbeat timeout that a lookup got.
    pub fn heartbeat_timeout(&self, timeout: Duration) {
        self.metrics.show_heartbeat_timeout(timeout);
        self.seen.send_modify(|seen| seen.heartbeat_timeout = Some(timeout));
    }

    /// Records a bad callback URL.
    pub fn bad_url(&self, url: &str, source: UrlSource, action: UrlAction, reasons: &[Reason]) {
        self.metrics.bad_agent_url(source, action, reasons);
        let event = BadUrl { at: Moment::now(), url: foreign_text(url, None), reasons: reasons.to_vec() };
        self.seen.send_modify(|seen| seen.bad_urls.push(event));
    }

    /// Records what is doubtful about a callback URL that may be right.
    pub fn warn(&self, warnings: &[Warning]) {
        self.metrics.agent_url_warnings(warnings);
    }

    /// Looks the node up, in the daemon's name. `patience` bounds the whole exchange.
    ///
    /// # Errors
    /// Of the client; `Late` where the patience has ended.
    pub async fn look_up(
        &self,
        client: &Client,
        endpoints: &[Endpoint],
        query: &LookupQuery,
        patience: Option<Duration>,
    ) -> Result<Answer<LookupReply>, IronicError> {
        let started = Instant::now();
        let asked = client.lookup(endpoints, query);
        let answer = match patience {
            Some(after) => timeout(after, asked).await.unwrap_or(Err(IronicError::Late { after })),
            None => asked.await,
        };
        let result = match &answer {
            Ok(answer) => answer.value.result(),
            Err(error) => error.lookup_result(),
        };
        self.lookup(SeenBy::Own, result, started.elapsed());
        answer
    }

    /// Sends a heartbeat in the daemon's name.
    ///
    /// # Errors
    /// Of the client.
    pub async fn send(
        &self,
        client: &Client,
        endpoints: &[Endpoint],
        heartbeat: &Heartbeat,
        trigger: Trigger,
    ) -> Result<Connection, IronicError> {
        self.metrics.heartbeat_sent(trigger);
        self.heartbeat_begins(Some(&heartbeat.uuid));
        let started = Instant::now();
        let outcome = client.heartbeat(endpoints, heartbeat).await;
        let result = match &outcome {
            Ok(_) => HeartbeatResult::Accepted,
            Err(error) => error.heartbeat_result(),
        };
        self.heartbeat(SeenBy::Own, &heartbeat.callback_url, result, started.elapsed());
        outcome.map(|answer| answer.connection)
    }
}
