//! Where the drop-in goes, and whether the IPA of this image reads it there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use text::{labels, printable};

use super::Image;
use super::reading::{Reading, Source};

/// The directory where nothing tells another: that of ironic-python-agent-builder's images.
pub const DEFAULT_DIRECTORY: &str = "/etc/ironic-python-agent.d";

/// The one file that the daemon writes. It sorts last: IPA reads the files of the directory in alphabetical order and the last one
/// wins (oslo.config). It is never read as if it were the operator's.
pub const DROPIN_NAME: &str = "zz-ipa-sidecar.conf";

labels! {
    /// Where it comes from.
    #[derive(Default)]
    pub enum KnownBy {
        /// `--ipa.config-dir`.
        Operator = "operator",
        /// The arguments of the IPA that runs.
        Process = "process",
        /// IPA's unit.
        Unit = "unit",
        /// Nothing did.
        #[default]
        Default = "default",
    }
}

labels! {
    /// Whether IPA reads what lies there.
    #[derive(Default)]
    pub enum Reads {
        /// It does.
        Yes = "yes",
        /// It does not.
        No = "no",
        /// Nothing tells.
        #[default]
        Unknown = "unknown",
    }
}

/// The place of the drop-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The directory that it is written to.
    pub directory: PathBuf,
    /// The unit of IPA's that was found.
    pub unit: Option<String>,
    /// Why it is this directory.
    pub known_by: KnownBy,
    /// Whether IPA reads it.
    pub reads_it: Reads,
    /// Why it does not, or why nobody knows; for people.
    pub why: Option<String>,
}

impl Place {
    /// The place that this image has for it; `given` is the operator's own choice.
    pub(super) fn of(image: &Image, given: Option<&Path>) -> Self {
        let last = image.reading.as_ref().and_then(|reading| reading.directories().next_back());
        let (directory, known_by) = match (given, last) {
            (Some(given), _) => (given.to_owned(), KnownBy::Operator),
            (None, Some(last)) => (last.to_owned(), image.known_by),
            (None, None) => (super::at(&image.root, Path::new(DEFAULT_DIRECTORY)), KnownBy::Default),
        };
        let unit = image.unit.map(str::to_owned);
        let place = Self { directory, unit, known_by, reads_it: Reads::Unknown, why: None };
        place.judged(image, image.reading.as_ref())
    }

    /// The same place, judged by what this IPA reads.
    pub(super) fn judged(mut self, image: &Image, reading: Option<&Reading>) -> Self {
        let (reads_it, why) = match (reading, &self.unit) {
            (None, None) => (
                Reads::Unknown,
                Some("neither a unit nor a process of ironic-python-agent is here".to_owned()),
            ),
            (None, Some(unit)) => (Reads::Unknown, Some(format!("{unit} does not show what its IPA reads"))),
            (Some(reading), _) => match self.lack(image, reading) {
                None => (Reads::Yes, None),
                Some(why) => (Reads::No, Some(why)),
            },
        };
        (self.reads_it, self.why) = (reads_it, why);
        self
    }

    /// Why an IPA that reads this does not take what the daemon writes.
    fn lack(&self, image: &Image, reading: &Reading) -> Option<String> {
        if let Some(host) = &reading.advertise_host {
            return Some(format!(
                "its command line gives --advertise_host {}, before every file",
                printable(host)
            ));
        }
        let ours = resolved(&self.directory);
        let is_read = reading.sources.iter().any(|source| match source {
            Source::Directory(directory) => resolved(directory) == ours,
            Source::File(file) => resolved(file) == ours.join(DROPIN_NAME),
        });
        if is_read {
            return None;
        }
        let inside = image.container.as_ref().and_then(|container| container.seen_within(&self.directory));
        let advice = match inside {
            Some(inside) => format!("; end its command with --config-dir {}", inside.display()),
            None => String::new(),
        };
        let hidden = reading.hidden.iter().map(|path| format!("{} in its container", path.display()));
        let sources = reading.sources.iter().map(|source| match source {
            Source::File(path) | Source::Directory(path) => path.display().to_string(),
        });
        let all: Vec<_> = hidden.chain(sources).collect();
        Some(format!("it reads {} and not {}{advice}", all.join(", "), self.directory.display()))
    }

    /// A line for people.
    pub fn shown(&self) -> String {
        let directory = self.directory.display();
        let unit = self.unit.as_deref().unwrap_or("ironic-python-agent");
        match (self.reads_it, &self.why) {
            (Reads::Yes, _) => format!("{unit} reads {directory}"),
            (Reads::No, Some(why)) => format!("{unit} does not read {directory}: {why}"),
            (_, why) => format!(
                "whether ironic-python-agent reads {directory} is unknown: {}",
                why.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// One name may be a link to another.
fn resolved(directory: &Path) -> PathBuf {
    fs::canonicalize(directory).unwrap_or_else(|_| directory.components().collect())
}
