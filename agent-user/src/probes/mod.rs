//! What the kernel saw: connects that failed, and whether the conductor ever reached the advertised port.
//!
//! An event's way: the programs of `agent-ebpf` (loaded by `load`) write it into a ring buffer, `drain` reads it, [`join`]
//! makes one failure out of what two sources tell, [`record`] counts and logs it. Without BPF the daemon
//! runs anyway, and [`report`] says what is missing.

#[cfg(feature = "ebpf")]
mod attach;
#[cfg(feature = "ebpf")]
mod bridge;
pub mod btf;
pub mod callbacks;
#[cfg(feature = "ebpf")]
pub mod drain;
pub mod format;
pub mod join;
#[cfg(feature = "ebpf")]
mod known;
#[cfg(feature = "ebpf")]
pub mod load;
#[cfg(feature = "ebpf")]
pub mod offsets;
pub mod outcome;
pub mod privileges;
pub mod record;
pub mod report;
pub mod sockets;
mod state;
#[cfg(feature = "ebpf")]
mod tracefs;

pub use report::{Path, Probe, Reason, Report, Unavailable};
pub use state::{ProbesState, Target};

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::onlooker::Onlookers;
use crate::params::{Parameters, ProbeChoice};
use crate::watch::{Published, ResolvedTarget};

use callbacks::Callbacks;

/// What the daemon's other parts give to what is started here.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Whose connects are of interest.
    pub targets: watch::Receiver<Vec<ResolvedTarget>>,
    /// The advertise address.
    pub decisions: watch::Receiver<Arc<Published>>,
    /// Who looks at what is found.
    pub onlookers: Onlookers,
}

/// What is attached, until it is started.
#[derive(Debug)]
pub struct Probes {
    #[cfg(feature = "ebpf")]
    attached: Option<load::Attached>,
    report: Report,
    port: u16,
}

impl Probes {
    /// Loads and attaches what can be, with the privileges of this thread. Blocks for some hundredths of a second.
    pub fn attach(parameters: &Parameters) -> Self {
        let port = parameters.advertise.port;
        if parameters.probe_connect == ProbeChoice::Off {
            let off = Unavailable::new(Reason::SwitchedOff, "--probe.connect=off");
            return Self::without(&off, port);
        }
        #[cfg(feature = "ebpf")]
        {
            match load::on_a_thread("the probes", || load::load(port)) {
                Ok(load::Loaded { attached, report }) => Self { attached: Some(attached), report, port },
                Err(unavailable) => Self::without(&unavailable, port),
            }
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let words = "this binary was built without the eBPF probes (cargo xtask build has them)";
            Self::without(&Unavailable::new(Reason::NotBuilt, words), port)
        }
    }

    /// Nothing is attached, for this reason.
    pub fn without(unavailable: &Unavailable, port: u16) -> Self {
        Self {
            #[cfg(feature = "ebpf")]
            attached: None,
            report: Report::none(unavailable),
            port,
        }
    }

    /// How it went.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What is loaded: sight has its programs there too.
    ///
    /// # Errors
    /// Why nothing is.
    #[cfg(feature = "ebpf")]
    pub fn object(&mut self) -> Result<&mut load::Object, Unavailable> {
        match &mut self.attached {
            Some(attached) => Ok(&mut attached.object),
            None => Err(self.report.missing()),
        }
    }

    /// Logs how it went, and starts what follows the events. What is seen appears in `state`, as do the `problems`.
    pub fn start(
        self,
        problems: Vec<String>,
        inputs: Inputs,
        metrics: &Metrics,
        state: watch::Sender<ProbesState>,
        tasks: &mut JoinSet<()>,
    ) {
        tell(&self.report);
        self.count(metrics);
        let callbacks = Callbacks::new(inputs.decisions, metrics.clone(), state.clone());
        let ebpf = self.report.attached(Probe::Callback);
        state.send_modify(|state| {
            state.loading = false;
            state.problems = problems;
            state.report = self.report.clone();
            state.callback.source = if ebpf { "ebpf" } else { "sock_diag" };
        });
        if !ebpf {
            tasks.spawn(sockets::follow(self.port, callbacks.clone(), inputs.onlookers));
        }
        #[cfg(feature = "ebpf")]
        if let Some(mut attached) = self.attached {
            attached.object.close_maps();
            let join = join::Join::new(self.report.attached(Probe::ErrorReport));
            let recorder = record::Recorder::new(join, inputs.targets, callbacks, metrics.clone(), state);
            tasks.spawn(drain::Drain::new(attached, recorder).run());
        }
    }

    fn count(&self, metrics: &Metrics) {
        for (probe, outcome) in &self.report.probes {
            let outcome =
                outcome.as_ref().map(|path| path.as_str()).map_err(|missing| missing.reason.as_str());
            metrics.show_probe(probe.as_str(), outcome, Some(Reason::NotYet.as_str()));
        }
        if self.report.attached(Probe::Connect) {
            metrics.begin_connect_failures(Target::Ironic.as_str());
        }
    }
}

/// Shows that they are being loaded.
pub fn show_loading(metrics: &Metrics) {
    for (probe, _) in &ProbesState::loading().report.probes {
        metrics.show_probe(probe.as_str(), Err(Reason::NotYet.as_str()), None);
    }
}

fn tell(report: &Report) {
    for (probe, outcome) in &report.probes {
        match outcome {
            Ok(path) => tracing::debug!(probe = probe.as_str(), path = path.as_str(), "attached"),
            Err(why) => tracing::debug!(probe = probe.as_str(), "not attached: {why}"),
        }
    }
    for sentence in report.lacking() {
        tracing::info!("{sentence}");
    }
    for note in &report.notes {
        tracing::info!("eBPF probes: {note}");
    }
}
