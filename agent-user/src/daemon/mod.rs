//! The daemon: which tasks run in which mode, and how they end.

mod acting;
mod console;
mod loader;
mod reports;
mod systemd;

use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::agent::{Agent, AgentState};
use crate::exchange::Exchanges;
use crate::guard::redirect::Redirect;
use crate::guard::{self, Guard, GuardState, Surroundings};
use crate::ipa::keeper::{self, DropinPhase, DropinState};
use crate::ipa::place::{self, Place, Running};
use crate::ipa::restart::{self, Drain, Restarter};
use crate::ipa::status::IpaState;
use crate::ipa::{commitment, dropin, status as ipa_status, token};
use crate::ironic::{Client, IronicError};
use crate::kept::{self, Kept};
use crate::kernel_thread;
use crate::metrics::Metrics;
use crate::notify;
use crate::onlooker::Looks;
use crate::params::{self, Mode, Parameters};
use crate::passed_by::{self, PassedBy};
use crate::pin::Pin;
use crate::probes::{self, ProbesState, privileges};
use crate::read_back::{self, ReadBack, ReadBackState};
use crate::registrar::Registrar;
use crate::report::ReportState;
use crate::sight::{Sight, SightState};
use crate::single::{self, Outcome, Single};
use crate::status;
use crate::view::{Duty, Sources};
use crate::watch::{EtcWatch, Names, Reach, Touched, Watch, WatchError};
use crate::web::{Shown, Web};

use acting::Acting;
use loader::{Loaded, Loader};

