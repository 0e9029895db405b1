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
    /// Which round of connects it knows of.
    pub reach_round: u64,
    /// The first round of connects has not ended, and may change it.
    pub awaits_reach: bool,
}

/// One round of the watch.
#[derive(Debug)]
pub struct Round {
    /// What was decided.
    pub decision: Decision,
    /// This machine's addresses; `None` where no complete list came.
    pub local: Option<Arc<Local>>,
    /// As in [`Published`].
    pub reach_round: u64,
    /// As in [`Published`].
    pub awaits_reach: bool,
}

impl Published {
    /// A decision beside which no address is known.
    pub fn new(decision: Decision, generation: u64) -> Self {
        Self { decision, generation, local: Arc::default(), reach_round: 0, awaits_reach: false }
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
    /// The list of addresses that the last round brought.
    listed: Option<Arc<Local>>,
    refused: HashSet<(Option<IpAddr>, Refusal)>,
    metrics: Metrics,
}

impl Publisher {
    /// Nothing was decided yet.
    pub fn new(metrics: Metrics) -> Self {
        let first = Published::new(Decision::not_asked(), 0);
        Self {
            decisions: watch::Sender::new(Arc::new(first)),
            listed: None,
            refused: HashSet::new(),
            metrics,
        }
    }

    /// Where decisions appear; generation 0 is none yet.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.decisions.subscribe()
    }

    /// Publishes a decision where it or what stands beside it differs from before; then shows it. An incomplete list of
    /// addresses leaves those that were known.
    pub fn publish(&mut self, round: Round) {
        let Round { decision, local, reach_round, awaits_reach } = round;
        let before = Arc::clone(&self.decisions.borrow());
        let local = self.local(&decision, local, &before);
        let is_new = before.generation == 0 || before.decision != decision;
        let same_reach = (before.reach_round, before.awaits_reach) == (reach_round, awaits_reach);
        let generation = before.generation + u64::from(is_new);
        let is_news = is_new || !same_reach || !Arc::ptr_eq(&before.local, &local);
        let now = Arc::new(Published { decision, generation, local, reach_round, awaits_reach });
        if is_news {
            self.decisions.send_replace(Arc::clone(&now));
        }
        let decision = &now.decision;
        let address_changed = decision.address.is_some() && before.decision.address != decision.address;
        self.metrics.show_decision(decision, address_changed);
        self.count_refusals(decision);
        if before.generation == 0 || (is_new && before.decision.to_string() != decision.to_string()) {
            let callback_url = decision.callback_url.as_deref().unwrap_or_default();
            if decision.valid {
                tracing::info!(generation, callback_url, "{decision}");
            } else {
                tracing::warn!(generation, callback_url, "{decision}");
            }
        }
    }

    /// What stands beside the decision: the very same as before where nothing has changed.
    fn local(&mut self, decision: &Decision, listed: Option<Arc<Local>>, before: &Published) -> Arc<Local> {
        let same_list = match (&listed, &self.listed) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then),
            (now, _) => now.is_none(),
        };
        if same_list && before.local.decided == decision.address {
            return Arc::clone(&before.local);
        }
        let list = listed.as_deref().unwrap_or(&before.local);
        let local = Local { decided: decision.address.clone(), ..list.clone() };
        self.listed = listed.or(self.listed.take());
        if local == *before.local { Arc::clone(&before.local) } else { Arc::new(local) }
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
