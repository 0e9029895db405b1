//! How an IPA that runs was started, as far as that decides what becomes of the drop-in and of its requests.

use std::path::{Path, PathBuf};

use super::place::Place;
use super::reading::Reading;
use super::{Image, IpaEnvironment, IpaProcess};

/// A host that goes before every file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The argument or the variable.
    pub by: &'static str,
    /// Its value.
    pub host: String,
}

/// An IPA that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The place of the drop-in, judged by what it reads.
    pub place: Place,
    /// The host that it was started with, whatever its files say.
    pub overridden: Option<Override>,
    /// Its environment; its unit's where its own may not be read.
    pub environment: IpaEnvironment,
    /// The file that runs it, without links; `None` inside a container, or where it is not found.
    pub program: Option<PathBuf>,
    /// It speaks to no Ironic (ironic_python_agent/config.py, `standalone`).
    pub is_standalone: bool,
}

impl Image {
    /// Judges a process by its arguments, its mounts and its environment; `place` is that of the drop-in.
    pub fn started(&self, place: &Place, process: &IpaProcess) -> Started {
        let reading = self.read_by(process);
        let environment = process.environment.as_ref().unwrap_or(&self.environment).clone();
        let place = match &reading {
            Some(reading) => place.clone().judged(self, Some(reading)),
            None => place.clone(),
        };
        Started {
            place,
            overridden: overridden(reading.as_ref(), &environment),
            environment,
            program: self.program(process),
            is_standalone: process.arguments.iter().any(|word| word == "--standalone"),
        }
    }

    fn program(&self, process: &IpaProcess) -> Option<PathBuf> {
        let path = process.arguments.first().filter(|path| path.starts_with('/'))?;
        let path = Some(super::at(&self.root, Path::new(path))).filter(|_| !process.mounts.is_contained())?;
        path.canonicalize().ok()
    }

    /// What a process reads.
    pub(super) fn read_by(&self, process: &IpaProcess) -> Option<Reading> {
        let root: &Path = &self.root;
        match process.mounts.is_contained() {
            true => Reading::of_process(&process.arguments, Some(&process.mounts), root),
            false => Reading::of_process(&process.arguments, None, root),
        }
    }
}

/// The argument goes before the variable, the variable before every file (oslo_config/sources/_environment.py).
fn overridden(reading: Option<&Reading>, environment: &IpaEnvironment) -> Option<Override> {
    let argument = reading.and_then(|reading| reading.advertise_host.clone());
    let argument = argument.map(|host| Override { by: "--advertise-host", host });
    argument.or_else(|| {
        let host = environment.advertise_host.clone()?;
        Some(Override { by: "OS_DEFAULT__ADVERTISE_HOST", host })
    })
}
