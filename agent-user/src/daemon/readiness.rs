//! What systemd is told, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::notify;
use crate::params::Mode;
use crate::status::DropinStatus;
use crate::web::Sources;

/// How often systemd is told that READY takes longer, and how long that holds.
const EXTEND: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How often it is looked for the drop-in at least.
const PACE: Duration = Duration::from_millis(50);

/// READY when the mode's duty is done or there is nothing to wait for, at the latest after `wait`.
pub async fn tell_systemd(mode: Mode, wait: Duration, sources: Sources) {
    let started = Instant::now();
    let Sources { mut decisions, status, .. } = sources;
    let dropin_is_there = || matches!(status.snapshot().dropin, DropinStatus::Written(_));
    if mode == Mode::Configure || mode == Mode::Guard {
        let mut extended: Option<Instant> = None;
        let mut told = 0;
        while !dropin_is_there() && started.elapsed() < wait {
            if extended.is_none_or(|at| at.elapsed() >= EXTEND.0) {
                notify::extend_timeout(EXTEND.1);
                extended = Some(Instant::now());
            }
            let published = Arc::clone(&decisions.borrow_and_update());
            if published.generation != told {
                notify::status(&published.decision.to_string());
                told = published.generation;
            }
            // The drop-in's keeper wakes at the same decision: it has its turn before the next look.
            tokio::select! {
                Ok(()) = decisions.changed() => yield_now().await,
                () = sleep(PACE) => {}
            }
        }
        if !dropin_is_there() {
            tracing::error!(?wait, "no drop-in in time: IPA starts as if we were not there");
        }
    } else if decisions.borrow().generation == 0 {
        let _ = decisions.changed().await;
    }
    notify::ready(&decisions.borrow_and_update().decision.to_string());
    while decisions.changed().await.is_ok() {
        notify::status(&decisions.borrow_and_update().decision.to_string());
    }
}
