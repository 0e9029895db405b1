//! Keeps IPA's drop-in equal to the decision.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::advertise::Decision;
use crate::api_url::ApiUrl;
use crate::guard::guard_url;
use crate::metrics::Metrics;
use crate::status::{DropinStatus, Status};
use crate::watch::Published;

use super::dropin;

/// A drop-in that could not be written is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Whether it is still there is looked at so often: somebody may clear the directory away.
const LOOK: Duration = Duration::from_secs(30);

/// What the drop-in says besides the address.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Where the guard listens.
    pub guard: SocketAddr,
    /// The API URLs behind it, to which IPA falls back.
    pub real: Vec<ApiUrl>,
}

impl Redirect {
    /// The list for IPA's `api_url`.
    fn urls(&self, decision: &Decision) -> Option<Vec<String>> {
        let guard = guard_url(self.guard, decision.address.as_ref()?);
        Some(std::iter::once(guard).chain(self.real.iter().map(ToString::to_string)).collect())
    }
}

/// Writes it whenever the address changes; without an address there is none, as if we were absent.
pub async fn keep(
    directory: PathBuf,
    redirect: Option<Redirect>,
    mut decisions: watch::Receiver<Arc<Published>>,
    status: Status,
    metrics: Metrics,
) {
    loop {
        let published = Arc::clone(&decisions.borrow_and_update());
        let mut failed = false;
        if published.generation > 0 {
            let outcome = write(&directory, redirect.as_ref(), &published.decision, &metrics);
            failed = matches!(outcome, DropinStatus::Failed(_));
            let before = status.snapshot().dropin;
            if let (true, DropinStatus::Failed(error)) = (before != outcome, &outcome) {
                tracing::error!(error, "IPA's drop-in is not as it should be; trying again every {RETRY:?}");
            }
            status.update(|status| status.dropin = outcome);
        }
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = sleep(if failed { RETRY } else { LOOK }) => {}
        }
    }
}

fn write(
    directory: &Path,
    redirect: Option<&Redirect>,
    decision: &Decision,
    metrics: &Metrics,
) -> DropinStatus {
    let outcome = match &decision.address {
        Some(address) => {
            let urls = redirect.and_then(|redirect| redirect.urls(decision)).unwrap_or_default();
            dropin::write(directory, &dropin::content(address, &urls))
        }
        // A redirect without an address would make IPA advertise loopback.
        None => dropin::remove(directory),
    };
    match outcome {
        Ok(written) => {
            let address = decision.address.as_ref().map(ToString::to_string);
            if written == dropin::Written::Changed {
                metrics.dropin_write(true);
                tracing::info!(?directory, address, "IPA's drop-in changed");
            }
            address.map_or(DropinStatus::Absent, DropinStatus::Written)
        }
        Err(error) => {
            metrics.dropin_write(false);
            DropinStatus::Failed(error.to_string())
        }
    }
}
