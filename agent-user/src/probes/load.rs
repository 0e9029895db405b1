//! Loading and attaching the BPF programs, as far as this kernel and these privileges allow.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::thread::Builder;

use aya::maps::{Map, MapData, MapError, MapType, RingBuf};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::attach::{self, Records};
use super::bridge::ToTracing;
use super::known::{self, Known};
use super::offsets::Offsets;
use super::report::{Reason, Report, Unavailable};
use crate::private_mount::mount_privately;
use crate::system::{self, SharedWords};

/// The programs, as `agent-ebpf` has them; the object is put here by the build script.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent-ebpf"));
/// The object: its maps are there, and its programs know this kernel.
pub struct Object {
    pub ebpf: Ebpf,
    /// The inode number of our network namespace, which the programs know; or why they know no structures.
    pub namespace: Result<u32, Unavailable>,
}

impl Object {
    /// For programs that want to know structures only, and that on their own.
    ///
    /// # Errors
    /// Where there is no BPF.
    pub fn open() -> Result<Self, Unavailable> {
        lift_memory_limit();
        may_use_bpf()?;
        let mut offsets = Offsets::new();
        let members = Known::read(&mut offsets).map(drop);
        Self::with(&offsets, members, 0)
    }

    /// Makes the maps.
    fn with(offsets: &Offsets, members: Result<(), Unavailable>, port: u16) -> Result<Self, Unavailable> {
        let namespace = members.map(|()| own_namespace());
        let opened = loader()
            .override_global("OFFSETS", offsets.values(), true)
            .override_global("NETWORK_NAMESPACE", namespace.as_ref().unwrap_or(&0), true)
            .override_global("PORT", &port, true)
            .load(OBJECT);
        Ok(Self { ebpf: opened.map_err(|error| classified(&error))?, namespace })
    }

    /// Closes the maps that nobody has taken. Programs that are loaded keep those that they use.
    pub fn close_maps(&mut self) {
        let names: Vec<_> = self.ebpf.maps().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            drop(self.ebpf.take_map(&name));
        }
    }
}

/// What is attached; detached when dropped.
pub struct Attached {
    /// Where sight has its programs too.
    pub object: Object,
    pub events: RingBuf<MapData>,
    /// The count of what was lost.
    lost: SharedWords,
    /// What the programs log.
    pub log: Option<EbpfLogger<ToTracing>>,
}

impl Attached {
    /// How many events were lost until now.
    pub fn lost(&self) -> u64 {
        self.lost.words().first().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How often the kernel skipped a program because it came in an interrupt of another BPF program on the same
    /// processor (`bpf_prog_active`, kernel/trace/bpf_trace.c). Reported for tracepoints since Linux 6.6.
    pub fn skipped(&self) -> u64 {
        let programs = self.object.ebpf.programs().map(|(_, program)| program);
        // What sight lacks it notices itself.
        let own = programs.filter(|program| !matches!(program, Program::UProbe(_)));
        let descriptors = own.filter_map(|program| program.fd().ok());
        let reported = descriptors.filter_map(|descriptor| {
            let path = format!("/proc/self/fdinfo/{}", descriptor.as_fd().as_raw_fd());
            recursion_misses(&std::fs::read_to_string(path).ok()?)
        });
        reported.sum()
    }
}

/// `recursion_misses` of a program's fdinfo, which can be read without privilege (`bpf_prog_show_fdinfo`,
/// kernel/bpf/syscall.c).
fn recursion_misses(fdinfo: &str) -> Option<u64> {
    let mut values = fdinfo.lines().filter_map(|line| line.strip_prefix("recursion_misses:"));
    values.next()?.trim().parse().ok()
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// What is attached, and how it went with each probe.
#[derive(Debug)]
pub struct Loaded {
    pub attached: Attached,
    pub report: Report,
}

/// Loads and attaches what can be. `port` is the advertised one. To be called on a thread that ends soon: it may get a mount
/// namespace of its own.
///
/// # Errors
/// Why nothing is.
pub fn load(port: u16) -> Result<Loaded, Unavailable> {
    lift_memory_limit();
    may_use_bpf()?;
    let mut offsets = Offsets::new();
    let known = Known::read(&mut offsets);
    let why = match &known {
        Ok(known) => {
            let mut object = Object::with(&offsets, Ok(()), port)?;
            match attach::typed(&mut object.ebpf, known) {
                Ok(report) => return finish(object, report),
                Err(why) => why,
            }
        }
        Err(no_btf) => no_btf.clone(),
    };
    tracing::debug!("the typed tracepoints cannot be used, the slower ones are tried: {why}");
    let records = Records::read(&mut offsets);
    let mut object = Object::with(&offsets, known.map(drop), port)?;
    let report = attach::by_record(&mut object.ebpf, &records, &why);
    finish(object, report)
}

fn finish(mut object: Object, report: Report) -> Result<Loaded, Unavailable> {
    let ebpf = &mut object.ebpf;
    let log = EbpfLogger::init_with_logger(ebpf, ToTracing).ok();
    let events = ebpf.take_map("EVENTS").ok_or(MapError::InvalidName { name: "EVENTS".to_owned() });
    let events = events.and_then(RingBuf::try_from).map_err(|error| classified(&error))?;
    let lost = map_array(ebpf, "LOST", 1)?;
    Ok(Loaded { attached: Attached { object, events, lost, log }, report })
}

/// A loader that does not parse the kernel's types, which takes aya 14 ms and 18 MiB and which our programs, without
/// relocations, have no use for. aya looks for them whenever it makes a loader, so that is done on a thread that does not see
/// them; where it may not have a mount namespace of its own, they are parsed.
pub fn loader<'a>() -> EbpfLoader<'a> {
    let hidden = || {
        let _ = mount_privately("tmpfs", known::DIRECTORY);
        EbpfLoader::new()
    };
    let made = std::thread::scope(|scope| Builder::new().spawn_scoped(scope, hidden).ok()?.join().ok());
    made.unwrap_or_else(EbpfLoader::new)
}

/// Loads or attaches on a thread of its own, which has ended by then, and gives back what memory that took.
///
/// # Errors
/// Of the work; where there is no thread.
pub fn on_a_thread<T: Send>(
    what: &str,
    work: impl FnOnce() -> Result<T, Unavailable> + Send,
) -> Result<T, Unavailable> {
    let done = std::thread::scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, work);
        let thread = thread.map_err(|error| no_thread(what, &error))?;
        thread.join().unwrap_or_else(|_panic| Err(panicked(what)))
    });
    system::give_back_memory();
    done
}

