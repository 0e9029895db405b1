//! What people and Prometheus look at: `/metrics`, `/-/healthy`, `/-/ready`, `/state` and the page.

mod answer;
mod page;
mod state;

use std::net::SocketAddr;

use exporter::{Answer, BindError, ConfigFile, Handler};
use hyper::Request;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::readiness::{Readiness, readiness};
use crate::view::{Sources, View};

/// The port of `--web.listen-address` where none is given.
const DEFAULT_PORT: u16 = 10099;

/// The listener cannot be opened.
#[derive(Debug, Error)]
#[error("{0}; choose another with --web.listen-address")]
pub struct WebError(BindError);

/// Binds the given address, or the default port on every address.
///
/// # Errors
/// Where it is in use, or no address of this machine.
pub fn bind(address: Option<SocketAddr>) -> Result<TcpListener, WebError> {
    exporter::bind(address, DEFAULT_PORT).map_err(WebError)
}

/// Serves until the daemon ends. `protection` says who may look, and whether over TLS.
pub async fn serve(listener: TcpListener, shown: Shown, protection: Option<ConfigFile>) {
    exporter::serve(listener, "ipa-sidecar", protection, shown).await;
}

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What the tasks publish.
    pub sources: Sources,
    pub metrics: Metrics,
}

impl Handler for Shown {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        answer::to(request.uri().path(), self)
    }
}

impl Shown {
    /// Whether the daemon is ready, and what the page says, for a console.
    pub fn console(&self) -> (bool, String) {
        let (view, ready) = self.look();
        (ready.is_ok(), page::console(&view, &ready))
    }

    /// Whether the daemon is ready, and `/state`.
    ///
    /// # Errors
    /// Where a value has no place in JSON.
    pub fn json(&self) -> (bool, serde_json::Result<String>) {
        let (view, ready) = self.look();
        (ready.is_ok(), serde_json::to_string_pretty(&state::State::of(&view, &ready)))
    }

    /// Everything at this moment, and whether the daemon is ready.
    fn look(&self) -> (View, Readiness) {
        let view = self.sources.view();
        let ready = readiness(&view);
        (view, ready)
    }
}
