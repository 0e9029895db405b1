//! `run`: polls, judges, serves. The poll owns what is known of the nodes and publishes it; pages, metrics and targets read.

mod claims;
mod fleet;
mod kept;
mod memory;
mod metrics;
mod page;
mod poller;
mod refusal;
mod round;
mod sd;
mod store;
mod trouble;
mod web;

use std::io;

use exporter::{BindError, ConfigFile, WebConfigError};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::params::Parameters;

use metrics::Metrics;
use poller::{Kind, Poller};
use web::Site;

/// The port of `--web.listen-address` where none is given.
const DEFAULT_PORT: u16 = 10_100;

/// Why there is nothing to serve.
#[derive(Debug, Error)]
pub enum RunError {
    /// The operator's settings cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The port is taken, or the address is none of this machine's.
    #[error("{0}; choose another with --web.listen-address")]
    Bind(#[from] BindError),
    /// Who may look cannot be known.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// A mistake of the table of metrics.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// Signals.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot start; nothing that Ironic does ends it.
pub async fn run(parameters: &Parameters) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let web = &parameters.web;
    let listener = exporter::bind(web.listen_address, DEFAULT_PORT)?;
    let protection = web.config_file.clone().map(ConfigFile::open).transpose()?;
    let metrics = Metrics::new()?;
    let poller = Poller::new(parameters, metrics.clone());
    let targets = sd::Settings::of(parameters);
    let site = Site { fleet: poller.fleet(), metrics, targets };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving");
    }
    let _ramdisks = poller.ramdisks();
    tokio::select! {
        ended = poller.run() => ended.map_err(RunError::Usage),
        () = exporter::serve(listener, "ipa-fleet", protection, site) => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
