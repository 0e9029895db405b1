//! The decision goes out: to whoever subscribed, to the log, to the metrics.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use callback_url::Local;
use tokio::sync::watch;

use crate::advertise::{Decision, Refusal};
use crate::metrics::Metrics;

/// A decision and when it was first made.
#[derive(Debug, Clone)]
pub struct Published {
    /// The decision.
    pub decision: Decision,
    /// Counts the decisions that differ from the one before.
    pub generation: u64,
    /// This machine's addresses as the decision found them, and the decided address: to judge a callback URL without a
    /// question to the kernel. Empty before the first complete list.
    pub local: Arc<Local>,
}

impl Published {
    /// A decision beside which no address is known.
    pub fn new(decision: Decision, generation: u64) -> Self {
        Self { decision, generation, local: Arc::default() }
    }

    /// This machine's addresses, where they are known.
    pub fn known_local(&self) -> Option<&Local> {
        Some(&*self.local).filter(|local| !local.assigned.is_empty() || !local.tentative.is_empty())
    }
}

/// Publishes decisions.
#[derive(Debug)]
pub struct Publisher {
    decisions: watch::Sender<Arc<Published>>,
    refused: HashSet<(Option<IpAddr>, Refusal)>,
    metrics: Metrics,
}

impl Publisher {
    /// Nothing was decided yet.
    pub fn new(metrics: Metrics) -> Self {
        let first = Published::new(Decision::not_asked(), 0);
        Self { decisions: watch::Sender::new(Arc::new(first)), refused: HashSet::new(), metrics }
    }

    /// Where decisions appear; generation 0 is none yet.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.decisions.subscribe()
    }

    /// Shows a decision, and publishes it where it or this machine's addresses differ from before. An incomplete list
    /// (`None`) leaves the addresses that were known.
    pub fn publish(&mut self, decision: Decision, local: Option<Local>) {
        let before = Arc::clone(&self.decisions.borrow());
        let local = Local {
            decided: decision.address.clone(),
            ..local.unwrap_or_else(|| Local::clone(&before.local))
        };
        let address_changed = decision.address.is_some() && before.decision.address != decision.address;
        self.metrics.show_decision(&decision, address_changed);
        self.count_refusals(&decision);
        let is_new = before.generation == 0 || before.decision != decision;
        if !is_new && *before.local == local {
            return;
        }
        let generation = before.generation + u64::from(is_new);
        if before.generation == 0 || before.decision.to_string() != decision.to_string() {
            let callback_url = decision.callback_url.as_deref().unwrap_or_default();
            if decision.valid {
                tracing::info!(generation, callback_url, "{decision}");
            } else {
                tracing::warn!(generation, callback_url, "{decision}");
            }
        }
        self.decisions.send_replace(Arc::new(Published { decision, generation, local: Arc::new(local) }));
    }

    /// A refusal counts when it appears, not at every question that finds it again.
    fn count_refusals(&mut self, decision: &Decision) {
        let candidates = decision.trace.iter().flat_map(|target| &target.resolved);
        let mut now: HashSet<_> =
            candidates.filter_map(|candidate| Some((Some(candidate.ip), candidate.refusal?))).collect();
        if now.is_empty() {
            now.extend(decision.refusal.map(|refusal| (None, refusal)));
        }
        for (_, refusal) in now.difference(&self.refused) {
            self.metrics.refusal(*refusal);
        }
        self.refused = now;
    }
}
