//! Sight: IPA's exchanges with Ironic are seen, with nothing in its way.
//!
//! A piece's way: a source ([`http`] on the wire, [`tls`] in libssl) gives it as a [`chunk`], [`flow`] (pure) finds requests
//! and answers in the pieces of one connection, [`parse`] (pure) makes one exchange of both, [`tracker`] says whose it is and
//! has it recorded.

pub mod chunk;
pub mod flow;
pub mod flows;
mod http;
pub mod parse;
mod state;
pub mod tls;
mod tracker;

pub use state::{SightState, SourceState};

use rustix::thread::Pid;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::ipa::place::Running;
use crate::ipa::restart::Drain;
use crate::metrics::Metrics;
use crate::params::{Mode, Parameters};
use crate::probes::{Probes, Reason, Unavailable};
use crate::registrar::Registrar;
use crate::watch::ResolvedTarget;

use tls::Tls;
use tracker::Tracker;

/// So many pieces wait for the tracker; a piece has at most 64 KiB.
const PIECES: usize = 64;

/// What looks, until it is started.
#[derive(Debug)]
pub struct Sight {
    http: Result<http::Capture, Unavailable>,
    tls: (Tls, tls::Report),
    questions: (mpsc::Sender<Drain>, mpsc::Receiver<Drain>),
}

impl Sight {
    /// Opens what the mode needs, with what the probes have loaded; call it before the privileges are dropped.
    /// `in_container`: IPA's unit runs it in one.
    pub fn open(mode: Mode, parameters: &Parameters, probes: &mut Probes, in_container: bool) -> Self {
        if mode == Mode::Agent {
            let why = Unavailable::new(Reason::SwitchedOff, "mode agent only records what it sends itself");
            return Self { tls: Tls::without(&why), http: Err(why), questions: mpsc::channel(1) };
        }
        let waited_for = in_container.then_some(parameters.advertise.wait);
        let (http, tls) = (http::open(parameters), Tls::attach(probes, waited_for));
        Self { http, tls, questions: mpsc::channel(1) }
    }

    /// Whether anything is open.
    pub fn any(&self) -> bool {
        self.http.is_ok() || self.tls.1.attached || self.privileged_thread().is_some()
    }

    /// The thread that keeps its privileges until IPA's container is there.
    pub fn privileged_thread(&self) -> Option<Pid> {
        self.tls.0.privileged_thread()
    }

    /// How it went: with the packet socket, and with the probes on libssl.
    pub fn report(&self) -> (Result<(), &Unavailable>, &tls::Report) {
        (self.http.as_ref().map(|_| ()), &self.tls.1)
    }

    /// Where it is asked what it has seen of an IPA; `None` where nothing looks.
    pub fn questions(&self) -> Option<mpsc::Sender<Drain>> {
        self.any().then(|| self.questions.0.clone())
    }

    /// Starts it; call it once the privileges are dropped. What is seen appears in `state`. Gives what begins its end.
    pub fn start(
        self,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        running: watch::Receiver<Running>,
        registrar: Registrar,
        metrics: &Metrics,
        state: watch::Sender<SightState>,
        tasks: &mut JoinSet<()>,
    ) -> impl FnOnce() + Send + use<> {
        let any = self.any();
        let (sender, seen) = mpsc::channel(PIECES);
        let (mut tls, report) = self.tls;
        let ending = tls.ending();
        state.send_modify(|state| state.take_tls(report));
        if let Some(later) = tls.take_later() {
            tasks.spawn(hear_later(later, state.clone()));
        }
        tls.start(sender.clone(), tasks);
        match self.http {
            Ok(capture) => {
                let reader =
                    http::Reader::new(capture, targets.clone(), sender, metrics.clone(), state.clone());
                tasks.spawn(reader.run());
            }
            Err(why) => {
                tracing::info!("cannot see exchanges with Ironic over http: {why}");
                state.send_modify(|state| state.http = SourceState::off(&why));
            }
        }
        if any {
            tasks.spawn(
                Tracker::new(targets, running, registrar, metrics.clone(), state, self.questions.1).run(seen),
            );
        }
        ending
    }
}

/// Shows what became of an IPA that was still to come.
async fn hear_later(later: oneshot::Receiver<tls::Report>, state: watch::Sender<SightState>) {
    if let Ok(report) = later.await {
        match &report.missing {
            Some(why) => tracing::warn!("cannot see exchanges of IPA's container over https: {why}"),
            None => tracing::info!(libraries = ?report.libraries, "watching the libssl of IPA's container"),
        }
        state.send_modify(|state| state.take_tls(report));
    }
}
