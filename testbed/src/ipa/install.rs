//! ironic-python-agent from PyPI, in the versions that the tests want.

use std::io;
use std::path::{Path, PathBuf};

use crate::venv::{self, Package, Step};

/// The version that knows a list of API URLs, auto TLS and the token.
pub const VERSION: &str = "13.0.0";
/// A version that takes the whole of `api_url` for one URL. It builds a part of itself: a C compiler and Python's
/// headers are needed.
pub const ONE_URL_VERSION: &str = "9.7.1";

/// The oldest of the versions of one URL that a test by name runs.
pub const OLDER_ONE_URL_VERSION: &str = "9.4.3";

const NAME: &str = "ironic-python-agent";
static PACKAGES: [Package; 3] = [
    Package {
        name: NAME,
        version: VERSION,
        besides: &[],
        constraints: include_str!("constraints-13.0.0.txt"),
    },
    Package {
        name: NAME,
        version: ONE_URL_VERSION,
        besides: &["setuptools"], // It imports pkg_resources, which new environments lack.
        constraints: include_str!("constraints-9.7.1.txt"),
    },
    Package {
        name: NAME,
        version: OLDER_ONE_URL_VERSION,
        besides: &["setuptools"],
        constraints: include_str!("constraints-9.4.3.txt"),
    },
];

/// An installed ironic-python-agent.
#[derive(Clone, Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    /// Its directory in the cache.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The command that runs it.
    pub(super) fn program(&self) -> [PathBuf; 2] {
        ["python", "ironic-python-agent"].map(|name| self.directory.join("venv/bin").join(name))
    }
}

pub(super) fn install(version: &str, progress: Step<'_>) -> io::Result<Installation> {
    let package = PACKAGES.iter().find(|package| package.version == version);
    let package = package.ok_or_else(|| {
        let known: Vec<_> = PACKAGES.iter().map(|package| package.version).collect();
        let text = format!("{NAME} {version:?} is none of those tested here: {}", known.join(", "));
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })?;
    let directory = venv::install(*package, progress, |_, _| Ok(()))?;
    Ok(Installation { directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_version_is_named_with_those_that_are_known() {
        let error = install("1.5.2", &mut |_| {}).unwrap_err().to_string();
        for version in ["1.5.2", VERSION, ONE_URL_VERSION, OLDER_ONE_URL_VERSION] {
            assert!(error.contains(version), "{error}");
        }
    }

    #[test]
    fn every_package_pins_what_is_below_it() {
        for package in &PACKAGES {
            let pinned: Vec<_> = package.constraints.lines().filter(|l| l.contains("==")).collect();
            assert!(pinned.len() > 40, "{}", package.version);
            for besides in package.besides {
                assert!(pinned.iter().any(|line| line.starts_with(besides)), "{besides}");
            }
        }
    }
}
