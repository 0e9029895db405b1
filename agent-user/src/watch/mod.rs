//! The watch: a change pokes, the kernel is asked, the decision is published.
//!
//! The first event of a burst is answered at once, then at most one question per window; the last event of a burst
//! is always answered. A slow re-ask covers whatever no event announces.

mod ask;
mod assigned;
mod dns;
mod endpoints;
mod files;
mod names;
mod publish;
mod reach;
mod subscription;

pub use ::names::Lack;
pub use ask::{Asked, Question, ResolvedTarget, ask};
pub use dns::{Resolver, settle};
pub use endpoints::Endpoints;
pub use files::{EtcWatch, Touched};
pub use names::Names;
pub use publish::Published;
pub use reach::Reach;

use fib::{Kernel, RtnlError};
use publish::{Publisher, Round};
use reach::ReachState;
use subscription::Subscription;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::advertise::{Facts, decide};
use crate::metrics::Metrics;
use crate::params::AdvertiseParameters;
use crate::pin::Held;

/// After a question, further events wait so long for the next one.
pub const WINDOW: Duration = Duration::from_millis(50);

/// The longest time between two questions.
const REASK: Duration = Duration::from_secs(30);

/// A question that the kernel does not answer leaves the last decision standing so long; then what is known must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pause before a failed socket is opened again.
const REOPEN: Duration = Duration::from_secs(1);

/// Why the watch could not begin.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The multicast subscription failed.
    #[error("cannot watch the kernel's network changes: {0}")]
    Subscription(#[source] std::io::Error),
    /// The question socket failed.
    #[error("cannot ask the kernel: {0}")]
    Kernel(#[from] RtnlError),
}

/// What the watch depends on and where it publishes.
#[derive(Debug)]
pub struct Watch {
    subscription: Subscription,
    kernel: Option<Kernel>,
    wanted: AdvertiseParameters,
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    pinned: watch::Receiver<Held>,
    reach: Reach,
    reached: watch::Receiver<ReachState>,
    publisher: Publisher,
    unanswered_since: Option<Instant>,
    metrics: Metrics,
}

impl Watch {
    /// Subscribes and opens the question socket, in this order: a change in between is not missed.
    ///
    /// # Errors
    /// Where netlink cannot be had.
    pub fn begin(
        wanted: AdvertiseParameters,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        pinned: watch::Receiver<Held>,
        reach: &Reach,
        metrics: Metrics,
    ) -> Result<Self, WatchError> {
        let subscription = Subscription::begin(None).map_err(WatchError::Subscription)?;
        let kernel = Some(Kernel::open()?);
        let publisher = Publisher::new(metrics.clone());
        let (reach, reached) = (reach.clone(), reach.subscribe());
        Ok(Self {
            subscription,
            kernel,
            wanted,
            targets,
            pinned,
            reach,
            reached,
            publisher,
            unanswered_since: None,
            metrics,
        })
    }

    /// Subscribes anew, with a receive buffer of so many bytes: a smaller one makes overruns.
    ///
    /// # Errors
    /// Where the kernel has no netlink.
    pub fn with_receive_buffer(self, bytes: usize) -> Result<Self, WatchError> {
        let subscription = Subscription::begin(Some(bytes)).map_err(WatchError::Subscription)?;
        Ok(Self { subscription, ..self })
    }

    /// Where decisions appear; generation 0 is none yet.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.publisher.subscribe()
    }

    /// Watches for ever. Nothing that the kernel sends ends it.
    pub async fn run(mut self) {
        let mut event = None;
        loop {
            let answered = self.answer(event).await;
            if answered {
                event = None;
            }
            let window_end = Instant::now() + WINDOW;
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(window_end) => break,
                    since = changed(&mut self.subscription, &self.metrics) => event = event.or(Some(since)),
                }
            }
            if event.is_some() || !answered {
                continue;
            }
            tokio::select! {
                since = changed(&mut self.subscription, &self.metrics) => event = Some(since),
                Ok(()) = self.targets.changed() => {}
                Ok(()) = self.pinned.changed() => {}
                Ok(()) = self.reached.changed() => {}
                () = sleep(REASK) => {}
            }
        }
    }

    /// Asks, decides, publishes. `event` is the time of the first event that is answered here. False: ask again soon.
    async fn answer(&mut self, event: Option<std::time::Instant>) -> bool {
        let held = self.pinned.borrow_and_update().clone();
        let ReachState { reached, round, .. } = self.reached.borrow_and_update().clone();
        let question = Question {
            targets: self.targets.borrow_and_update().clone(),
            pinned: held.url,
            committed: held.committed,
            reached,
            interface: self.wanted.interface.clone(),
        };
        let kernel = match self.kernel.take() {
            Some(kernel) => Ok(kernel),
            None => Kernel::open(),
        };
        let mut kernel = match kernel {
            Ok(kernel) => kernel,
            Err(error) => {
                tracing::error!(%error, "the kernel cannot be asked; trying again");
                sleep(REOPEN).await;
                return false;
            }
        };
        // On a thread of its own: while a driver holds the kernel's rtnl lock a question can wait for seconds, and
        // heartbeats and pages must not.
        let asked = tokio::task::spawn_blocking(move || {
            let answer = ask(&mut kernel, &question);
            let counts = kernel.take_asked();
            (kernel, answer, counts)
        });
        match asked.await {
            Ok((kernel, Asked { facts, local }, counts)) => {
                self.metrics.netlink_asked(&counts);
                if self.must_ask_again(&facts) {
                    return false;
                }
                self.kernel = Some(kernel);
                let decision = decide(&facts, &self.wanted);
                if let Some(event) = event {
                    self.metrics.decision(event.elapsed());
                }
                let awaits_reach = self.reach.is_awaited(&decision);
                self.publisher.publish(Round { decision, local, reach_round: round, awaits_reach });
                true
            }
            Err(error) => {
                tracing::error!(%error, "asking the kernel ended early; asking again");
                sleep(REOPEN).await;
                false
            }
        }
    }

    /// An address must not seem lost because a question went unanswered. The socket is not used again: the rest of an
    /// answer may still be on its way.
    fn must_ask_again(&mut self, facts: &Facts) -> bool {
        let Some(reason) = facts.unanswered() else {
            self.unanswered_since = None;
            return false;
        };
        let since = *self.unanswered_since.get_or_insert_with(Instant::now);
        tracing::debug!(reason, "the kernel did not answer; asking again");
        since.elapsed() < PATIENCE
    }
}

/// Waits for a change; a failed socket is replaced, and that is a change too.
async fn changed(subscription: &mut Subscription, metrics: &Metrics) -> std::time::Instant {
    loop {
        match subscription.changed().await {
            Ok(change) => {
                metrics.netlink_heard(&change.heard);
                return change.since;
            }
            Err(error) => tracing::error!(%error, "the netlink subscription failed; subscribing again"),
        }
        sleep(REOPEN).await;
        match Subscription::begin(None) {
            Ok(fresh) => {
                *subscription = fresh;
                return std::time::Instant::now();
            }
            Err(error) => tracing::error!(%error, "cannot subscribe; trying again"),
        }
    }
}
