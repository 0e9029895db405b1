//! Keeps IPA's drop-in equal to the decision.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use callback_url::Host;
use serde::Serialize;
use text::{Secret, labels};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::advertise::Decision;
use crate::kept::{DropinWrite, Kept, since_boot};
use crate::metrics::Metrics;
use crate::tick::Tick;
use crate::watch::Published;

use super::{dropin, token};

/// A drop-in that could not be written is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Whether it is still there is looked at so often: another program may empty the directory.
const LOOK: Duration = Duration::from_secs(30);

labels! {
    /// How the drop-in stands.
    pub enum DropinPhase {
        /// This mode writes none.
        Off = "off",
        /// None is written: there is no address, or it is undecided.
        Absent = "absent",
        /// It is on disk.
        Written = "written",
        /// It should be, and is not.
        Failed = "failed",
    }
}

/// The drop-in, as the page and `/state` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropinState {
    /// How it stands.
    pub state: DropinPhase,
    /// The address in it, where it is on disk.
    pub address: Option<Host>,
    /// Why it is not on disk as it should be.
    pub error: Option<String>,
    /// The decision that it follows.
    #[serde(skip)]
    pub generation: u64,
}

impl DropinState {
    /// Nothing is on disk.
    pub fn without(state: DropinPhase) -> Self {
        Self { state, address: None, error: None, generation: 0 }
    }

    /// On disk, with this address; without one there is none.
    pub fn of(address: Option<Host>) -> Self {
        let state = if address.is_some() { DropinPhase::Written } else { DropinPhase::Absent };
        Self { address, ..Self::without(state) }
    }

    fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::without(DropinPhase::Failed) }
    }
}

/// Writes it whenever the address changes, or Ironic hands a token out. Without both, or where the address is undecided, there
/// is none, as if the daemon were absent.
pub async fn keep(
    directory: PathBuf,
    (mut decisions, mut token): (watch::Receiver<Arc<Published>>, watch::Receiver<Option<Secret>>),
    state: watch::Sender<DropinState>,
    metrics: Metrics,
    kept: Kept,
) {
    let mut look = Tick::every(LOOK);
    loop {
        let published = Arc::clone(&decisions.borrow_and_update());
        let mut failed = false;
        if published.generation > 0 {
            let token = token.borrow_and_update().clone();
            let outcome = write(&directory, &published.decision, token.as_ref(), &metrics, &kept);
            let outcome = DropinState { generation: published.generation, ..outcome };
            failed = outcome.state == DropinPhase::Failed;
            let error = outcome.error.clone();
            let changed = state.send_if_modified(|before| {
                let changed = *before != outcome;
                *before = outcome;
                changed
            });
            if let (true, Some(error)) = (changed, error) {
                tracing::error!(error, "could not write IPA's drop-in; retrying every {RETRY:?}");
            }
        }
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            Ok(()) = token.changed() => {}
            () = sleep(RETRY), if failed => {}
            () = look.next() => {}
        }
    }
}

fn write(
    directory: &Path,
    decision: &Decision,
    token: Option<&Secret>,
    metrics: &Metrics,
    kept: &Kept,
) -> DropinState {
    let address = decision.address.clone().filter(|_| !decision.is_undecided());
    let content = match (&address, token) {
        (Some(address), _) => Some(dropin::content(address)),
        (None, Some(_)) => Some(dropin::content_without_address()),
        (None, None) => None,
    };
    // Ahead of the write: a run that finds no token there has lost nothing.
    kept.update(|contents| contents.token_in_dropin = token.is_some());
    let said_so = address.as_ref().is_some_and(|address| dropin::says(directory, address));
    let outcome = match content {
        Some(content) => dropin::write(directory, &token::add(&content, token)),
        None => dropin::remove(directory),
    };
    match outcome {
        Ok(written) => {
            let address_written = if said_so { dropin::Written::Unchanged } else { written };
            remember(kept, address.as_ref(), address_written);
            if written == dropin::Written::Changed {
                metrics.dropin_write(true);
                let address = address.as_ref().map(Host::bare);
                tracing::info!(?directory, address, "IPA's drop-in changed");
            }
            DropinState::of(address)
        }
        Err(error) => {
            kept.update(|contents| contents.dropin = None);
            metrics.dropin_write(false);
            DropinState::failed(error.to_string())
        }
    }
}

/// Keeps since when the drop-in has this address. Of one that was there before, only what was kept is known. The time is
/// taken after the write: an IPA that starts later has read it.
fn remember(kept: &Kept, address: Option<&Host>, written: dropin::Written) {
    kept.update(|contents| {
        let before = contents.dropin.take().filter(|dropin| Some(&dropin.address) == address);
        contents.dropin = match (written, address) {
            (_, None) => None,
            (dropin::Written::Unchanged, Some(_)) => before,
            (dropin::Written::Changed, Some(address)) => {
                Some(DropinWrite { address: address.clone(), written: since_boot() })
            }
        };
        contents.dropin_changed(address, since_boot());
    });
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    #[test]
    fn since_when_is_known_of_our_own_writes_only() {
        use dropin::Written::{Changed, Unchanged};
        let directory = Directory::new("keeper");
        let kept = Kept::open(directory.path());
        let (one, other) = (Host::parse("192.0.2.1").unwrap(), Host::parse("192.0.2.2").unwrap());
        let dropin = || kept.read().dropin;
        remember(&kept, Some(&one), Unchanged);
        assert_eq!(dropin(), None, "it was there before us, and nobody knows since when");
        remember(&kept, Some(&one), Changed);
        let first = dropin().unwrap();
        assert_eq!(first.address, one);
        remember(&kept, Some(&one), Unchanged);
        assert_eq!(dropin(), Some(first.clone()));
        assert_eq!(Kept::open(directory.path()).read().dropin, Some(first.clone()), "also after a restart");
        remember(&kept, Some(&one), Changed);
        assert!(dropin().unwrap().written >= first.written, "another program had removed it");
        remember(&kept, Some(&other), Unchanged);
        assert_eq!(dropin(), None, "another program wrote this one");
        remember(&kept, Some(&other), Changed);
        remember(&kept, None, Changed);
        assert_eq!(dropin(), None);
    }

    #[test]
    fn the_state_shows_every_address_without_brackets() {
        let shown = |state: &DropinState| serde_json::to_value(state).unwrap();
        let written = shown(&DropinState::of(Host::parse("fd77::5")));
        assert_eq!(written, serde_json::json!({"state": "written", "address": "fd77::5", "error": null}));
        let failed = shown(&DropinState::failed("no room".to_owned()));
        assert_eq!(failed, serde_json::json!({"state": "failed", "address": null, "error": "no room"}));
    }
}
