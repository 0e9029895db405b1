//! Grafana's typed model of dashboards (grafana-foundation-sdk from PyPI), as Grafana 11.6 has it.

use std::io;
use std::path::PathBuf;

use crate::venv::{self, Package};

/// The epoch orders the releases of the SDK; behind it stands Grafana's version.
pub const VERSION: &str = "1769699379!11.6.0";
/// It needs nothing besides itself.
const PACKAGE: Package =
    Package { name: "grafana-foundation-sdk", version: VERSION, python: None, besides: &[], constraints: "" };

/// Installs it into the cache, unless it is there, and gives the Python that has it. `progress` gets a line for each
/// step.
///
/// # Errors
/// Without a fitting Python or PyPI; the error holds the command and the last lines that it wrote.
pub fn python(progress: &mut dyn FnMut(&str)) -> io::Result<PathBuf> {
    let directory = venv::install(PACKAGE, progress, |_, _| Ok(()))?;
    Ok(directory.join("venv/bin/python"))
}
