//! Last words: what the daemon shows of this node goes to a receiver beside the conductor, as long as the daemon can
//! send it. Of a node whose heartbeat fails it, the rest of its life is half a second.
//!
//! [`Heard`] knows the occasions, [`Receiver`] sends one report. They go out one at a time, and the newest wins. Nobody waits
//! for them but the end of the daemon, for 300 ms.

mod budget;
mod heard;
mod post;
mod state;

pub use heard::Heard;
pub use post::Receiver;
pub use state::{Occasion, ReportResult, ReportState};

use std::time::Duration;

use callback_url::ApiUrl;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::metrics::Metrics;
use crate::recent::Moment;
use crate::watch::ResolvedTarget;

use budget::Budget;
use heard::Known;
use post::{Addresses, LIMIT, Outcome};

/// What a report says beside the state.
#[derive(Debug, Clone)]
pub struct About {
    /// The node.
    pub node_uuid: String,
    /// What it is sent for.
    pub occasion: Occasion,
}

/// Sends reports.
pub struct Reporter<M> {
    receiver: Receiver,
    /// The addresses of the receiver.
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    due: Due,
    /// Makes the body of a report, of this moment; `None` where that is not possible.
    make: M,
    state: watch::Sender<ReportState>,
    metrics: Metrics,
    asked_to_end: oneshot::Receiver<oneshot::Sender<()>>,
}

/// Asks for the last report.
pub struct LastWords(oneshot::Sender<oneshot::Sender<()>>);

impl LastWords {
    /// Has it sent. Takes no longer than a report may.
    pub async fn say(self) {
        let (done, said) = oneshot::channel();
        if self.0.send(done).is_ok() {
            let _ = timeout(LIMIT + Duration::from_millis(50), said).await;
        }
    }
}

/// Shows that reports are wanted; `off`: and why none is sent.
pub fn show_wanted(state: &watch::Sender<ReportState>, url: &ApiUrl, off: Option<String>) {
    if let Some(why) = &off {
        tracing::error!("sending no reports to {url}: {why}");
    }
    state.send_modify(|state| (state.url, state.off) = (Some(url.to_string()), off));
}

impl<M: Fn(&About) -> Option<Vec<u8>>> Reporter<M> {
    /// Nothing has been sent yet. `make` gives the body of a report.
    pub fn new(
        receiver: Receiver,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        heard: Heard,
        make: M,
        (state, metrics): (watch::Sender<ReportState>, Metrics),
    ) -> (Self, LastWords) {
        let (ask, asked_to_end) = oneshot::channel();
        let due = Due::new(heard);
        (Self { receiver, targets, due, make, state, metrics, asked_to_end }, LastWords(ask))
    }

    /// Sends reports until the last one is asked for.
    pub async fn run(mut self) {
        let mut next = None;
        let asked = loop {
            let occasion = match next.take() {
                Some(occasion) => occasion,
                None => tokio::select! {
                    biased;
                    asked = &mut self.asked_to_end => break asked,
                    occasion = self.due.next() => occasion,
                },
            };
            let Some((addresses, body)) = self.prepare(occasion) else { continue };
            // Whatever is newer says all that this one says, and more.
            tokio::select! {
                biased;
                asked = &mut self.asked_to_end => break asked,
                outcome = self.receiver.post(&addresses, body) => self.record(occasion, outcome),
                newer = self.due.next() => {
                    self.metrics.report_sent(ReportResult::Superseded.as_str());
                    next = Some(newer);
                }
            }
        };
        if let Some((addresses, body)) = self.prepare(Occasion::End) {
            let outcome = self.receiver.post(&addresses, body).await;
            self.record(Occasion::End, outcome);
        }
        let _ = asked.map(|done| done.send(())); // Nobody waits any longer.
    }

    /// Where to, and what; `None` where the node is not known.
    fn prepare(&self, occasion: Occasion) -> Option<(Addresses, Vec<u8>)> {
        let about = About { node_uuid: self.due.heard.node()?, occasion };
        let addresses = self.targets.borrow().first().map(|target| target.addresses.clone())?;
        Some((addresses, (self.make)(&about)?))
    }

    fn record(&self, occasion: Occasion, outcome: Outcome) {
        let (result, failure) = match outcome {
            Ok(()) => (ReportResult::Accepted, None),
            Err((result, why)) => (result, Some(why)),
        };
        self.metrics.report_sent(result.as_str());
        let mut is_news = false;
        self.state.send_modify(|state| {
            is_news = state.last_result != Some(result);
            state.last = Some(Moment::now());
            (state.last_occasion, state.last_result) = (Some(occasion), Some(result));
            state.last_failure.clone_from(&failure);
        });
        let occasion = occasion.as_str();
        match (failure, is_news) {
            (Some(why), true) => tracing::warn!(occasion, "a report was not accepted: {why}"),
            (Some(why), false) => tracing::debug!(occasion, "a report was not accepted: {why}"),
            (None, true) => tracing::info!(occasion, url = %self.receiver.url(), "reports are accepted"),
            (None, false) => tracing::debug!(occasion, "a report was accepted"),
        }
    }
}

/// When a report may go out.
struct Due {
    heard: Heard,
    known: Known,
    budget: Budget,
    /// What waits for the budget.
    waiting: Option<Occasion>,
}

impl Due {
    fn new(heard: Heard) -> Self {
        Self { heard, known: Known::default(), budget: Budget::new(Instant::now()), waiting: None }
    }

    /// The next occasion of a node that is known; where it has to wait, the newest one. Nothing is lost where this is given
    /// up.
    async fn next(&mut self) -> Occasion {
        loop {
            let Some(occasion) = self.waiting else {
                self.waiting = Some(self.heard.next(&mut self.known).await);
                continue;
            };
            if self.heard.node().is_none() {
                self.waiting = None;
            } else if let Err(at) = self.budget.take(Instant::now()) {
                sleep_until(at).await;
                self.waiting = Some(self.heard.newest(&mut self.known).unwrap_or(occasion));
            } else {
                self.waiting = None;
                return occasion;
            }
        }
    }
}
