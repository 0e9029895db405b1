//! A failure of its own: then new connects go to Ironic directly for a while, as without the daemon.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Guard;
use crate::recent::Moment;

/// How long nothing is redirected after a failure of its own.
const PAUSE: Duration = Duration::from_secs(60);

/// Until when, where there was a failure.
#[derive(Debug, Default)]
pub struct Pause(Mutex<Option<Instant>>);

impl Pause {
    fn until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is to be redirected now.
    pub fn holds(&self) -> bool {
        self.until().is_some_and(|until| until > Instant::now())
    }
}

impl Guard {
    /// Stops the stamp for a while.
    pub(super) fn pause(&self, why: String) {
        self.clear_stamp();
        *self.pause.until() = Some(Instant::now() + PAUSE);
        let words = format!("{why}: connects go to Ironic directly for {} s", PAUSE.as_secs());
        if self.show(|state| &mut state.paused, Some(words.clone())) {
            tracing::warn!("guard: {words}");
        }
    }

    /// Stamps, where nothing speaks against it.
    pub(super) fn stamp(&self) {
        if self.pause.holds() || *self.stopping.borrow() {
            return;
        }
        self.redirect.stamp();
        self.show(|state| &mut state.paused, None);
        self.show_redirecting(true);
    }

    /// From now on connects go to Ironic directly.
    pub(super) fn clear_stamp(&self) {
        self.redirect.clear_stamp();
        self.show_redirecting(false);
    }

    fn show_redirecting(&self, redirecting: bool) {
        self.state.send_if_modified(|state| {
            let changed = std::mem::replace(&mut state.redirecting, redirecting) != redirecting;
            if changed {
                state.redirecting_since = redirecting.then(Moment::now);
            }
            changed
        });
    }
}
