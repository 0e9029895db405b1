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

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::ipa::place::Running;
use crate::ipa::restart::Drain;
use crate::metrics::Metrics;
use crate::params::{Mode, Parameters};
use crate::probes::{Reason, Unavailable};
use crate::registrar::Registrar;
use crate::watch::ResolvedTarget;

use chunk::Seen;
use tls::Tls;
use tracker::Tracker;

/// So many pieces wait for the tracker; a piece has at most 64 KiB.
const PIECES: usize = 64;

/// What looks, until it is started.
#[derive(Debug)]
pub struct Sight {
    http: Result<http::Capture, Unavailable>,
    questions: (mpsc::Sender<Drain>, mpsc::Receiver<Drain>),
}

impl Sight {
    /// Opens what the mode needs at the network; call it before the privileges are dropped.
    pub fn open(mode: Mode, parameters: &Parameters) -> Self {
        let http = match mode {
            Mode::Agent => {
                Err(Unavailable::new(Reason::SwitchedOff, "mode agent only records what it sends itself"))
            }
            _ => http::open(parameters),
        };
        Self { http, questions: mpsc::channel(1) }
    }

    /// How it went.
    pub fn report(&self) -> Result<(), &Unavailable> {
        self.http.as_ref().map(|_| ())
    }

    /// Where it is asked what it has seen of an IPA.
    pub fn questions(&self) -> mpsc::Sender<Drain> {
        self.questions.0.clone()
    }

    /// Starts it; call it once the privileges are dropped. What is seen appears in `state`. Gives what takes the probes on
    /// libssl, once they are loaded.
    pub fn start(
        self,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        running: watch::Receiver<Running>,
        registrar: Registrar,
        metrics: &Metrics,
        state: watch::Sender<SightState>,
        tasks: &mut JoinSet<()>,
    ) -> Inlet {
        let (sender, seen) = mpsc::channel(PIECES);
        match self.http {
            Ok(capture) => {
                let reader = http::Reader::new(
                    capture,
                    targets.clone(),
                    sender.clone(),
                    metrics.clone(),
                    state.clone(),
                );
                tasks.spawn(reader.run());
            }
            Err(why) => {
                tracing::info!("cannot see exchanges with Ironic over http: {why}");
                state.send_modify(|state| state.http = SourceState::off(&why));
            }
        }
        let tracker =
            Tracker::new(targets, running, registrar, metrics.clone(), state.clone(), self.questions.1);
        tasks.spawn(tracker.run(seen));
        Inlet { sender, state }
    }
}

/// Takes what passes through libssl. The tracker waits for it.
#[derive(Debug)]
pub struct Inlet {
    sender: mpsc::Sender<Seen>,
    state: watch::Sender<SightState>,
}

impl Inlet {
    /// Starts the probes on libssl, and shows how it went. Gives what begins their end.
    pub fn take(
        self,
        (mut tls, report): (Tls, tls::Report),
        tasks: &mut JoinSet<()>,
    ) -> impl FnOnce() + Send + use<> {
        let ending = tls.ending();
        self.state.send_modify(|state| state.take_tls(report));
        if let Some(later) = tls.take_later() {
            tasks.spawn(hear_later(later, self.state));
        }
        tls.start(self.sender, tasks);
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
