//! Loading the programs and attaching them to files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use aya::maps::{MapData, MapError, RingBuf};
use aya::programs::ProgramError;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeError, UProbeLink, UProbeScope};
use aya::{Ebpf, EbpfLoader};
use rustix::thread::{Pid, gettid};

use super::find::Library;
use super::later::Later;
use super::report::Report;
use super::return_probe;
use super::slots::Slots;
use crate::probes::load::{
    OBJECT, classified, close_maps, lift_memory_limit, may_use_bpf, program, refused, structures,
};
use crate::probes::{Reason, Unavailable};
use crate::system;

/// A program and the function that it goes to.
type Probe = (&'static str, &'static str);

const PROGRAMS: [&str; 6] =
    ["tls_write", "tls_write_ex", "tls_free", "tls_read", "tls_read_ex", "tls_read_return"];
/// What is needed to see requests. The functions with `_ex` came with OpenSSL 1.1.1.
const REQUESTS: [Probe; 3] =
    [("tls_write", "SSL_write"), ("tls_write_ex", "SSL_write_ex"), ("tls_free", "SSL_free")];
/// What is needed to see answers, the returns first: who has entered is waited for.
const ANSWERS: [Probe; 4] = [
    ("tls_read_return", "SSL_read"),
    ("tls_read_return", "SSL_read_ex"),
    ("tls_read", "SSL_read"),
    ("tls_read_ex", "SSL_read_ex"),
];

/// What is attached. The kernel detaches it when its descriptors are closed, whatever our end.
pub struct Attached {
    pub links: Links,
    pub pieces: RingBuf<MapData>,
    pub slots: Arc<Slots>,
    /// The inode number of our network namespace; 0 where tasks' namespaces are not known.
    pub namespace: u32,
}

/// What holds the programs in place; cheap to clone.
#[derive(Clone, Default)]
pub struct Links(Arc<Mutex<Vec<UProbeLink>>>);

