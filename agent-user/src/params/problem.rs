//! The report on a value: where it came from, why it is unusable, what would be right.

use std::fmt;

use serde::Serialize;
use settings::SettingError;
use text::{labels, printable};
use thiserror::Error;

labels! {
    /// A layer that parameters come from, highest precedence first.
    pub enum Source {
        /// A flag of the daemon.
        Flag = "flag",
        /// An `IPA_SIDECAR_` variable.
        Environment = "environment",
        /// The daemon's own configuration file.
        File = "file",
        /// IPA's configuration files, also those on a virtual medium that IPA copies when it starts.
        IpaConfig = "ipa-config",
        /// `parameters.txt` on a virtual medium.
        Vmedia = "vmedia",
        /// The kernel command line.
        Cmdline = "cmdline",
        /// Built in.
        Default = "default",
    }
}

impl Source {
    /// Whether IPA reads it there itself.
    pub fn is_ipas(self) -> bool {
        matches!(self, Self::IpaConfig | Self::Vmedia | Self::Cmdline)
    }

    /// Whether the operator of this daemon wrote it: then a bad value is an error, not only a problem.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Flag | Self::Environment | Self::File)
    }
}

labels! {
    /// What a problem means for the values.
    pub enum ProblemKind {
        /// The value is unusable and was ignored.
        Unusable = "unusable",
        /// A file or medium could not be read, wholly or in part.
        Unreadable = "unreadable",
        /// The value is used by IPA in the place of what the daemon writes for it.
        Conflict = "conflict",
        /// It has a parameter's prefix, and there is no such parameter.
        Unknown = "unknown",
    }
}

/// Something wrong in a layer that others wrote. The daemon runs anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it means.
    pub kind: ProblemKind,
    /// The parameter, like `ironic.api-url`; for a whole source the parameter that governs it.
    pub name: String,
    /// The value, printable and cut; masked where it is a secret or holds a password.
    pub value: String,
    /// The layer.
    pub source: Source,
    /// Where in the layer, like `/proc/cmdline: ipa-api-url`.
    pub detail: String,
    /// What would be right, or what went wrong with a source.
    pub wanted: String,
}

impl Problem {
    /// A file or medium that could not be read.
    pub(super) fn unreadable(name: &str, source: Source, place: &str, reason: impl fmt::Display) -> Self {
        Self {
            kind: ProblemKind::Unreadable,
            name: name.to_owned(),
            value: printable(place),
            source,
            detail: printable(place),
            wanted: printable(&reason.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, detail, wanted, .. } = self;
        match self.kind {
            ProblemKind::Unusable => {
                write!(f, "{name}: \"{value}\" from {detail} is not usable: wanted {wanted}")
            }
            ProblemKind::Unreadable => write!(f, "{name}: {detail} cannot be read: {wanted}"),
            ProblemKind::Conflict => write!(f, "{name}: \"{value}\" from {detail}: {wanted}"),
            ProblemKind::Unknown => write!(f, "{name} from {detail} is no parameter: {wanted}"),
        }
    }
}

/// Something wrong in a layer of its own: flags, environment or configuration file. The caller ends with status 64.
#[derive(Debug, Error)]
pub enum ParamsError {
    /// The value or its place.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A parameter that is gone.
    #[error("{name} (given by {origin}) is gone: {instead}")]
    Removed {
        /// The parameter.
        name: &'static str,
        /// Flag, variable, or file and line.
        origin: String,
        /// What has taken its place.
        instead: &'static str,
    },
}
