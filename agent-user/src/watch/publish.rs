//! The decision goes out: to whoever subscribed, to the log, to the metrics.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

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
        let first = Published { decision: Decision::not_asked(), generation: 0 };
        Self { decisions: watch::Sender::new(Arc::new(first)), refused: HashSet::new(), metrics }
    }

    /// Where decisions appear; generation 0 is none yet.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.decisions.subscribe()
    }

    /// Shows a decision, and publishes it where it differs from the one before.
    pub fn publish(&mut self, decision: Decision) {
        let before = Arc::clone(&self.decisions.borrow());
        let address_changed = decision.address.is_some() && before.decision.address != decision.address;
        self.metrics.show_decision(&decision, address_changed);
        self.count_refusals(&decision);
        if before.generation > 0 && before.decision == decision {
            return;
        }
        let generation = before.generation + 1;
        if generation == 1 || before.decision.to_string() != decision.to_string() {
            let callback_url = decision.callback_url.as_deref().unwrap_or_default();
            if decision.valid {
                tracing::info!(generation, callback_url, "{decision}");
            } else {
                tracing::warn!(generation, callback_url, "{decision}");
            }
        }
        self.decisions.send_replace(Arc::new(Published { decision, generation }));
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
