//! The thread that watches: it hears, asks, decides and publishes, one after the other.

use std::sync::Arc;
use std::time::Duration;

use fib::{Kernel, Monitor};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::known::Known;
use super::publish::{Publisher, Round};
use super::reach::ReachState;
use super::subscription::Subscription;
use super::{Asked, Published, Question, REOPEN, Reach, ResolvedTarget, WINDOW};
use crate::advertise::{Facts, decide};
use crate::metrics::Metrics;
use crate::params::AdvertiseParameters;
use crate::pin::Held;
use crate::tick::Tick;

/// The longest time between two questions.
const REASK: Duration = Duration::from_secs(30);

/// A question that the kernel does not answer leaves the last decision standing so long; then what is known must do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the watch depends on and where it publishes.
#[derive(Debug)]
pub(super) struct Watcher {
    monitor: Monitor,
    state: State,
}

/// All but the subscription.
#[derive(Debug)]
struct State {
    kernel: Option<Kernel>,
    known: Known,
    wanted: AdvertiseParameters,
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    /// What was read of them last.
    current: Vec<ResolvedTarget>,
    pinned: watch::Receiver<Held>,
    reach: Reach,
    reached: watch::Receiver<ReachState>,
    publisher: Publisher,
    unanswered_since: Option<Instant>,
    metrics: Metrics,
}

impl Watcher {
    /// With the subscription and the question socket.
    pub fn new(
        (monitor, kernel): (Monitor, Kernel),
        wanted: AdvertiseParameters,
        (targets, pinned): (watch::Receiver<Vec<ResolvedTarget>>, watch::Receiver<Held>),
        reach: &Reach,
        metrics: Metrics,
    ) -> Self {
        let (kernel, known, unanswered_since) = (Some(kernel), Known::default(), None);
        let publisher = Publisher::new(metrics.clone());
        let (reach, reached) = (reach.clone(), reach.subscribe());
        let current = targets.borrow().clone();
        let state = State {
            kernel,
            known,
            wanted,
            targets,
            current,
            pinned,
            reach,
            reached,
            publisher,
            unanswered_since,
            metrics,
        };
        Self { monitor, state }
    }

    /// With another subscription.
    pub fn with_monitor(self, monitor: Monitor) -> Self {
        Self { monitor, ..self }
    }

    /// Where decisions appear.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.state.publisher.subscribe()
    }

    /// Watches until the bell is dropped. Nothing that the kernel sends ends it.
    pub fn run(self, mut bell: oneshot::Receiver<()>) {
        let runtime = loop {
            match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => break runtime,
                Err(error) => tracing::error!(%error, "the watch cannot begin; trying again"),
            }
            if !matches!(bell.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
                return;
            }
            std::thread::sleep(REOPEN);
        };
        let Self { monitor, mut state } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = bell => {}
                () = state.watch(monitor) => {}
            }
        });
    }
}

impl State {
    async fn watch(&mut self, monitor: Monitor) {
        let mut subscription = match Subscription::of(monitor) {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::error!(%error, "the netlink subscription failed; subscribing again");
                subscribed().await
            }
        };
        let (mut event, mut reask) = (None, Tick::every(REASK));
        loop {
            let answered = self.answer(event).await;
            if answered {
                event = None;
            }
            let window_end = Instant::now() + WINDOW;
            if answered {
                tokio::select! {
                    since = changed(&mut subscription, &self.metrics, &mut self.known) => event = Some(since),
                    Ok(()) = self.targets.changed() => self.current.clone_from(&self.targets.borrow()),
                    Ok(()) = self.pinned.changed() => {}
                    Ok(()) = self.reached.changed() => {}
                    () = reask.next() => self.known.forget(),
                }
            }
            // What comes soon after an answer is answered together. Without anything to answer no timer runs.
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(window_end) => break,
                    since = changed(&mut subscription, &self.metrics, &mut self.known) => event = event.or(Some(since)),
                }
            }
        }
    }

    /// Asks, decides, publishes. `event` is the time of the first event that is answered here. False: ask again soon.
    async fn answer(&mut self, event: Option<std::time::Instant>) -> bool {
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
        let held = self.pinned.borrow_and_update().clone();
        let ReachState { reached, round, .. } = self.reached.borrow_and_update().clone();
        if self.targets.has_changed().unwrap_or(false) {
            self.current.clone_from(&self.targets.borrow_and_update());
        }
        let question = Question {
            targets: std::mem::take(&mut self.current),
            pinned: held.url,
            committed: held.committed,
            reached,
            interface: self.wanted.interface.clone(),
        };
        let Asked { facts, local } = self.known.ask(&mut kernel, &question);
        self.current = question.targets;
        let counts = kernel.take_asked();
        let must_ask_again = self.must_ask_again(&facts);
        if must_ask_again {
            self.known.forget();
        } else {
            self.kernel = Some(kernel);
            let decision = decide(&facts, &self.wanted);
            if let Some(event) = event {
                self.metrics.decision(event.elapsed());
            }
            let awaits_reach = self.reach.is_awaited(&decision);
            self.publisher.publish(Round { decision, local, reach_round: round, awaits_reach });
        }
        self.metrics.netlink_asked(&counts);
        !must_ask_again
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
async fn changed(
    subscription: &mut Subscription,
    metrics: &Metrics,
    known: &mut Known,
) -> std::time::Instant {
    match subscription.changed().await {
        Ok(change) => {
            known.heard(&change.heard);
            metrics.netlink_heard(&change.heard);
            change.since
        }
        Err(error) => {
            tracing::error!(%error, "the netlink subscription failed; subscribing again");
            *subscription = subscribed().await;
            known.forget();
            std::time::Instant::now()
        }
    }
}

/// A new subscription.
async fn subscribed() -> Subscription {
    loop {
        sleep(REOPEN).await;
        match Monitor::subscribe().and_then(Subscription::of) {
            Ok(fresh) => return fresh,
            Err(error) => tracing::error!(%error, "cannot subscribe; trying again"),
        }
    }
}
