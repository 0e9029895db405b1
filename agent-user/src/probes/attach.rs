//! The three ways to attach the probes, tried in this order: to functions, to typed tracepoints, to tracepoints with a record.

use aya::programs::{BtfTracePoint, FEntry, FExit, Program, ProgramError, TracePoint};
use aya::{Btf, Ebpf};

use super::btf::Target;
use super::known::Known;
use super::load::{classified, program, refused};
use super::offsets::Offsets;
use super::report::{Path, Probe, Reason, Report, Unavailable};
use super::tracefs;

/// What programs are attached to whose arguments have types.
pub const TARGETS: [Target<'static>; 6] = [
    Target::Function(CONNECT),
    Target::Function(ACCEPT),
    Target::Tracepoint(SET_STATE),
    Target::Tracepoint(ERROR_REPORT),
    Target::Tracepoint(DESTROY),
    Target::Tracepoint(SEND_RESET),
];
const CONNECT: &str = "inet_stream_connect";
const ACCEPT: &str = "inet_csk_complete_hashdance";
const SET_STATE: &str = "inet_sock_set_state";
const ERROR_REPORT: &str = "inet_sk_error_report";
const DESTROY: &str = "tcp_destroy_sock";
const SEND_RESET: &str = "tcp_send_reset";

/// The programs that see connects together, in the order in which they are attached: what remembers is the last.
const CONNECTS: [&str; 3] = ["connect_error", "connect_destroy", "connect_exit"];

/// Attaches to functions, else to typed tracepoints.
///
/// # Errors
/// Where neither is possible.
pub fn typed(ebpf: &mut Ebpf, known: &Known) -> Result<Report, Unavailable> {
    let (connect, call, callback) = match by_function(ebpf, known) {
        Ok(()) => {
            let accepted = fentry(ebpf, "callback_accept", ACCEPT, &known.targets);
            let accepted = accepted.map(|()| Path::Trampoline).map_err(|why| no_trampoline(ACCEPT, &why));
            (Path::Trampoline, Ok(Path::Trampoline), accepted)
        }
        Err(why) => {
            tracing::debug!("the kernel attaches no program to functions, tracepoints are tried: {why}");
            tracepoint(ebpf, "set_state_typed", SET_STATE, &known.targets)?;
            (Path::TypedTracepoint, Err(why), Ok(Path::TypedTracepoint))
        }
    };
    let refused = known.packets.clone();
    let refused = refused.and_then(|()| tracepoint(ebpf, "callback_reset", SEND_RESET, &known.targets));
    let probes = vec![
        (Probe::Connect, Ok(connect)),
        (Probe::ConnectCall, call),
        (Probe::Callback, callback),
        (Probe::CallbackRefused, refused.map(|()| Path::TypedTracepoint)),
    ];
    Ok(Report { probes, notes: Vec::new() })
}

/// Attaches all that sees connects, or nothing of it.
fn by_function(ebpf: &mut Ebpf, known: &Known) -> Result<(), Unavailable> {
    let Known { targets, pending, .. } = known;
    let attached = pending.clone().and_then(|()| {
        // First what a kernel refuses most likely.
        load_exit(ebpf, targets)?;
        tracepoint(ebpf, "connect_error", ERROR_REPORT, targets)?;
        tracepoint(ebpf, "connect_destroy", DESTROY, targets)?;
        let exit: &mut FExit = program(ebpf, "connect_exit")?;
        exit.attach().map(drop).map_err(|error| classified(&error))
    });
    attached.map_err(|why| {
        for name in CONNECTS {
            if let Some(program) = ebpf.program_mut(name) {
                let _ = unload(program); // It may not be loaded.
            }
        }
        no_trampoline(CONNECT, &why)
    })
}

fn unload(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::FExit(program) => program.unload(),
        Program::BtfTracePoint(program) => program.unload(),
        _ => Ok(()),
    }
}

fn no_trampoline(function: &str, why: &Unavailable) -> Unavailable {
    Unavailable::new(Reason::NoTrampoline, format!("no program is attached to {function}: {}", why.detail))
}

fn load_exit(ebpf: &mut Ebpf, targets: &Btf) -> Result<(), Unavailable> {
    let exit: &mut FExit = program(ebpf, "connect_exit")?;
    exit.load(CONNECT, targets).map_err(|error| refused("connect_exit", &error))
}

fn fentry(ebpf: &mut Ebpf, name: &str, function: &str, targets: &Btf) -> Result<(), Unavailable> {
    let program: &mut FEntry = program(ebpf, name)?;
    program.load(function, targets).map_err(|error| refused(name, &error))?;
    program.attach().map(drop).map_err(|error| classified(&error))
}

fn tracepoint(ebpf: &mut Ebpf, name: &str, tracepoint: &str, targets: &Btf) -> Result<(), Unavailable> {
    let program: &mut BtfTracePoint = program(ebpf, name)?;
    program.load(tracepoint, targets).map_err(|error| refused(name, &error))?;
    program.attach().map(drop).map_err(|error| classified(&error))
}

/// Where tracepoints keep what in their records.
#[derive(Debug)]
pub struct Records {
    state: Result<(), Unavailable>,
    errors: Result<(), Unavailable>,
}

impl Records {
    /// Reads it from tracefs.
    pub fn read(offsets: &mut Offsets) -> Self {
        match tracefs::find() {
            Ok(place) => Self { state: offsets.read_state(&place), errors: offsets.read_report(&place) },
            Err(why) => Self { state: Err(why.clone()), errors: Err(why) },
        }
    }
}

/// Attaches to tracepoints with a record. `why` there is nothing better.
pub fn by_record(ebpf: &mut Ebpf, records: &Records, why: &Unavailable) -> Report {
    let connect = records.state.clone().and_then(|()| with_record(ebpf, "set_state", SET_STATE));
    let errors = records.errors.clone().and_then(|()| with_record(ebpf, "error_report", ERROR_REPORT));
    let refused = match (&connect, why.reason) {
        // Without any tracepoint the reason is that.
        (Err(connect), _) => connect.clone(),
        (Ok(_), _) => why.clone(),
    };
    let probes = vec![
        (Probe::Connect, connect.clone()),
        (Probe::ConnectCall, Err(refused.clone())),
        (Probe::ErrorReport, errors),
        (Probe::Callback, connect),
        (Probe::CallbackRefused, Err(refused)),
    ];
    let note =
        format!("{why}: connects in other network namespaces that have the same addresses are counted too");
    Report { probes, notes: vec![note] }
}

fn with_record(ebpf: &mut Ebpf, name: &str, tracepoint: &str) -> Result<Path, Unavailable> {
    let program: &mut TracePoint = program(ebpf, name)?;
    program.load().map_err(|error| refused(name, &error))?;
    program.attach("sock", tracepoint).map_err(|error| classified(&error))?;
    Ok(Path::Tracepoint)
}
