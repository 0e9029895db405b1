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
use std::sync::Arc;

use exporter::{BindError, ClientTls, ConfigFile, WebConfigError};
use text::printable;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::params::{Parameters, SidecarParameters};
use crate::relay::{self, Relay, SidecarAccess};
use crate::report::{self, LastWords, ReportError};
use crate::secret::first_line;

use metrics::Metrics;
use poller::{Kind, Poller};
use web::Site;

/// The port of `--web.listen-address` where none is given.
const DEFAULT_PORT: u16 = 10_100;

/// Prometheus asks from one address, and for each node that is relayed by a connection of its own.
const CONNECTIONS: usize = 2 * relay::AT_ONCE;

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
    /// Reports are wanted and cannot be taken.
    #[error(transparent)]
    Report(#[from] ReportError),
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
    let words = watch::Sender::<LastWords>::default();
    let poller = Poller::new(parameters, metrics.clone(), words.subscribe());
    let reports = {
        let metrics = metrics.clone();
        let count = move |result| metrics.reported(result);
        report::listen(&parameters.report, poller.ramdisks(), words.clone(), Arc::new(count))?
    };
    let relay = {
        let metrics = metrics.clone();
        let count = move |result| metrics.relayed(result);
        let access = access(&parameters.sidecar)?;
        Relay::new(access, parameters.relay_allow.clone(), poller.ramdisks(), Arc::new(count))
    };
    let targets = sd::Settings::of(parameters);
    let site = Site { fleet: poller.fleet(), words: words.subscribe(), relay, metrics, targets };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving");
    }
    let take_reports = async {
        match reports {
            Some(reports) => reports.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = poller.run() => ended.map_err(RunError::Usage),
        () = exporter::serve_up_to(CONNECTIONS, listener, "ipa-fleet", protection, site) => Ok(()),
        () = take_reports => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// How the relay reaches sidecars.
fn access(sidecar: &SidecarParameters) -> Result<SidecarAccess, RunError> {
    let password = sidecar.password_file.as_deref().map(|path| {
        let wrong =
            |problem| format!("sidecar.password-file {}: {problem}", printable(&path.to_string_lossy()));
        first_line(path).map_err(|problem| RunError::Usage(wrong(problem)))
    });
    let password = password.transpose()?;
    let tls = ClientTls {
        wanted: false,
        cafile: sidecar.cafile.as_deref(),
        certfile: None,
        keyfile: None,
        insecure: sidecar.insecure,
    };
    let login = sidecar.username.as_deref().zip(password.as_ref());
    SidecarAccess::new((sidecar.scheme, sidecar.port), tls, login)
        .map_err(|error| RunError::Usage(format!("the sidecars' settings: {error}")))
}
