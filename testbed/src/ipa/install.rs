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
/// Those that `cargo lab versions` runs as well: one of each minor that installs on the Pythons that there are. What is below
/// them is whatever pip finds, within these limits.
const MORE: [Package; 12] = [
    more("12.0.0", None, SETUPTOOLS),
    more("11.6.0", None, SETUPTOOLS),
    more("10.2.3", None, SETUPTOOLS),
    more("10.0.0", None, SETUPTOOLS),
    more("9.14.1", None, SETUPTOOLS),
    more("9.11.3", None, IRONIC_LIB),
    more("9.10.0", None, IRONIC_LIB),
    more("9.9.0", None, IRONIC_LIB),
    more("9.7.3", None, IRONIC_LIB),
    more("8.6.0", Some("3.8"), IRONIC_LIB_OR_OLDER),
    more("7.1.0", Some("3.8"), WERKZEUG),
    more("6.6.0", Some("3.8"), WERKZEUG),
];
/// They import pkg_resources.
const SETUPTOOLS: &str = "setuptools<81\n";
const IRONIC_LIB: &str = "setuptools<81\nironic-lib==6.2.0\n";
const IRONIC_LIB_OR_OLDER: &str = "setuptools<81\nironic-lib<=6.2.0\n";
const WERKZEUG: &str = "setuptools<81\nwerkzeug<2\n";

const fn more(version: &'static str, python: Option<&'static str>, constraints: &'static str) -> Package {
    Package { name: NAME, version, python, besides: &["setuptools"], constraints }
}

/// Every version that can be run, the newest first.
pub fn versions() -> Vec<&'static str> {
    let mut versions: Vec<_> = PACKAGES.iter().chain(&MORE).map(|package| package.version).collect();
    let numbers =
        |version: &str| version.split('.').filter_map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>();
    versions.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
    versions
}

static PACKAGES: [Package; 3] = [
    Package {
        name: NAME,
        version: VERSION,
        python: None,
        besides: &[],
        constraints: include_str!("constraints-13.0.0.txt"),
    },
    Package {
        name: NAME,
        version: ONE_URL_VERSION,
        python: None,
        besides: &["setuptools"], // It imports pkg_resources, which new environments lack.
        constraints: include_str!("constraints-9.7.1.txt"),
    },
    Package {
        name: NAME,
        version: OLDER_ONE_URL_VERSION,
        python: None,
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
    let package = PACKAGES.iter().chain(&MORE).find(|package| package.version == version);
    let package = package.ok_or_else(|| {
        let text = format!("{NAME} {version:?} is none of those tested here: {}", versions().join(", "));
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
    fn the_newest_comes_first() {
        let versions = versions();
        assert_eq!((versions.first(), versions.last()), (Some(&VERSION), Some(&"6.6.0")));
        let place = |wanted: &str| versions.iter().position(|version| *version == wanted).unwrap();
        assert!(place("9.14.1") < place("9.7.1"), "{versions:?}");
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
