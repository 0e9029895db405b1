//! Loading the programs and attaching them to files.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::Builder;

use aya::Ebpf;
use aya::maps::{MapData, MapError, RingBuf};
use aya::programs::ProgramError;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeError, UProbeLink, UProbeScope};

use rustix::thread::{Pid, gettid};

use super::find::Library;
use super::later::Later;
use super::report::Report;
use super::return_probe;
use super::slots::Slots;
use crate::probes::load::{Object, classified, no_thread, on_a_thread, panicked, program, refused};
use crate::probes::{Reason, Unavailable};
use crate::system;

/// For messages.
const WHAT: &str = "the probes on libssl";
/// A program and the function that it goes to.
type Probe = (&'static str, &'static str);

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

/// What is attached. The kernel detaches it when its descriptors are closed, whatever ends the daemon.
pub struct Attached {
    pub links: Links,
    pub pieces: RingBuf<MapData>,
    pub slots: Arc<Slots>,
    /// The inode number of this network namespace; 0 where tasks' namespaces are not known.
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

/// Loads the programs and attaches them to these files.
///
/// The work is done on a thread of its own, as that of the other probes.
///
/// # Errors
/// Why nothing is attached.
pub fn load(object: &mut Object, libraries: &[Library]) -> Result<(Attached, Report), Unavailable> {
    if libraries.is_empty() {
        let words = "no libssl is found that IPA's interpreter may link";
        return Err(Unavailable::new(Reason::NoLibssl, words));
    }
    on_a_thread(WHAT, || {
        let (attached, survived) = prepare(object, libraries)?;
        let report = attach_all(object, &attached.links, &survived, libraries)?;
        Ok((attached, report))
    })
}

/// Loads the programs for an IPA that is still to come. The thread that does it keeps the privileges until then; its number
/// is given.
///
/// # Errors
/// Why nothing can be attached.
pub fn load_for(later: Later) -> Result<(Attached, Pid), Unavailable> {
    let (first, loaded) = mpsc::sync_channel(1);
    let work = move || {
        let prepared = Object::open().and_then(|mut object| {
            let (attached, survived) = prepare(&mut object, &[])?;
            Ok((object, attached, survived))
        });
        let (mut object, attached, survived) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return drop(first.send(Err(why))), // Nobody waits for it any more.
        };
        object.close_maps();
        let links = attached.links.clone();
        if first.send(Ok((attached, gettid()))).is_ok() {
            later.wait(|library| attach_all(&mut object, &links, &survived, &[library]));
        }
    };
    Builder::new().spawn(work).map_err(|error| no_thread(WHAT, &error))?;
    let loaded = loaded.recv().unwrap_or_else(|_panic| Err(panicked(WHAT)));
    system::give_back_memory();
    loaded
}

/// Loads what these libraries have functions for, all where there are none; and whether answers can be seen.
fn prepare(
    object: &mut Object,
    libraries: &[Library],
) -> Result<(Attached, Result<(), Unavailable>), Unavailable> {
    let namespace = object.namespace.clone().unwrap_or(0);
    let ebpf = &mut object.ebpf;
    // Only what is called: the kernel takes some hundredths of a second to verify each one.
    let is_called =
        |function| libraries.is_empty() || libraries.iter().any(|library| library.calls(function));
    for (name, _) in REQUESTS.iter().chain(&ANSWERS).filter(|(_, function)| is_called(function)) {
        let program = uprobe(ebpf, name)?;
        if program.fd().is_err() {
            program.load().map_err(|error| refused(name, &error))?;
        }
    }
    let pieces = ebpf.take_map("TLS_PIECES").ok_or(MapError::InvalidName { name: "TLS_PIECES".to_owned() });
    let pieces = pieces.and_then(RingBuf::try_from).map_err(|error| classified(&error))?;
    let slots = Arc::new(Slots::of(ebpf)?);
    let attached = Attached { links: Links::default(), pieces, slots, namespace };

    let own = return_probe::attach(uprobe(ebpf, "tls_read_return")?);
    let survived = own.and_then(|link| {
        attached.links.keep([link]); // It ends with the others: the kernel takes its time.
        return_probe::survived()
    });
    Ok((attached, survived))
}

/// Attaches to each of these files.
fn attach_all(
    object: &mut Object,
    kept: &Links,
    survived: &Result<(), Unavailable>,
    libraries: &[Library],
) -> Result<Report, Unavailable> {
    let answers_missing = survived.clone().err();
    let answers = answers_missing.is_none();
    let mut report = Report { attached: true, answers, answers_missing, ..Report::default() };
    if let Err(why) = &object.namespace {
        report.notes.push(format!("{why}: whether a process is in this network namespace is not known"));
    }
    for library in libraries {
        match attach(&mut object.ebpf, library, answers) {
            Ok(links) => {
                kept.keep(links);
                report.libraries.push(library.path.clone());
                report.interpreters.extend(library.interpreter.clone());
            }
            Err(why) => report.notes.push(format!("{}: {why}", library.path.display())),
        }
    }
    if report.libraries.is_empty() {
        let why = report.notes.pop().unwrap_or_default();
        return Err(Unavailable::new(Reason::NoFunction, why));
    }
    Ok(report)
}

/// Attaches to one file more, with the privileges that this needs; all of it or nothing. Functions that IPA's interpreter
/// does not call are left out: the kernel takes a tenth of a second to let each one go.
///
/// # Errors
/// Where the file is no libssl, or the kernel refuses.
fn attach(ebpf: &mut Ebpf, library: &Library, answers: bool) -> Result<Vec<UProbeLink>, Unavailable> {
    let wanted: &[Probe] = if answers { &ANSWERS } else { &[] };
    let wanted = wanted.iter().chain(&REQUESTS).filter(|(_, function)| library.calls(function));
    let links = wanted.map(|(name, function)| {
        let location = UProbeAttachLocation::Symbol(function);
        attached(uprobe(ebpf, name)?, location, &library.path).map_err(|error| why(function, &error))
    });
    links.collect()
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
