//! IPA's https exchanges in plain text: probes on libssl's functions, in whatever process calls them.
//!
//! A piece's way: the programs of `agent-ebpf` look at what a process writes, and copy what may be IPA's into slots. `drain`
//! takes it out of them, wipes them, and sends it on. `find` finds the file that IPA's interpreter links, so that the probes
//! are there before IPA is.

#[cfg(feature = "ebpf")]
mod drain;
#[cfg(feature = "ebpf")]
mod elf;
#[cfg(feature = "ebpf")]
mod find;
#[cfg(feature = "ebpf")]
mod later;
#[cfg(feature = "ebpf")]
mod load;
mod report;
#[cfg(feature = "ebpf")]
mod return_probe;
#[cfg(feature = "ebpf")]
pub mod slots;

use std::path::PathBuf;

use rustix::thread::Pid;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::chunk::Seen;
use crate::params::{Parameters, ProbeChoice};
use crate::probes::{Reason, Unavailable};

pub use report::Report;

/// What is attached, until it is started.
#[derive(Debug)]
pub struct Tls {
    #[cfg(feature = "ebpf")]
    attached: Option<load::Attached>,
    /// Who waits for an IPA that is still to come.
    later: Option<Waiting>,
}

/// The thread that keeps its privileges until IPA's container is there.
#[derive(Debug)]
struct Waiting {
    thread: Pid,
    answered: oneshot::Receiver<Report>,
}

impl Tls {
    /// Finds the libssl of IPA's interpreter and attaches to it. Blocks for some hundredths of a second; call it while there
    /// is no other thread and the privileges of the start are there. `in_container`: IPA's unit runs it in one, and it is
    /// waited for.
    pub fn attach(parameters: &Parameters, in_container: bool) -> (Self, Report) {
        if parameters.probe_connect == ProbeChoice::Off {
            return Self::without(&Unavailable::new(Reason::SwitchedOff, "--probe.connect=off"));
        }
        #[cfg(feature = "ebpf")]
        {
            if !in_container {
                return Self::attach_all(find::libraries());
            }
            let (later, answered) = later::Later::new(parameters.advertise.wait);
            let (attached, report, thread) = load::load(Vec::new(), Some(later));
            (Self { attached, later: thread.map(|thread| Waiting { thread, answered }) }, report)
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let _ = in_container;
            Self::attach_to(&[])
        }
    }

    /// The thread that still has privileges, to attach to an IPA that is still to come.
    pub fn privileged_thread(&self) -> Option<Pid> {
        self.later.as_ref().map(|waiting| waiting.thread)
    }

    /// Takes what will show how it went with that.
    pub fn take_later(&mut self) -> Option<oneshot::Receiver<Report>> {
        self.later.take().map(|waiting| waiting.answered)
    }

    /// Attaches to these files, which must be libssl; every process that maps one of them is seen.
    pub fn attach_to(libraries: &[PathBuf]) -> (Self, Report) {
        #[cfg(feature = "ebpf")]
        {
            Self::attach_all(libraries.iter().cloned().map(find::Library::at).collect())
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let _ = libraries;
            let words = "this binary was built without the eBPF probes (cargo xtask build has them)";
            Self::without(&Unavailable::new(Reason::NotBuilt, words))
        }
    }

    #[cfg(feature = "ebpf")]
    fn attach_all(libraries: Vec<find::Library>) -> (Self, Report) {
        let (attached, report, _) = load::load(libraries, None);
        (Self { attached, later: None }, report)
    }

    /// The slots, for the tests: what stays in them.
    #[cfg(feature = "ebpf")]
    pub fn slots(&self) -> Option<std::sync::Arc<slots::Slots>> {
        self.attached.as_ref().map(|attached| std::sync::Arc::clone(&attached.slots))
    }

    /// What begins the end of the probes, which takes the kernel some tenths of a second: beside what else has to end.
    pub fn ending(&self) -> impl FnOnce() + Send + use<> {
        #[cfg(feature = "ebpf")]
        let links = self.attached.as_ref().map(|attached| attached.links.clone());
        move || {
            #[cfg(feature = "ebpf")]
            if let Some(links) = links {
                // Where no thread starts, they end with their task.
                let _ = std::thread::Builder::new().spawn(move || links.end());
            }
        }
    }

    /// Nothing is attached, for this reason.
    pub fn without(unavailable: &Unavailable) -> (Self, Report) {
        let tls = Self {
            #[cfg(feature = "ebpf")]
            attached: None,
            later: None,
        };
        (tls, Report::none(unavailable))
    }

    /// Sends on what is seen, until the task ends; what the channel has no room for counts as lost.
    pub fn start(self, sender: mpsc::Sender<Seen>, tasks: &mut JoinSet<()>) {
        #[cfg(feature = "ebpf")]
        if let Some(attached) = self.attached {
            tasks.spawn(drain::Drain::new(attached, sender).run());
        }
        #[cfg(not(feature = "ebpf"))]
        let _ = (sender, tasks);
    }
}
