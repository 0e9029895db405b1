//! The daemon: which tasks run in which mode, and how they end.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::advertise::Decision;
use crate::agent::Agent;
use crate::ipa::dropin;
use crate::ipa::status::IpaProbe;
use crate::ironic::{Client, IronicError};
use crate::metrics::Metrics;
use crate::notify;
use crate::params::{Loaded, Mode, Parameters, Source};
use crate::status::{DropinStatus, Status};
use crate::watch::{EtcWatch, Names, Published, Touched, Watch, WatchError};
use crate::web::{self, Sources, WebError};

/// How often IPA's status is asked for.
const IPA_POLL: Duration = Duration::from_secs(10);
/// A drop-in that could not be written is tried again after this.
const DROPIN_RETRY: Duration = Duration::from_secs(5);
/// How often systemd is told that READY takes longer, and how long that holds.
const EXTEND: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// Why the daemon could not start.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Netlink.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The web listener.
    #[error(transparent)]
    Web(#[from] WebError),
    /// TLS to Ironic.
    #[error(transparent)]
    Ironic(#[from] IronicError),
    /// The metrics.
    #[error("the metrics cannot be made: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Signals.
    #[error("signals cannot be waited for: {0}")]
    Signal(#[source] std::io::Error),
    /// Mode agent would take an IPA's token.
    #[error(
        "an ironic-python-agent answers on port {0}, and a lookup of ours would take its token and hang it: use mode \
         observe or configure, or hand the token out with ipa-agent-token or --ironic.agent-token-file"
    )]
    IpaPresent(u16),
    /// The flag is understood, its work is not there yet.
    #[error("{0}")]
    NotInThisVersion(&'static str),
}

/// Why the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// SIGTERM or SIGINT.
    Signal,
    /// `/etc/.rescued` appeared.
    Rescued,
}

/// Runs until a signal, or until the machine belongs to a tenant.
///
/// # Errors
/// Only while it starts; afterwards nothing but the above ends it.
pub async fn run(loaded: Loaded) -> Result<Ended, DaemonError> {
    refuse_what_is_not_there(&loaded.parameters)?;
    let mut signals = Signals::new()?;
    let mut etc = EtcWatch::begin(Path::new("/etc"));
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    for problem in &problems {
        tracing::warn!("{problem}");
    }
    let Acting {
        mode,
        client,
        held_back,
    } = Acting::of(&loaded)?;
    let parameters = loaded.parameters;
    if let Some(why) = &held_back {
        tracing::warn!(
            wanted = parameters.mode.as_str(),
            "acting as {}: {why}",
            mode.as_str()
        );
    }

    let metrics = Metrics::new()?;
    metrics.set_mode(mode);
    let status = Status::new(parameters.mode, mode, held_back, problems);
    if mode == Mode::Agent && parameters.ironic.agent_token.is_none() {
        tokio::select! {
            refused = refuse_beside_ipa(parameters.ipa_settings.listen_port) => refused?,
            () = signals.received() => return Ok(Ended::Signal),
        }
    }

    let names = Names::new(parameters.ironic.api_urls.clone());
    let (pinned, pinned_seen) = watch::channel(None);
    let watch = Watch::begin(
        parameters.advertise.clone(),
        names.subscribe(),
        pinned_seen,
        metrics.clone(),
    )?;
    let decisions = watch.subscribe();
    let listener = web::bind(parameters.web_listen_address)?;
    let resolv_conf = watch::Sender::new(0);

    let mut tasks = JoinSet::new();
    let sources = Sources {
        decisions: decisions.clone(),
        status: status.clone(),
        metrics: metrics.clone(),
    };
    if let Ok(address) = listener.local_addr() {
        tracing::info!(mode = mode.as_str(), version = env!("CARGO_PKG_VERSION"), web = %address, "started");
    }
    tasks.spawn(web::serve(listener, sources.clone()));
    tasks.spawn(names.run(resolv_conf.subscribe()));
    tasks.spawn(watch.run());
    tasks.spawn(follow_ipa(
        parameters.ipa_settings.listen_port,
        status.clone(),
        metrics.clone(),
    ));
    if parameters.mode == Mode::Configure && mode == Mode::Observe {
        // An earlier run may have left one, and nobody keeps it right now.
        if let Err(error) = dropin::remove(&parameters.ipa.config_dir) {
            tracing::error!(%error, "a drop-in of an earlier run may be there");
        }
    }
    if mode == Mode::Configure {
        let directory = parameters.ipa.config_dir.clone();
        tasks.spawn(keep_dropin(
            directory,
            decisions.clone(),
            status.clone(),
            metrics.clone(),
        ));
    }
    if let Some(client) = client {
        let agent = Agent::new(
            client,
            &parameters,
            decisions.clone(),
            pinned,
            status.clone(),
            metrics.clone(),
        );
        tasks.spawn(agent.run());
    }
    tasks.spawn(tell_systemd(mode, parameters.advertise.wait, sources));

    let ended = loop {
        tokio::select! {
            () = signals.received() => break Ended::Signal,
            touched = etc.touched() => match touched {
                Touched::Rescued => break Ended::Rescued,
                Touched::ResolvConf => {
                    tracing::info!("resolv.conf has changed");
                    resolv_conf.send_modify(|changes| *changes += 1);
                }
            },
            Some(task) = tasks.join_next() => log_end(task),
        }
    };
    notify::stopping();
    // Dropping the tasks drops the agent and with it the token, which wipes itself.
    tasks.shutdown().await;
    if ended == Ended::Rescued {
        tracing::info!("/etc/.rescued is there: this machine is on its tenant's network now");
        if mode == Mode::Configure
            && let Err(error) = dropin::remove(&parameters.ipa.config_dir)
        {
            tracing::error!(%error, "the drop-in stays");
        }
    }
    tracing::info!(?ended, "ended");
    Ok(ended)
}

