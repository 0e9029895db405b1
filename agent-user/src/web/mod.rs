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
mod tls;

pub use config_file::{ConfigFile, WebConfigError};
pub use server::{DEFAULT_PORT, WebError, bind, serve};

use crate::metrics::Metrics;
use crate::readiness::{Readiness, readiness};
use crate::view::{Sources, View};

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What the tasks publish.
    pub sources: Sources,
    /// The metrics.
    pub metrics: Metrics,
}

impl Shown {
    /// Everything at this moment, and whether the daemon is ready.
    fn look(&self) -> (View, Readiness) {
        let view = self.sources.view();
        let ready = readiness(&view);
        (view, ready)
    }
}
