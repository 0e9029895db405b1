//! What the kernel saw: connects that failed, and whether the conductor ever reached the advertised port.
//!
//! An event's way: the programs of `agent-ebpf` (loaded by `load`) write it into a ring buffer, `drain` reads it, [`join`]
//! makes one failure out of what two sources tell, [`record`] counts and tells it. Where BPF is not to be had the daemon
//! runs all the same, and [`report`] says what is missing.

#[cfg(feature = "ebpf")]
mod bridge;
pub mod btf;
pub mod callbacks;
#[cfg(feature = "ebpf")]
pub mod drain;
pub mod errno;
pub mod format;
pub mod join;
#[cfg(feature = "ebpf")]
pub mod load;
pub mod offsets;
pub mod poll;
pub mod privileges;
pub mod record;
pub mod report;
pub mod tracefs;

pub use report::{Probe, Reason, Report, Unavailable};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::params::{Parameters, ProbeChoice};
use crate::status::Status;
use crate::watch::ResolvedTarget;

use callbacks::Callbacks;

/// What is attached, until it is started.
#[derive(Debug)]
pub struct Probes {
    #[cfg(feature = "ebpf")]
    attached: Option<load::Attached>,
    report: Report,
    port: u16,
}

impl Probes {
    /// Loads and attaches what can be. Blocks for some hundredths of a second; call it while there is no other thread.
    pub fn attach(parameters: &Parameters) -> Self {
        let port = parameters.advertise.port;
        if parameters.probe_connect == ProbeChoice::Off {
            let off = Unavailable::new(Reason::SwitchedOff, "--probe.connect=off");
            return Self::without(&off, port);
        }
        #[cfg(feature = "ebpf")]
        {
            let (attached, report) = load::load(port);
            Self { attached, report, port }
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let words = "this binary was built without the eBPF probes (cargo xtask build has them)";
            Self::without(&Unavailable::new(Reason::NotBuilt, words), port)
        }
    }

    fn without(unavailable: &Unavailable, port: u16) -> Self {
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

    /// Says how it went, and starts what follows the events.
    pub fn start(
        self,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        metrics: &Metrics,
        status: &Status,
        tasks: &mut JoinSet<()>,
    ) {
        tell(&self.report);
        metrics.show_probes(&self.report);
        let source = if self.report.attached(Probe::Callback) {
            "ebpf"
        } else {
            tasks.spawn(poll::follow(self.port, Callbacks::new(metrics.clone(), status.clone())));
            "sock_diag"
        };
        let report = self.report.clone();
        status.update(|status| {
            status.probes.report = report;
            status.probes.callback.source = source;
        });
        #[cfg(feature = "ebpf")]
        if let Some(attached) = self.attached {
            let errors_are_reported = self.report.attached(Probe::ErrorReport);
            let recorder =
                record::Recorder::new(errors_are_reported, targets, metrics.clone(), status.clone());
            tasks.spawn(drain::Drain::new(attached, recorder).run());
        }
        #[cfg(not(feature = "ebpf"))]
        drop(targets);
    }
}

fn tell(report: &Report) {
    for (probe, outcome) in &report.probes {
        match outcome {
            Ok(()) => tracing::debug!(probe = probe.as_str(), "attached"),
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