/// The mode that the parameters allow: what others gave never makes the daemon exit.
struct Acting {
    mode: Mode,
    /// In agent mode.
    client: Option<Client>,
    /// Why it is not the wanted mode.
    held_back: Option<String>,
}

impl Acting {
    fn of(loaded: &Loaded) -> Result<Self, DaemonError> {
        let parameters = &loaded.parameters;
        let observe = |why: String| Self {
            mode: Mode::Observe,
            client: None,
            held_back: Some(why),
        };
        // Without an API URL and without the operator's host there is nothing to decide.
        let no_url = parameters.ironic.api_urls.is_empty();
        let needs_url = match parameters.mode {
            Mode::Observe => false,
            Mode::Configure => parameters.advertise.host.is_none(),
            Mode::Guard | Mode::Agent => true,
        };
        if no_url && needs_url {
            let problem = loaded
                .problems
                .iter()
                .find(|problem| problem.name == "ironic.api-url");
            let why = problem.map_or_else(|| "no API URL was given".to_owned(), ToString::to_string);
            return Ok(observe(why));
        }
        let client = match parameters.mode {
            Mode::Agent => match Client::new(&parameters.ironic) {
                Ok(client) => Some(client),
                Err(error) if tls_is_foreign(loaded) => return Ok(observe(error.to_string())),
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        Ok(Self {
            mode: parameters.mode,
            client,
            held_back: None,
        })
    }
}

/// Whether a file for TLS was named by IPA's own configuration.
fn tls_is_foreign(loaded: &Loaded) -> bool {
    let names = ["ironic.cafile", "ironic.certfile", "ironic.keyfile"];
    let mut entries = names.iter().filter_map(|name| loaded.entry(name));
    entries.any(|entry| entry.source == Source::IpaConfig)
}

fn refuse_what_is_not_there(parameters: &Parameters) -> Result<(), DaemonError> {
    if parameters.mode == Mode::Guard {
        return Err(DaemonError::NotInThisVersion(
            "mode guard is not in this version; mode configure gives ironic-python-agent the right address",
        ));
    }
    if parameters.web_config_file.is_some() {
        return Err(DaemonError::NotInThisVersion(
            "--web.config.file is not in this version: TLS and passwords that it asks for would not be there",
        ));
    }
    Ok(())
}

async fn refuse_beside_ipa(port: u16) -> Result<(), DaemonError> {
    if IpaProbe::new(port)?.ask().await.up {
        Err(DaemonError::IpaPresent(port))
    } else {
        Ok(())
    }
}

/// A task that ends by itself has nothing to do; one that panicked leaves the others running, and says so.
fn log_end(task: Result<(), tokio::task::JoinError>) {
    if let Err(error) = task {
        tracing::error!(%error, "a task ended early");
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(DaemonError::Signal);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn follow_ipa(port: u16, status: Status, metrics: Metrics) {
    let Ok(probe) = IpaProbe::new(port).inspect_err(|error| tracing::warn!(%error, "IPA cannot be asked"))
    else {
        return;
    };
    loop {
        let ipa = probe.ask().await;
        metrics.ipa_up.set(ipa.up.into());
        status.update(|status| status.ipa = ipa);
        sleep(IPA_POLL).await;
    }
}

/// Keeps the drop-in equal to the decision; without an address there is none, as if we were absent.
async fn keep_dropin(
    directory: PathBuf,
    mut decisions: watch::Receiver<Arc<Published>>,
    status: Status,
    metrics: Metrics,
) {
    loop {
        let published = Arc::clone(&decisions.borrow_and_update());
        let mut failed = false;
        if published.generation > 0 {
            let outcome = write_dropin(&directory, &published.decision, &metrics);
            failed = matches!(outcome, DropinStatus::Failed(_));
            let before = status.snapshot().dropin;
            if let (true, DropinStatus::Failed(error)) = (before != outcome, &outcome) {
                tracing::error!(
                    error,
                    "IPA's drop-in is not as it should be; trying again every {DROPIN_RETRY:?}"
                );
            }
            status.update(|status| status.dropin = outcome);
        }
        tokio::select! {
            changed = decisions.changed() => if changed.is_err() { return },
            () = sleep(DROPIN_RETRY), if failed => {}
        }
    }
}

fn write_dropin(directory: &Path, decision: &Decision, metrics: &Metrics) -> DropinStatus {
    let outcome = match &decision.address {
        Some(address) => dropin::write(directory, &dropin::content(address)),
        None => dropin::remove(directory),
    };
    match (outcome, &decision.address) {
        (Ok(written), address) => {
            let address = address.as_ref().map(ToString::to_string);
            if written == dropin::Written::Changed {
                metrics.dropin_write(true);
                tracing::info!(?directory, address, "IPA's drop-in changed");
            }
            address.map_or(DropinStatus::Absent, DropinStatus::Written)
        }
        (Err(error), _) => {
            metrics.dropin_write(false);
            DropinStatus::Failed(error.to_string())
        }
    }
}

/// READY when the mode's duty is done or there is nothing to wait for, at the latest after `wait`.
async fn tell_systemd(mode: Mode, wait: Duration, sources: Sources) {
    let started = Instant::now();
    let Sources {
        mut decisions,
        status,
        ..
    } = sources;
    let dropin_is_there = || matches!(status.snapshot().dropin, DropinStatus::Written(_));
    if mode == Mode::Configure {
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
            sleep(Duration::from_millis(50)).await;
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

/// Runs a future on a runtime of one thread; blocking questions to the kernel have a thread of their own.
///
/// # Errors
/// Where the runtime cannot be made.
pub fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()?;
    let output = runtime.block_on(future);
    // A question that hangs in the kernel must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    Ok(output)
}