impl Links {
    /// Ends all of them, or waits until another thread has. The kernel takes a tenth of a second for each, one at a time.
    pub fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn keep(&self, links: impl IntoIterator<Item = UProbeLink>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(links);
    }
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// Loads the programs and attaches them to these files; or with `later` to the libssl of an IPA that is still to come.
///
/// The work is done on a thread of its own, as that of the other probes. It has ended by then, unless it waits for an IPA:
/// then its number is given.
pub fn load(libraries: Vec<Library>, later: Option<Later>) -> (Option<Attached>, Report, Option<Pid>) {
    if libraries.is_empty() && later.is_none() {
        let words = "no libssl is found that IPA's interpreter may link";
        return (None, Report::none(&Unavailable::new(Reason::NoLibssl, words)), None);
    }
    let waits = later.is_some();
    let (first, loaded) = mpsc::sync_channel(1);
    let thread = std::thread::spawn(move || {
        let (answer, programs) = match load_here(&libraries, waits) {
            Ok((attached, report, programs)) => (Ok((attached, report, gettid())), Some(programs)),
            Err(unavailable) => (Err(unavailable), None),
        };
        let is_heard = first.send(answer).is_ok();
        if let (true, Some(programs), Some(later)) = (is_heard, programs, later) {
            later.wait(programs);
        }
    });
    let loaded = loaded.recv();
    if !waits {
        let _ = thread.join(); // What it has found is here.
    }
    system::give_back_memory();
    match loaded {
        Ok(Ok((attached, report, thread))) => (Some(attached), report, waits.then_some(thread)),
        Ok(Err(unavailable)) => (None, Report::none(&unavailable), None),
        Err(_panic) => {
            let words = "loading the probes on libssl panicked, which is a defect";
            (None, Report::none(&Unavailable::new(Reason::Error, words)), None)
        }
    }
}

fn load_here(libraries: &[Library], waits: bool) -> Result<(Attached, Report, Programs), Unavailable> {
    lift_memory_limit();
    may_use_bpf()?;
    let mut notes = Vec::new();
    let structures = structures().map_err(|why| {
        notes.push(format!("{why}: whether a process is in this network namespace is not known"));
    });
    let mut loader = EbpfLoader::new();
    if let Ok((offsets, namespace)) = &structures {
        loader.override_global("OFFSETS", offsets.values(), true);
        loader.override_global("NETWORK_NAMESPACE", namespace, true);
    }
    let mut ebpf = loader.load(OBJECT).map_err(|error| classified(&error))?;
    for name in PROGRAMS {
        uprobe(&mut ebpf, name)?.load().map_err(|error| refused(name, &error))?;
    }
    let pieces = ebpf.take_map("TLS_PIECES").ok_or(MapError::InvalidName { name: "TLS_PIECES".to_owned() });
    let pieces = pieces.and_then(RingBuf::try_from).map_err(|error| classified(&error))?;
    let slots = Arc::new(Slots::of(&mut ebpf)?);
    close_maps(&mut ebpf);
    let namespace = structures.map_or(0, |(_, namespace)| namespace);
    let links = Links::default();
    let attached = Attached { links: links.clone(), pieces, slots, namespace };

    let own = return_probe::attach(uprobe(&mut ebpf, "tls_read_return")?);
    let survived = own.and_then(|link| {
        links.keep([link]); // It ends with the others: the kernel takes its time.
        return_probe::survived()
    });
    let mut programs = Programs { ebpf, links, answers_missing: survived.err() };
    if waits {
        let words = "IPA runs in a container, whose libssl is not known yet";
        let report = Report::none(&Unavailable::new(Reason::NotYet, words));
        return Ok((attached, report, programs));
    }
    let mut report = programs.attach(libraries);
    if let Some(why) = report.missing {
        return Err(why);
    }
    report.notes.splice(0..0, notes);
    Ok((attached, report, programs))
}

/// The programs, and what holds those in place that are attached.
pub struct Programs {
    ebpf: Ebpf,
    links: Links,
    answers_missing: Option<Unavailable>,
}

impl Programs {
    /// Attaches to each of these files that is a libssl.
    pub fn attach(&mut self, libraries: &[Library]) -> Report {
        let mut report = Report::default();
        for library in libraries {
            match self.attach_to(library) {
                Ok(()) => {
                    report.libraries.push(library.path.clone());
                    report.interpreters.extend(library.interpreter.clone());
                }
                Err(why) => report.notes.push(format!("{}: {why}", library.path.display())),
            }
        }
        if report.libraries.is_empty() {
            let why = report.notes.pop().unwrap_or_default();
            return Report::none(&Unavailable::new(Reason::NoFunction, why));
        }
        report.attached = true;
        report.answers = self.answers_missing.is_none();
        report.answers_missing = self.answers_missing.clone();
        report
    }

    /// Attaches to one file more, with the privileges that this needs; all of it or nothing. Functions that IPA's interpreter
    /// does not call are left out: the kernel takes a tenth of a second to let each one go.
    ///
    /// # Errors
    /// Where the file is no libssl, or the kernel refuses.
    fn attach_to(&mut self, library: &Library) -> Result<(), Unavailable> {
        let wanted: &[Probe] = if self.answers_missing.is_none() { &ANSWERS } else { &[] };
        let mut links = Vec::new();
        let is_called =
            |function: &str| library.called.as_ref().is_none_or(|all| all.iter().any(|one| one == function));
        for (name, function) in wanted.iter().chain(&REQUESTS).filter(|(_, function)| is_called(function)) {
            let location = UProbeAttachLocation::Symbol(function);
            let link = attached(uprobe(&mut self.ebpf, name)?, location, &library.path);
            links.push(link.map_err(|error| why(function, &error))?);
        }
        self.links.keep(links);
        Ok(())
    }
}

/// Attaches a program; its link ends when it is dropped.
pub(super) fn attached(
    program: &mut UProbe,
    location: UProbeAttachLocation<'_>,
    file: &Path,
) -> Result<UProbeLink, ProgramError> {
    let link = program.attach(location, file, UProbeScope::AllProcesses)?;
    program.take_link(link)
}

fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, Unavailable> {
    program(ebpf, name)
}

fn why(function: &str, error: &ProgramError) -> Unavailable {
    match error {
        ProgramError::UProbeError(UProbeError::SymbolError { .. }) => {
            Unavailable::new(Reason::NoFunction, format!("it has no function {function}"))
        }
        other => classified(other),
    }
}
