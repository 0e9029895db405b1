//! What people and Prometheus look at: `/metrics`, `/-/healthy`, `/-/ready`, `/state` and the page; and who may look
//! (`--web.config.file`).

mod allowed_sans;
mod answer;
mod basic_auth;
pub mod config;
mod config_file;
mod page;
mod server;
mod state;
mod state_probes;
mod tls;

pub use config_file::{ConfigFile, WebConfigError};
pub use server::{DEFAULT_PORT, WebError, bind, serve};

use std::sync::Arc;

use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::status::{Snapshot, Status};
use crate::watch::Published;

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The decision.
    pub decisions: watch::Receiver<Arc<Published>>,
    /// What the tasks do.
    pub status: Status,
    /// The metrics.
    pub metrics: Metrics,
}

/// Everything at one moment.
struct View {
    published: Arc<Published>,
    snapshot: Snapshot,
    ready: Result<String, String>,
    /// Lookups by sender and result, those that happened.
    lookups: Vec<(&'static str, &'static str, u64)>,
}

impl Sources {
    fn view(&self) -> View {
        let published = Arc::clone(&self.decisions.borrow());
        let snapshot = self.status.snapshot();
        let ready = readiness(&published, &snapshot);
        View { published, snapshot, ready, lookups: self.metrics.lookups() }
    }
}

/// See [`Snapshot::readiness`].
pub fn readiness(published: &Published, snapshot: &Snapshot) -> Result<String, String> {
    let decision = &published.decision;
    let no_address = decision.address.is_none().then(|| decision.to_string());
    snapshot.readiness(published.generation > 0, no_address.as_deref())
}
