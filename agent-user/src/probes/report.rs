//! Which probes there are, and why one of them is not there.

use std::fmt;

/// A probe: the label of `probe_attached`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Connects that fail after their SYN was sent.
    Connect,
    /// Connects that fail before.
    ConnectCall,
    /// The errors of failed connects on kernels without BTF.
    ErrorReport,
    /// Connections to the advertised port.
    Callback,
    /// Connections to it that are refused.
    CallbackRefused,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Connect, Self::ConnectCall, Self::ErrorReport, Self::Callback, Self::CallbackRefused];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectCall => "connect_call",
            Self::ErrorReport => "error_report",
            Self::Callback => "callback",
            Self::CallbackRefused => "callback_refused",
        }
    }

    /// Its name in `doctor`.
    pub fn check_name(self) -> &'static str {
        match self {
            Self::Connect => "probe connect",
            Self::ConnectCall => "probe connect_call",
            Self::ErrorReport => "probe error_report",
            Self::Callback => "probe callback",
            Self::CallbackRefused => "probe callback_refused",
        }
    }

    /// What its lack costs.
    pub fn cost(self) -> &'static str {
        match self {
            Self::Connect => "failed connects to the Ironic API and elsewhere are not seen",
            Self::ConnectCall => {
                "connects that fail before a packet is sent (no route, prohibited) are not seen"
            }
            Self::ErrorReport => "the error of a failed connect is unknown",
            Self::Callback => {
                "call-backs are looked for with sock_diag every 2 s instead; a short one may be missed"
            }
            Self::CallbackRefused => "a call-back to a port on which nothing listens is not seen",
        }
    }
}

/// Why a probe is not attached: a label of `probe_unavailable_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `--probe.connect=off`.
    SwitchedOff,
    /// Built without the feature `ebpf`.
    NotBuilt,
    /// The kernel has no BPF, or too old a one.
    NoBpf,
    /// Refused for want of privilege, or by a seccomp filter.
    NotPermitted,
    /// Refused by kernel lockdown in mode confidentiality.
    Lockdown,
    /// tracefs is not mounted and cannot be.
    NoTracefs,
    /// The kernel lacks the tracepoint, or a field of it.
    NoTracepoint,
    /// The kernel does not tell its types.
    NoBtf,
    /// The verifier refuses the program.
    Verifier,
    /// Anything else.
    Error,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SwitchedOff,
        Self::NotBuilt,
        Self::NoBpf,
        Self::NotPermitted,
        Self::Lockdown,
        Self::NoTracefs,
        Self::NoTracepoint,
        Self::NoBtf,
        Self::Verifier,
        Self::Error,
    ];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SwitchedOff => "switched_off",
            Self::NotBuilt => "not_built",
            Self::NoBpf => "no_bpf",
            Self::NotPermitted => "not_permitted",
            Self::Lockdown => "lockdown",
            Self::NoTracefs => "no_tracefs",
            Self::NoTracepoint => "no_tracepoint",
            Self::NoBtf => "no_btf",
            Self::Verifier => "verifier",
            Self::Error => "error",
        }
    }
}

/// Why, with what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The class.
    pub reason: Reason,
    /// In words.
    pub detail: String,
}

impl Unavailable {
    /// Of a reason and words.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { reason, detail }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail, self.reason.as_str())
    }
}

/// How it went with each probe. A probe that is not needed here is in neither state and has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of [`Probe::ALL`].
    pub probes: Vec<(Probe, Result<(), Unavailable>)>,
    /// What is told less well than it could be, a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// None of them, for one reason.
    pub fn none(unavailable: &Unavailable) -> Self {
        let all = [Probe::Connect, Probe::ConnectCall, Probe::Callback, Probe::CallbackRefused];
        Self { probes: all.map(|probe| (probe, Err(unavailable.clone()))).to_vec(), notes: Vec::new() }
    }

    /// Whether a probe is attached.
    pub fn attached(&self, probe: Probe) -> bool {
        self.probes.contains(&(probe, Ok(())))
    }

    /// What is missing, a sentence for each reason.
    pub fn lacking(&self) -> Vec<String> {
        let mut sentences: Vec<String> = Vec::new();
        for unavailable in self.probes.iter().filter_map(|(_, outcome)| outcome.as_ref().err()) {
            let sentence = format!("eBPF probes: {unavailable}");
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        sentences
    }

    /// Whether any is.
    pub fn any(&self) -> bool {
        self.probes.iter().any(|(_, outcome)| outcome.is_ok())
    }
}
