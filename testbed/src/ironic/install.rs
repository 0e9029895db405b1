//! Ironic from PyPI, with an empty database beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Options, config};
use crate::cache;
use crate::venv::{self, Package, Step};

/// The version from PyPI.
pub const VERSION: &str = "39.0.0";
const PACKAGE: Package =
    Package { name: "ironic", version: VERSION, besides: &[], constraints: include_str!("constraints.txt") };

/// An installed Ironic.
#[derive(Clone, Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    pub(super) fn ironic(&self) -> PathBuf {
        self.directory.join("venv/bin/ironic")
    }

    /// An empty database with Ironic's schema: making one takes two seconds, copying it none.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("template/ironic.sqlite")
    }
}

/// Installs Ironic into the cache, unless it is there. `progress` gets a line for each step.
///
/// # Errors
/// Without a fitting Python or PyPI; the error holds the command and the last lines that it wrote.
pub(super) fn install(progress: Step<'_>) -> io::Result<Installation> {
    let directory = venv::install(PACKAGE, progress, make_database)?;
    Ok(Installation { directory })
}

fn make_database(directory: &Path, step: Step<'_>) -> io::Result<()> {
    step("making an empty database");
    let template = directory.join("template");
    fs::create_dir_all(&template).map_err(|e| cache::at(&template, &e))?;
    let file = template.join("ironic.conf");
    fs::write(&file, config::text(&Options::default(), 1, &template))?;
    let mut dbsync = Command::new(directory.join("venv/bin/ironic-dbsync"));
    venv::run(dbsync.arg("--config-file").arg(&file).arg("create_schema"), step)
}