/// Why the daemon could not start.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Netlink.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// Another one runs.
    #[error("another ipa-sidecar does its work here already: it holds {0:?}; mode observe runs beside it")]
    Another(PathBuf),
    /// TLS to Ironic.
    #[error(transparent)]
    Ironic(#[from] IronicError),
    /// The metrics.
    #[error("the metrics cannot be made: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Signals.
    #[error("signals cannot be waited for: {0}")]
    Signal(#[source] std::io::Error),
    /// A part of the daemon panicked: a defect.
    #[error("a part of the daemon ended early, which is a defect: {0}")]
    TaskDied(#[source] tokio::task::JoinError),
}

/// Why the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// SIGTERM, SIGINT or SIGHUP.
    Signal,
    Rescued,
}

/// Runs until a signal, or until the machine belongs to a tenant.
///
/// # Errors
/// While it starts; afterwards only a defect.
pub async fn run(loaded: params::Loaded) -> Result<Ended, DaemonError> {
    dump_no_core();
    let company = only_one(loaded.parameters.mode)?;
    let mut signals = Signals::new()?;
    let mut etc = EtcWatch::begin(Path::new("/etc"));
    let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
    for problem in &problems {
        tracing::warn!("{problem}");
    }
    let Acting { mode, client, guard, guard_off, held_back } = Acting::of(&loaded)?;
    let mut loader = Loader::begin(mode, &loaded.parameters, loaded.image.in_container());
    let known_elsewhere = loaded.entry("advertise.host").is_some_and(|host| host.source.is_ipas());
    let params::Loaded { mut parameters, image, place, .. } = loaded;
    place::tell(&place);
    if mode == Mode::Guard {
        guard::leave_itself_out(&mut parameters);
    }
    if let Some(why) = &held_back {
        tracing::warn!(wanted = parameters.mode.as_str(), "acting as {}: {why}", mode.as_str());
    }
    let sight = Sight::open(mode, &parameters);
    let metrics = Metrics::new()?;
    metrics.set_mode(mode);
    probes::show_loading(&metrics);
    let duty = Arc::new(Duty { wanted: parameters.mode, mode, held_back, problems });
    let exchanges = Exchanges::new(metrics.clone());
    let pin = Pin::new(exchanges.clone(), metrics.clone());
    let own = Own::new(mode, place);
    let reports = reports::Wanted::open(&parameters.report, exchanges.begun(), &own.report, &metrics);
    let names = Names::new(parameters.ironic.api_urls.clone());
    let reach = Reach::new(mode);
    let wanted = parameters.advertise.clone();
    let watch = Watch::begin(wanted, names.subscribe(), pin.subscribe(), &reach, metrics.clone())?;
    let sources = Sources {
        duty,
        decisions: watch.subscribe(),
        held: pin.subscribe(),
        exchanges: exchanges.subscribe(),
        dropin: own.dropin.subscribe(),
        place: own.place.subscribe(),
        ipa: own.ipa.subscribe(),
        guard: own.guard.subscribe(),
        sight: own.sight.subscribe(),
        agent: own.agent.subscribe(),
        probes: own.probes.subscribe(),
        passed_by: own.passed_by.subscribe(),
        read_back: own.read_back.subscribe(),
        report: own.report.subscribe(),
        web: own.web.subscribe(),
    };
    let looks = Looks::default();
    let web = Web::begin(parameters.web_listen_address, parameters.web_config_file.clone());
    tracing::info!(mode = mode.as_str(), version = env!("CARGO_PKG_VERSION"), "started");
    let door = company.opens_the_door().then(|| status::open(&kept::directory())).flatten();

    let directory = &parameters.ipa.config_dir;
    let others = image.directories().chain([directory.as_path()]);
    dropin::remove_left_behind(others, writes_dropin(mode).then_some(directory));

    if let Some((_, redirect)) = &guard {
        tokio::select! {
            () = guard::end_idle(redirect, &own.kept, &parameters.ironic.api_urls) => {}
            () = signals.received() => return Ok(Ended::Signal),
        }
    }

    let resolv_conf = watch::Sender::new(0);
    let mut tasks = JoinSet::new();
    let registrar = Registrar {
        decisions: sources.decisions.clone(),
        operator_host: parameters.advertise.host.is_some(),
        pin: pin.clone(),
        exchanges,
    };
    let surroundings = Surroundings {
        registrar: registrar.clone(),
        targets: names.subscribe(),
        dropin: sources.dropin.clone(),
        kept: own.kept.clone(),
    };
    own.guard.send_modify(|state| state.off = guard_off);
    let surroundings = (surroundings, reach.clone(), metrics.clone(), sight.questions());
    let guard = start_mode(mode, client, guard, &parameters, surroundings, &own, &mut tasks)?;
    // Everything is open that wants a privilege here: sight, the redirect, the listeners, the watch.
    match privileges::drop_all() {
        Ok(()) => tracing::debug!("all capabilities are dropped"),
        Err(error) => tracing::error!(%error, "could not drop privileges; continuing with them"),
    }
    // The first thread for questions: without any the runtime would panic at one for which none can be started.
    tokio::task::spawn_blocking(|| ()).await.map_err(DaemonError::TaskDied)?;
    if writes_dropin(mode) {
        // Ahead of the first decision: it must not move away from what a running IPA has started with. After the drop: it
        // starts a thread, which would keep the privileges.
        let place = own.place.borrow().clone();
        tokio::select! {
            ipa = commitment::begin(&parameters.ipa_settings, &place, &own.kept, &pin) => drop(own.ipa.send_replace(ipa)),
            () = signals.received() => return Ok(Ended::Signal),
        }
    }
    let inlet = sight.start(
        names.subscribe(),
        own.running.subscribe(),
        registrar,
        &metrics,
        own.sight.clone(),
        &mut tasks,
    );
    let probed = (own.probes.clone(), metrics.clone());
    let inputs = probes::Inputs {
        targets: names.subscribe(),
        decisions: sources.decisions.clone(),
        onlookers: looks.subscribe(),
    };
    tasks.spawn(names.run(resolv_conf.subscribe()));
    tasks.spawn(watch.run());
    tasks.spawn(reach.run(sources.decisions.clone()));
    let settings = parameters.ipa_settings.clone();
    let makes_network = settings.makes_network();
    let reasons = ipa_status::Reasons {
        onlookers: looks.subscribe(),
        decisions: sources.decisions.clone(),
        exchanges: sources.exchanges.clone(),
    };
    tasks.spawn(ipa_status::follow(settings, reasons, own.ipa.clone(), metrics.clone()));
    tasks.spawn(place::follow(image, own.place.clone(), own.running.clone(), sources.ipa.clone()));
    if writes_dropin(mode) {
        tasks.spawn(commitment::follow(sources.ipa.clone(), sources.place.clone(), own.kept.clone(), pin));
    }
    let setting = passed_by::Setting { mode, api_urls: parameters.ironic.api_urls.clone(), known_elsewhere };
    let heard = passed_by::Heard {
        ipa: sources.ipa.clone(),
        running: own.running.subscribe(),
        exchanges: sources.exchanges.clone(),
        dropin: sources.dropin.clone(),
        guard: sources.guard.clone(),
        sight: sources.sight.clone(),
        probes: sources.probes.clone(),
        kept: own.kept.clone(),
    };
    tasks.spawn(passed_by::follow(setting, heard, own.passed_by.clone(), metrics.clone()));
    tasks.spawn(console::tell(mode, sources.decisions.clone()));
    let shown = Shown { sources: sources.clone(), metrics, looks };
    if let Some(door) = door {
        tasks.spawn(status::serve(door, shown.clone()));
    }
    let last_words = reports.start(shown.clone(), own.report.clone(), resolv_conf.subscribe(), &mut tasks);
    tasks.spawn(web.serve(shown, own.web.clone()));
    let wanted = systemd::Wanted {
        mode,
        wait: parameters.advertise.wait,
        makes_network,
        // IPA's first request must be seen, and it comes with READY.
        probes: loader.is_waited_for(),
    };
    tasks.spawn(systemd::tell(wanted, sources));

    let mut watchdog = notify::Watchdog::of_systemd();
    let mut inlet = Some(inlet);
    let mut end_sight = None;
    let ended = loop {
        tokio::select! {
            Some(Loaded { probes, tls, problems }) = loader.done(), if inlet.is_some() => {
                let (state, metrics) = &probed;
                end_sight = inlet.take().map(|inlet| inlet.take(tls, &mut tasks));
                probes.start(problems, inputs.clone(), metrics, state.clone(), &mut tasks);
            }
            () = signals.received() => break Ended::Signal,
            () = watchdog.due() => notify::alive(),
            touched = etc.touched() => match touched {
                Touched::Rescued => break Ended::Rescued,
                Touched::ResolvConf => {
                    tracing::info!("resolv.conf has changed");
                    resolv_conf.send_modify(|changes| *changes += 1);
                }
            },
            Some(task) = tasks.join_next() => if let Err(error) = task {
                // A daemon that goes on without one of its parts would say that all is well.
                return Err(DaemonError::TaskDied(error));
            },
        }
    };
    notify::stopping();
    if let Some(end_sight) = end_sight {
        end_sight();
    }
    let stopped = async {
        if let Some(guard) = guard {
            guard.stop().await;
        }
    };
    let said = async {
        if let Some(last_words) = last_words {
            last_words.say().await;
        }
    };
    tokio::join!(stopped, said);
    // Dropping the tasks drops agent and guard, and with them the token, which wipes itself.
    tasks.shutdown().await;
    if ended == Ended::Rescued {
        tracing::info!("found /etc/.rescued: this machine is on its tenant's network now");
        if writes_dropin(mode) {
            remove_dropin(&parameters);
        }
    }
    tracing::info!(?ended, "ended");
    Ok(ended)
}

/// The token is in the daemon's memory. 1 and not 0: with 0 the kernel still starts the program that `core_pattern` may name, with
/// 1 it does not (fs/coredump.c); either is too little for a file.
fn dump_no_core() {
    let most = getrlimit(Resource::Core).maximum.map_or(1, |maximum| maximum.min(1));
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    if let Err(error) = setrlimit(Resource::Core, limit) {
        tracing::warn!(%error, "could not disable core dumps");
    }
}

/// Who else is here.
enum Company {
    /// Nobody that does something: this one does, and holds the lock.
    None(#[expect(dead_code, reason = "it is held, not read")] Option<Single>),
    /// Another daemon, beside which this one only watches.
    Another,
}

impl Company {
    /// The socket of `ipa-sidecar status` is that of the daemon that does something.
    fn opens_the_door(&self) -> bool {
        matches!(self, Self::None(_))
    }
}

/// Mode observe does nothing, and holds nobody up.
///
/// # Errors
/// Where another daemon does its work already.
fn only_one(mode: Mode) -> Result<Company, DaemonError> {
    let directory = kept::directory();
    let outcome = match mode {
        Mode::Observe => single::try_take(&directory),
        _ => single::take(&directory),
    };
    match outcome {
        Outcome::Held(single) => Ok(Company::None((mode != Mode::Observe).then_some(single))),
        Outcome::Another if mode == Mode::Observe => Ok(Company::Another),
        Outcome::Another => Err(DaemonError::Another(directory.join(single::FILE))),
        Outcome::Unknown(error) => {
            tracing::debug!(%error, "whether another daemon is here is unknown");
            Ok(Company::None(None))
        }
    }
}

fn writes_dropin(mode: Mode) -> bool {
    matches!(mode, Mode::Configure | Mode::Guard)
}

fn remove_dropin(parameters: &Parameters) {
    if let Err(error) = dropin::remove(&parameters.ipa.config_dir) {
        tracing::error!(%error, "could not remove the drop-in");
    }
}

/// Where the tasks publish that only some modes have, whether they run or not; and what outlives them.
struct Own {
    dropin: watch::Sender<DropinState>,
    place: watch::Sender<Place>,
    running: watch::Sender<Running>,
    ipa: watch::Sender<IpaState>,
    guard: watch::Sender<GuardState>,
    sight: watch::Sender<SightState>,
    agent: watch::Sender<AgentState>,
    probes: watch::Sender<ProbesState>,
    passed_by: watch::Sender<Option<PassedBy>>,
    read_back: watch::Sender<ReadBackState>,
    report: watch::Sender<ReportState>,
    web: watch::Sender<Option<String>>,
    /// What outlives the daemon.
    kept: Kept,
}

impl Own {
    fn new(mode: Mode, place: Place) -> Self {
        let dropin = if writes_dropin(mode) { DropinPhase::Absent } else { DropinPhase::Off };
        Self {
            dropin: watch::Sender::new(DropinState::without(dropin)),
            place: watch::Sender::new(place),
            running: watch::Sender::default(),
            ipa: watch::Sender::default(),
            guard: watch::Sender::default(),
            sight: watch::Sender::new(SightState::loading()),
            agent: watch::Sender::default(),
            probes: watch::Sender::new(ProbesState::loading()),
            passed_by: watch::Sender::default(),
            read_back: watch::Sender::default(),
            report: watch::Sender::default(),
            web: watch::Sender::default(),
            kept: Kept::open(&kept::directory()),
        }
    }
}

/// Starts what the mode does beyond watching; gives the guard, which has to be stopped first.
///
/// # Errors
/// Where an IPA cannot be looked for.
fn start_mode(
    mode: Mode,
    client: Option<Client>,
    guard: Option<(TcpListener, Redirect)>,
    parameters: &Parameters,
    (surroundings, reach, metrics, sight): (Surroundings, Reach, Metrics, mpsc::Sender<Drain>),
    own: &Own,
    tasks: &mut JoinSet<()>,
) -> Result<Option<Arc<Guard>>, DaemonError> {
    let decisions = surroundings.registrar.decisions.clone();
    let directory = parameters.ipa.config_dir.clone();
    let token =
        watch::Sender::new(if writes_dropin(mode) { token::left(&directory, &own.kept) } else { None });
    let dropin_token = token.subscribe();
    let client = match client {
        Some(client) if writes_dropin(mode) => {
            let surroundings = read_back::Surroundings {
                decisions: decisions.clone(),
                ipa: own.ipa.subscribe(),
                dropin: own.dropin.subscribe(),
                pin: surroundings.registrar.pin.clone(),
                exchanges: surroundings.registrar.exchanges.clone(),
                kept: own.kept.clone(),
                metrics: metrics.clone(),
            };
            let reads = ReadBack::new(client, parameters, surroundings, token, own.read_back.clone())?;
            tasks.spawn(reads.run());
            None
        }
        client => client,
    };
    if writes_dropin(mode) {
        let surroundings = restart::Surroundings {
            decisions: decisions.clone(),
            ipa: own.ipa.subscribe(),
            dropin: own.dropin.subscribe(),
            sight: Some(sight),
            kept: own.kept.clone(),
            metrics: metrics.clone(),
        };
        let unit = parameters.ipa.restart_unit.clone();
        tasks.spawn(Restarter::new(unit, &parameters.ipa_settings, surroundings).run());
    }
    let guard = match (mode, client, guard) {
        (Mode::Observe, ..) => {
            if writes_dropin(parameters.mode) {
                remove_dropin(parameters); // Of an earlier run; nobody keeps it right now.
            }
            return Ok(None);
        }
        (Mode::Agent, Some(client), _) => {
            let Registrar { decisions, pin, exchanges, .. } = surroundings.registrar;
            let recorders = (pin, exchanges, metrics);
            let agent = Agent::new(client, parameters, (decisions, reach), recorders, own.agent.clone())?;
            tasks.spawn(agent.run());
            return Ok(None);
        }
        (Mode::Guard, _, Some((listener, redirect))) => {
            let address = listener.local_addr().unwrap_or(parameters.guard.listen_address);
            own.guard.send_modify(|state| state.listening = Some(address));
            let guard = Guard::new(redirect, parameters, surroundings, own.guard.clone());
            tasks.spawn(Arc::clone(&guard).follow());
            tasks.spawn(Arc::clone(&guard).serve(listener));
            Some(guard)
        }
        _ => None,
    };
    tasks.spawn(keeper::keep(
        directory,
        (decisions, dropin_token),
        own.dropin.clone(),
        metrics,
        own.kept.clone(),
    ));
    Ok(guard)
}

/// SIGTERM, SIGINT, and SIGHUP: there is nothing to read again, and the terminal that it was started from may be gone.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(DaemonError::Signal);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Runs a future on a runtime of one thread; blocking questions to the kernel have a thread of their own.
///
/// # Errors
/// Where the runtime cannot be made, or there is no thread to be had (RLIMIT_NPROC, TasksMax).
pub fn block_on<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // The look at connections, the console, one file, and the other questions.
        .max_blocking_threads(3 + kernel_thread::QUESTIONS)
        // Once there it stays: the next question must not fail for want of a thread.
        .thread_keep_alive(Duration::MAX)
        .build()?;
    // Without any thread of its kind the runtime would panic at the first question.
    let tried = std::thread::Builder::new().spawn(|| ());
    let tried = tried
        .map_err(|error| std::io::Error::new(error.kind(), format!("no thread can be started: {error}")))?;
    let _ = tried.join(); // It has nothing to panic about.
    let output = runtime.block_on(future);
    // A question that hangs in the kernel must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(500));
    Ok(output)
}
