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
/// The others that `cargo lab versions` runs; what is below all but the first is whatever pip finds.
pub const OLDER_VERSIONS: [&str; 3] = [OLDER_IN_CI, "24.1.5", "21.4.4"];
/// The oldest that a new Python runs.
pub const OLDER_IN_CI: &str = "29.0.6";
static PACKAGES: [Package; 4] = [
    Package {
        name: "ironic",
        version: VERSION,
        python: None,
        besides: &[],
        constraints: include_str!("constraints.txt"),
    },
    older(OLDER_IN_CI, None, include_str!("constraints-29.0.6.txt")),
    older(OLDER_VERSIONS[1], Some("3.9"), SETUPTOOLS),
    older(OLDER_VERSIONS[2], Some("3.9"), SETUPTOOLS),
];
/// They import pkg_resources.
const SETUPTOOLS: &str = "setuptools<81\n";

const fn older(version: &'static str, python: Option<&'static str>, constraints: &'static str) -> Package {
    Package { name: "ironic", version, python, besides: &["setuptools"], constraints }
}

/// An installed Ironic.
#[derive(Clone, Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    pub(super) fn ironic(&self) -> PathBuf {
        self.directory.join("venv/bin/ironic")
    }

    /// Its interpreter, with everything that Ironic imports.
    pub fn python(&self) -> PathBuf {
        self.directory.join("venv/bin/python")
    }

    /// An empty database with Ironic's schema: making one takes two seconds, copying it none.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("template/ironic.sqlite")
    }
}

/// Installs this version of Ironic into the cache, unless it is there. `progress` gets a line for each step.
///
/// # Errors
/// An unknown version; without a fitting Python or PyPI; the error holds the command and the last lines that it wrote.
pub(super) fn install(version: &str, progress: Step<'_>) -> io::Result<Installation> {
    let package = PACKAGES.iter().find(|package| package.version == version);
    let package = package.ok_or_else(|| {
        let known = PACKAGES.map(|package| package.version).join(", ");
        let text = format!("Ironic {version:?} is none of those tested here: {known}");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let directory = venv::install(*package, progress, make_database)?;
    Ok(Installation { directory })
}

fn make_database(directory: &Path, step: Step<'_>) -> io::Result<()> {
    step("making an empty database");
    let template = directory.join("template");
    fs::create_dir_all(&template).map_err(|e| cache::at(&template, &e))?;
    let file = template.join("ironic.conf");
    fs::write(&file, config::text(&Options::default(), 1, &template))?;
    let mut dbsync = Command::new(directory.join("venv/bin/ironic-dbsync"));
    venv::run(dbsync.arg("--config-file").arg(&file).arg("create_schema"), step)?;
    // Its tasks write at once, and without a log of its own the database is locked too often for the older ones.
    let wal = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode=WAL')";
    let mut python = Command::new(directory.join("venv/bin/python"));
    venv::run(python.args(["-c", wal]).arg(template.join("ironic.sqlite")), step)
}
