//! The watch: a change pokes, the kernel is asked, the decision is published.
//!
//! The first event of a burst is answered at once, then at most one question per window; the last event of a burst
//! is always answered. A slow re-ask covers whatever no event announces.

mod ask;
mod assigned;
mod dns;
mod endpoints;
mod files;
mod known;
mod names;
mod publish;
mod reach;
mod subscription;
mod watcher;

pub use ::names::Lack;
pub use ask::{Asked, Question, ResolvedTarget, ask};
pub use dns::{Resolver, settle};
pub use endpoints::Endpoints;
pub use files::{EtcWatch, Touched};
pub use names::Names;
pub use publish::Published;
pub use reach::Reach;

use fib::{Kernel, Monitor, RtnlError};
use watcher::Watcher;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::metrics::Metrics;
use crate::params::AdvertiseParameters;
use crate::pin::Held;

/// After a question, further events wait so long for the next one.
pub const WINDOW: Duration = Duration::from_millis(50);

/// The pause before a failed socket or thread is tried again.
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

/// The watch, before its thread runs.
#[derive(Debug)]
pub struct Watch(Watcher);

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
        let monitor = Monitor::subscribe().map_err(WatchError::Subscription)?;
        let kernel = Kernel::open()?;
        Ok(Self(Watcher::new((monitor, kernel), wanted, (targets, pinned), reach, metrics)))
    }

    /// Subscribes anew, with a receive buffer of so many bytes: a smaller one makes overruns.
    ///
    /// # Errors
    /// Where the kernel has no netlink.
    pub fn with_receive_buffer(self, bytes: usize) -> Result<Self, WatchError> {
        let monitor = Monitor::with_receive_buffer(bytes).map_err(WatchError::Subscription)?;
        Ok(Self(self.0.with_monitor(monitor)))
    }

    /// Where decisions appear; generation 0 is none yet.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Published>> {
        self.0.subscribe()
    }

    /// Watches as long as it is polled, on a thread of its own: the kernel wakes the thread that will ask, and while a driver
    /// holds the kernel's rtnl lock a question can wait for seconds, which heartbeats and pages must not. Nothing waits for
    /// the thread to end.
    pub async fn run(self) {
        let (ending, ended) = oneshot::channel::<()>();
        // Whoever drops the bell ends the thread, as soon as the kernel has answered.
        let (_bell, rung) = oneshot::channel::<()>();
        let work = Arc::new(Mutex::new(Some((self.0, rung, ending))));
        let thread = loop {
            let theirs = Arc::clone(&work);
            let run = move || {
                let work = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((watcher, rung, _ending)) = work {
                    watcher.run(rung);
                }
            };
            match std::thread::Builder::new().name("watch".to_owned()).spawn(run) {
                Ok(thread) => break thread,
                Err(error) => tracing::error!(%error, "no thread to watch the kernel with; trying again"),
            }
            sleep(REOPEN).await;
        };
        let _ = ended.await;
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
