//! The poll's loop: when Ironic is asked, by whom, and what is published of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use text::labels;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::api::{Api, ApiError};
use crate::moment::Moment;
use crate::params::Parameters;
use crate::poll::key;
use crate::ramdisks::{Ramdisk, Ramdisks};
use crate::report::LastWords;

use super::fleet::{Blind, Fleet, Why};
use super::kept;
use super::metrics::Metrics;
use super::round;
use super::store::Store;

/// From the beginning of a poll to that of the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// The pause is at least so many times as long as the poll before took.
const PAUSE_FACTOR: u32 = 4;
/// From one sweep to the next.
const SWEEP: Duration = Duration::from_secs(600);
/// A report that is older tells of no running ramdisk.
const REPORTED: Duration = Duration::from_secs(120);
/// A look that takes longer is given up: what it found would be old.
const LONGEST_LOOK: Duration = Duration::from_secs(240);
/// The longest pause after Ironic or Keystone refused the credentials: a locked account helps no node.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

labels! {
    /// What is asked at one time: label `kind`.
    pub enum Kind {
        /// The states with a ramdisk, the newest changes, histories.
        Poll = "poll",
        /// All nodes.
        Sweep = "sweep",
    }
}

/// Asks Ironic, and owns what is known of its nodes.
pub struct Poller {
    parameters: Parameters,
    metrics: Metrics,
    api: Option<Api>,
    store: Store,
    begun: Instant,
    /// This program's start by Ironic's clock.
    start: Option<Moment>,
    swept: Option<Instant>,
    /// What the nodes say.
    words: watch::Receiver<LastWords>,
    fleet: watch::Sender<Arc<Fleet>>,
    ramdisks: watch::Sender<Arc<Ramdisks>>,
    pause: Duration,
}

impl Poller {
    /// Nothing is asked yet.
    pub fn new(parameters: &Parameters, metrics: Metrics, words: watch::Receiver<LastWords>) -> Self {
        Self {
            store: Store::new(parameters.fast_track),
            parameters: parameters.clone(),
            metrics,
            words,
            api: None,
            begun: Instant::now(),
            start: None,
            swept: None,
            fleet: watch::Sender::new(Arc::new(Fleet::starting())),
            ramdisks: watch::Sender::default(),
            pause: Duration::ZERO,
        }
    }

    /// What each poll publishes.
    pub fn fleet(&self) -> watch::Receiver<Arc<Fleet>> {
        self.fleet.subscribe()
    }

    /// The same for the relay and the reports.
    pub fn ramdisks(&self) -> watch::Receiver<Arc<Ramdisks>> {
        self.ramdisks.subscribe()
    }

    /// Polls without end.
    ///
    /// # Errors
    /// Only before Ironic was asked for the first time: settings that cannot be used.
    pub async fn run(mut self) -> Result<(), String> {
        if self.parameters.fast_track {
            tracing::info!(
                "fast track: asking for available, manageable and enroll nodes, with their details"
            );
        }
        self.metrics.show(&self.fleet.borrow());
        loop {
            let begun = Instant::now();
            let polled = timeout(LONGEST_LOOK, self.poll()).await;
            let polled = polled.unwrap_or(Err(ApiError::Slow(LONGEST_LOOK)));
            let took = begun.elapsed();
            match polled {
                Ok((found, now)) => {
                    self.pause = INTERVAL.saturating_sub(took).max(took * PAUSE_FACTOR);
                    self.publish(found, now);
                }
                Err(ApiError::Usage(problem)) if self.start.is_none() => return Err(problem),
                Err(error) => self.failed(&error, took),
            }
            tracing::debug!(look = took.as_secs_f64(), pause = ?self.pause, "polled");
            sleep(self.pause).await;
        }
    }

    /// What was found, and the moment that it was for Ironic.
    async fn poll(&mut self) -> Result<(round::Found, Moment), ApiError> {
        let api = match self.api.take() {
            Some(api) => api,
            None => {
                let (api, warnings) = Api::open(&self.parameters).await?;
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                api
            }
        };
        let start = *self.start.get_or_insert_with(|| api.now().before(self.begun.elapsed()));
        if self.swept.is_none_or(|at| at.elapsed() >= SWEEP) {
            let begun = Instant::now();
            round::sweep(&api, &mut self.store).await?;
            self.metrics.polled(Kind::Sweep, begun.elapsed());
            self.swept = Some(Instant::now());
        }
        let begun = Instant::now();
        let found = round::poll(&api, &mut self.store, start).await?;
        self.metrics.polled(Kind::Poll, begun.elapsed());
        let (requests, bytes) = api.asked();
        tracing::debug!(requests, bytes, "all that Ironic was asked so far");
        let now = api.now();
        self.api = Some(api);
        Ok((found, now))
    }

    fn publish(&mut self, found: round::Found, now: Moment) {
        found.refusals.iter().for_each(|error| self.metrics.refused(error));
        found.failures.iter().for_each(|failure| {
            let what = &failure.failure;
            tracing::info!(node = kept::uuid(failure.key), class = what.class.as_str(), "a node has failed");
            self.metrics.failure(what);
        });
        self.say(&found.blind);
        let last_good = self.fleet.borrow().last_good;
        let fleet = Fleet {
            nodes: self.store.nodes(),
            states: self.store.states(),
            failures: self.store.failures(),
            last_good: if found.blind.is_empty() { Some(Instant::now()) } else { last_good },
            blind: found.blind,
            notes: found.notes,
            reported: self.words.borrow().heard_lately(REPORTED).map(key).collect(),
            now,
            at: Instant::now(),
            ironic: self.api.as_ref().map(|api| api.addresses().to_vec()).unwrap_or_default(),
        };
        if !fleet.is_blind() {
            self.ramdisks.send_replace(Arc::new(ramdisks(&fleet)));
        }
        self.metrics.show(&fleet);
        self.fleet.send_replace(Arc::new(fleet));
    }

    /// Ironic is away: what was known stays to be looked at, and is not shown as what is.
    fn failed(&mut self, error: &ApiError, took: Duration) {
        self.metrics.refused(error);
        let is_refused = matches!(error.status(), Some(401 | 403));
        self.pause = match is_refused {
            true => (self.pause * 2).clamp(INTERVAL, LONGEST_PAUSE),
            false => INTERVAL.saturating_sub(took).max((took * PAUSE_FACTOR).min(LONGEST_PAUSE)),
        };
        let blind = vec![Blind { why: Why::IronicAway, text: error.to_string() }];
        self.say(&blind);
        let fleet = Fleet { blind, notes: Vec::new(), ..Fleet::clone(&self.fleet.borrow()) };
        self.metrics.show(&fleet);
        self.fleet.send_replace(Arc::new(fleet));
    }

    /// Each trouble once.
    fn say(&self, blind: &[Blind]) {
        let known = Arc::clone(&self.fleet.borrow());
        for one in blind.iter().filter(|one| !known.blind.contains(one)) {
            tracing::warn!("blind: {}", one.text);
        }
        if blind.is_empty() && known.is_blind() {
            tracing::info!(nodes = self.store.states().len(), "the whole fleet is visible");
        }
    }
}

fn ramdisks(fleet: &Fleet) -> Ramdisks {
    let bare = |key: &u128| Ramdisk { uuid: kept::uuid(*key), claimed: None, suggested: None };
    let nodes =
        fleet.states.keys().map(|key| fleet.nodes.get(key).map_or_else(|| bare(key), |node| node.ramdisk()));
    nodes.collect()
}
