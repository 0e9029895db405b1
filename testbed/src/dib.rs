//! diskimage-builder and the elements of Ironic's ramdisks, from PyPI.

use std::io;
use std::path::{Path, PathBuf};

use crate::venv::{self, Package};

static PACKAGE: Package = Package {
    name: "diskimage-builder",
    version: "3.43.0",
    python: None,
    besides: &["ironic-python-agent-builder", "setuptools"],
    constraints: include_str!("dib-constraints.txt"),
};

/// Installed programs and elements.
#[derive(Clone, Debug)]
pub struct DiskImageBuilder {
    venv: PathBuf,
}

impl DiskImageBuilder {
    /// Installs it into the [cache](crate::cache) unless it is there. `progress` gets a line for each step.
    ///
    /// # Errors
    /// Without Python or PyPI; the error says what was run and what it said.
    pub fn install(progress: &mut dyn FnMut(&str)) -> io::Result<Self> {
        let directory = venv::install(PACKAGE, progress, |_, _| Ok(()))?;
        Ok(Self { venv: directory.join("venv") })
    }

    /// The directory of its programs.
    pub fn programs(&self) -> PathBuf {
        self.venv.join("bin")
    }

    /// The elements of Ironic's ramdisks.
    pub fn ironic_elements(&self) -> PathBuf {
        self.venv.join(Path::new("share/ironic-python-agent-builder/dib"))
    }
}