/// There is no thread.
pub fn no_thread(what: &str, error: &io::Error) -> Unavailable {
    Unavailable::new(Reason::Error, format!("there is no thread to load {what}: {error}"))
}

/// The thread panicked.
pub fn panicked(what: &str) -> Unavailable {
    Unavailable::new(Reason::Error, format!("loading {what} panicked, which is a defect"))
}

/// The inode number of our network namespace; 0 where that is not known.
fn own_namespace() -> u32 {
    std::fs::metadata("/proc/self/ns/net").map_or(0, |file| u32::try_from(file.ino()).unwrap_or(0))
}

/// Before Linux 5.11 maps count as locked memory, of which even root has 64 KiB by default. Where the limit cannot be
/// lifted, creating a map tells.
pub fn lift_memory_limit() {
    let none = Rlimit { current: None, maximum: None };
    let _ = setrlimit(Resource::Memlock, none);
}

/// Whether this process may create the newest kind of map that is needed.
pub fn may_use_bpf() -> Result<(), Unavailable> {
    match aya::sys::is_map_supported(MapType::RingBuf) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Unavailable::new(
            Reason::NoBpf,
            "this kernel has no BPF ring buffer (Linux 5.8 and newer have)",
        )),
        Err(error) => Err(classified(&error)),
    }
}

/// A program of the object.
///
/// # Errors
/// Where there is none of that name and kind, which is a defect.
pub fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, Unavailable>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| {
        let words = format!("the object has no program {name}, which is a defect");
        Unavailable::new(Reason::Error, words)
    })?;
    program.try_into().map_err(|error: ProgramError| classified(&error))
}

/// Maps the first words of an array of the object.
///
/// # Errors
/// Where the object has no such array, or the kernel (before Linux 5.5) does not map it.
pub fn map_array(ebpf: &mut Ebpf, name: &str, words: usize) -> Result<SharedWords, Unavailable> {
    let Some(Map::Array(array)) = ebpf.take_map(name) else {
        return Err(Unavailable::new(
            Reason::Error,
            format!("the object has no array {name}, which is a defect"),
        ));
    };
    SharedWords::map(array.fd().as_fd(), words).map_err(|error| {
        Unavailable::new(Reason::NoBpf, format!("the array {name} cannot be mapped: {error}"))
    })
}

/// Why a program could not be loaded; of what the verifier says, the last line.
pub fn refused(name: &str, error: &ProgramError) -> Unavailable {
    match error {
        ProgramError::LoadError { io_error, verifier_log } if !is_permission(io_error) => {
            let log = verifier_log.to_string();
            let mut lines = log.lines().rev();
            let last = lines.find(|line| !line.starts_with("processed ")).unwrap_or_default();
            Unavailable::new(Reason::Verifier, format!("program {name}: {io_error}: {last}"))
        }
        other => classified(other),
    }
}

fn is_permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The class of an error of aya's, by the error number at its bottom.
pub fn classified(error: &(dyn Error + 'static)) -> Unavailable {
    let mut words = error.to_string();
    let mut cause = Some(error);
    let mut number = None;
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            number = io.raw_os_error();
        }
        cause = current.source();
        if let Some(next) = cause {
            words = format!("{words}: {next}");
        }
    }
    let reason = match number.map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) if is_locked_down() => Reason::Lockdown,
        Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Reason::NotPermitted,
        Some(rustix::io::Errno::NOSYS) => Reason::NoBpf,
        _ => Reason::Error,
    };
    Unavailable::new(reason, words)
}

/// Lockdown in mode confidentiality forbids BPF to read kernel memory (kernel_lockdown(7)).
fn is_locked_down() -> bool {
    std::fs::read_to_string("/sys/kernel/security/lockdown")
        .is_ok_and(|text| text.contains("[confidentiality]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_runs_are_read_from_fdinfo() {
        // Captured on Linux 6.18: the end of /proc/PID/fdinfo/FD of a program.
        let text =
            "prog_id:\t104\nrun_time_ns:\t0\nrun_cnt:\t0\nrecursion_misses:\t17\nverified_insns:\t1100\n";
        assert_eq!(recursion_misses(text), Some(17));
        assert_eq!(recursion_misses("pos:\t0\nflags:\t02\n"), None);
    }

    #[test]
    fn the_error_number_at_the_bottom_decides() {
        let wrapped = |number| {
            let io_error = io::Error::from_raw_os_error(number);
            MapError::CreateError { name: "STARTS".to_owned(), io_error }
        };
        let permission = classified(&wrapped(1));
        assert!(matches!(permission.reason, Reason::NotPermitted | Reason::Lockdown));
        assert!(permission.detail.contains("STARTS") && permission.detail.contains("not permitted"));
        assert_eq!(classified(&wrapped(38)).reason, Reason::NoBpf);
        assert_eq!(classified(&wrapped(12)).reason, Reason::Error);
    }
}
