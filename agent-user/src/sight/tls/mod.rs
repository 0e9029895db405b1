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
use std::time::Duration;

use rustix::thread::Pid;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::chunk::Seen;
#[cfg(feature = "ebpf")]
use crate::probes::load::Object;
use crate::probes::{Probes, Reason, Unavailable};

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
    /// Finds the libssl of IPA's interpreter and attaches to it, with what the probes have loaded. Blocks for some hundredths
    /// of a second, and needs the privileges of the start. `waited_for`: IPA's unit
    /// runs it in a container, which is waited for so long.
    pub fn attach(probes: &mut Probes, waited_for: Option<Duration>) -> (Self, Report) {
        #[cfg(feature = "ebpf")]
        match (probes.object(), waited_for) {
            (Ok(_), Some(wait)) => Self::wait_for(wait),
            (object, _) => Self::attach_all(object, &find::libraries()),
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let _ = waited_for;
            Self::without(&probes.report().missing())
        }
    }

    #[cfg(feature = "ebpf")]
    fn wait_for(wait: Duration) -> (Self, Report) {
        let (later, answered) = later::Later::new(wait);
        match load::load_for(later) {
            Ok((attached, thread)) => {
                let words = "IPA runs in a container, whose libssl is not known yet";
                let report = Report::none(&Unavailable::new(Reason::NotYet, words));
                (Self { attached: Some(attached), later: Some(Waiting { thread, answered }) }, report)
            }
            Err(unavailable) => Self::without(&unavailable),
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

    /// Attaches to these files, which must be libssl; every process that maps one of them is seen. For the tests.
    pub fn attach_to(libraries: &[PathBuf]) -> (Self, Report) {
        #[cfg(feature = "ebpf")]
        {
            let libraries: Vec<_> = libraries.iter().cloned().map(find::Library::at).collect();
            let mut object = Object::open();
            Self::attach_all(object.as_mut().map_err(|why| why.clone()), &libraries)
        }
        #[cfg(not(feature = "ebpf"))]
        {
            let _ = libraries;
            let words = "this binary was built without the eBPF probes (cargo xtask build has them)";
            Self::without(&Unavailable::new(Reason::NotBuilt, words))
        }
    }

    #[cfg(feature = "ebpf")]
    fn attach_all(object: Result<&mut Object, Unavailable>, libraries: &[find::Library]) -> (Self, Report) {
        match object.and_then(|object| load::load(object, libraries)) {
            Ok((attached, report)) => (Self { attached: Some(attached), later: None }, report),
            Err(unavailable) => Self::without(&unavailable),
        }
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
