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
mod load;
mod report;
#[cfg(feature = "ebpf")]
mod return_probe;
#[cfg(feature = "ebpf")]
pub mod slots;

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::chunk::Seen;
#[cfg(not(feature = "ebpf"))]
use crate::probes::Reason;
#[cfg(feature = "ebpf")]
use crate::probes::load::Object;
use crate::probes::{Probes, Unavailable};

pub use report::Report;

/// What is attached, until it is started.
#[derive(Debug)]
pub struct Tls {
    #[cfg(feature = "ebpf")]
    attached: Option<load::Attached>,
}

impl Tls {
    /// Finds the libssl of IPA's interpreter and attaches to it, with what the probes have loaded. Blocks for some hundredths
    /// of a second; call it while there is no other thread and the privileges of the start are there.
    pub fn attach(probes: &mut Probes) -> (Self, Report) {
        #[cfg(feature = "ebpf")]
        {
            Self::attach_all(probes.object(), &find::libraries())
        }
        #[cfg(not(feature = "ebpf"))]
        {
            Self::without(&probes.report().missing())
        }
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
            Ok((attached, report)) => (Self { attached: Some(attached) }, report),
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
