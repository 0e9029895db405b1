//! Which probes there are, and why one of them is not there.

use serde::{Serialize, Serializer};
use std::fmt;
use text::labels;

labels! {
    /// A probe: the label of `probe_attached`.
    pub enum Probe {
        /// Connects that fail after their SYN was sent.
        Connect = "connect",
        /// Connects that fail before.
        ConnectCall = "connect_call",
        /// The errors of failed connects on kernels without BTF.
        ErrorReport = "error_report",
        /// Connections to the advertised port.
        Callback = "callback",
        /// Connections to it that are refused.
        CallbackRefused = "callback_refused",
    }
}

impl Probe {
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
            Self::Callback => "call-backs are seen over sock_diag instead: at their end, or within a minute",
            Self::CallbackRefused => "a call-back to a port on which nothing listens is not seen",
        }
    }
}

labels! {
    /// How a probe is attached: the label `path` of `probe_path_info`.
    pub enum Path {
        /// To functions, by trampolines: a call of connect is seen as its caller sees it.
        Trampoline = "trampoline",
        /// To tracepoints that hand over typed pointers.
        TypedTracepoint = "typed_tracepoint",
        /// To tracepoints with a record: where there is no BTF.
        Tracepoint = "tracepoint",
    }
}

labels! {
    /// Why a probe, the guard's redirect, or sight is not attached: a label of `probe_unavailable_info`.
    pub enum Reason {
        /// `--probe.connect=off`.
        SwitchedOff = "switched_off",
        /// Built without the feature `ebpf`.
        NotBuilt = "not_built",
        /// The kernel has no BPF, or too old a one.
        NoBpf = "no_bpf",
        /// Refused for want of privilege, or by a seccomp filter.
        NotPermitted = "not_permitted",
        /// Refused by kernel lockdown in mode confidentiality.
        Lockdown = "lockdown",
        /// tracefs is not mounted and cannot be.
        NoTracefs = "no_tracefs",
        /// The kernel lacks the tracepoint, or a field of it.
        NoTracepoint = "no_tracepoint",
        /// The kernel does not attach programs to functions.
        NoTrampoline = "no_trampoline",
        /// The kernel does not tell its types.
        NoBtf = "no_btf",
        /// The verifier refuses the program.
        Verifier = "verifier",
        /// There is no cgroup2 hierarchy, and none can be mounted.
        NoCgroup = "no_cgroup",
        /// An API URL of IPA's is https, into which the guard does not see.
        Https = "https",
        /// It is attached, and a connect of the daemon did not go where it should.
        SelfTest = "self_test",
        /// No libssl is found that IPA's interpreter may link.
        NoLibssl = "no_libssl",
        /// It is being loaded, or IPA's container has not been seen yet.
        NotYet = "not_yet",
        /// The libssl lacks a function that is probed.
        NoFunction = "no_function",
        /// A child of the daemon under a seccomp filter did not survive a return probe.
        ReturnProbe = "return_probe",
        /// Anything else.
        Error = "error",
    }
}

/// Why, with what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    pub reason: Reason,
    pub detail: String,
}

impl Unavailable {
    /// It is being loaded.
    pub fn loading() -> Self {
        Self::new(Reason::NotYet, "the probes are being loaded")
    }

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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In the order of [`Probe::ALL`]: how each is attached, or why it is not.
    #[serde(rename = "list", serialize_with = "list")]
    pub probes: Vec<(Probe, Result<Path, Unavailable>)>,
    /// What is reported less well than it could be, a sentence each.
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
        self.probes.iter().any(|(one, outcome)| *one == probe && outcome.is_ok())
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

    /// The first reason why one is not attached.
    pub fn missing(&self) -> Unavailable {
        let first = self.probes.iter().find_map(|(_, outcome)| outcome.clone().err());
        first.unwrap_or_else(|| Unavailable::new(Reason::Error, "nothing is loaded, which is a defect"))
    }

    /// Whether any is.
    pub fn any(&self) -> bool {
        self.probes.iter().any(|(_, outcome)| outcome.is_ok())
    }
}

/// One object a probe: whether and how it is attached, and why not.
fn list<S: Serializer>(
    probes: &[(Probe, Result<Path, Unavailable>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        probe: Probe,
        attached: bool,
        path: Option<Path>,
        reason: Option<Reason>,
        detail: Option<&'a str>,
    }
    serializer.collect_seq(probes.iter().map(|(probe, outcome)| {
        let missing = outcome.as_ref().err();
        Entry {
            probe: *probe,
            attached: outcome.is_ok(),
            path: outcome.as_ref().ok().copied(),
            reason: missing.map(|missing| missing.reason),
            detail: missing.map(|missing| missing.detail.as_str()),
        }
    }))
}
