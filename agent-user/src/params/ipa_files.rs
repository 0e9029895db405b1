//! IPA's configuration files in the order in which IPA reads them.
//!
//! oslo.config reads `/etc/ironic-python-agent.conf` by itself; packages of distributions name files under
//! `/etc/ironic-python-agent/` with `--config-file`; IPA's unit names the drop-in directory with `--config-dir`, whose
//! `*.conf` are read in the order of their names. What comes later wins. Before all that, an IPA that was booted from
//! virtual media copies files from the medium over those in /etc, so they count as if they lay there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use text::printable;

use super::ipa_config;
use super::layers::Given;
use super::problem::{Problem, ProblemKind, Source};

/// The one file that we write. It sorts last: IPA reads the files of the directory in alphabetical order and the last one
/// wins (oslo.config). It is never read as if it were the operator's.
pub const DROPIN_NAME: &str = "zz-ipa-sidecar.conf";

/// The parameter that problems of whole files are told under.
const NAME: &str = "ipa.config-dir";

/// The most files of one directory.
pub(super) const FILES_MAX: usize = 256;

/// The options that our drop-in sets, and the parameters they belong to.
const OUR_OPTIONS: [(&str, &str); 2] = [("advertise_host", "advertise.host"), ("api_url", "ironic.api-url")];

/// Which directory of IPA's a file of a medium is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directory {
    /// `/etc/ironic-python-agent/`
    Plain,
    /// `/etc/ironic-python-agent.d/`
    DropIns,
}

/// A configuration file found on a medium.
pub(super) struct MediumFile {
    pub(super) directory: Directory,
    pub(super) name: OsString,
    /// Device and path, for people.
    pub(super) place: String,
    pub(super) content: Vec<u8>,
}

/// A file's place, for people, and its content.
struct Found {
    place: String,
    content: Vec<u8>,
}

/// Reads them all: the options with the file each came from.
pub(super) fn read(
    etc: &Path,
    config_dir: &Path,
    medium: Vec<MediumFile>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Given> {
    let mut plain = read_directory(&etc.join("ironic-python-agent"), problems);
    let mut drop_ins = read_directory(config_dir, problems);
    // Ours, of this run or of one with another directory.
    plain.remove(OsStr::new(DROPIN_NAME));
    drop_ins.remove(OsStr::new(DROPIN_NAME));
    for file in medium {
        if file.name == DROPIN_NAME {
            if file.directory == Directory::DropIns || config_dir == etc.join("ironic-python-agent") {
                problems.push(overwrites_ours(&file.place));
            }
            continue;
        }
        let found = Found { place: file.place, content: file.content };
        match file.directory {
            Directory::Plain => plain.insert(file.name, found),
            Directory::DropIns => drop_ins.insert(file.name, found),
        };
    }

    let mut options = BTreeMap::new();
    let single = etc.join("ironic-python-agent.conf");
    for found in read_file(&single, problems).into_iter().chain(plain.into_values()) {
        take(&found, &mut options, problems);
    }
    for (name, found) in drop_ins {
        let names = take(&found, &mut options, problems);
        if name.as_bytes() > DROPIN_NAME.as_bytes() {
            problems.extend(beats_ours(&found.place, &names, &options));
        }
    }
    options
}

/// The `*.conf` of a directory as Python's glob has them (none that begins with a dot), by name.
fn read_directory(directory: &Path, problems: &mut Vec<Problem>) -> BTreeMap<OsString, Found> {
    let place = directory.to_string_lossy();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            problems.push(Problem::unreadable(NAME, Source::IpaConfig, &place, error));
            return BTreeMap::new();
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.push(entry.file_name()),
            Err(error) => {
                problems.push(Problem::unreadable(NAME, Source::IpaConfig, &place, error));
                break;
            }
        }
    }
    names.retain(|name| is_config(name));
    names.sort();
    if names.len() > FILES_MAX {
        let reason = format!("more than {FILES_MAX} files");
        problems.push(Problem::unreadable(NAME, Source::IpaConfig, &place, reason));
        names.truncate(FILES_MAX);
    }
    let found = names.into_iter().filter_map(|name| {
        let found = read_file(&directory.join(&name), problems)?;
        Some((name, found))
    });
    found.collect()
}

/// Whether IPA reads a file of this name in its directories.
pub(super) fn is_config(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.ends_with(b".conf") && !name.starts_with(b".")
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> Option<Found> {
    let place = path.to_string_lossy();
    match exporter::read_file(path) {
        Ok(content) => Some(Found { place: printable(&place), content }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            problems.push(Problem::unreadable(NAME, Source::IpaConfig, &place, error));
            None
        }
    }
}

/// Takes the options of one file over those of earlier ones; returns their names.
fn take(found: &Found, options: &mut BTreeMap<String, Given>, problems: &mut Vec<Problem>) -> Vec<String> {
    let config = ipa_config::parse(&found.content);
    for (line, reason) in config.refused {
        // Not the line itself: the agent token may be in it.
        let reason = format!("line {line}: {reason}; IPA does not start with this file");
        problems.push(Problem::unreadable(NAME, Source::IpaConfig, &found.place, reason));
    }
    let names: Vec<String> = config.options.keys().cloned().collect();
    for (name, text) in config.options {
        let detail = format!("{}: {}", found.place, printable(&name));
        options.insert(name, Given { text, detail });
    }
    names
}

fn beats_ours(place: &str, names: &[String], options: &BTreeMap<String, Given>) -> Vec<Problem> {
    let ours = OUR_OPTIONS.iter().filter(|(option, _)| names.iter().any(|name| name == option));
    ours.map(|(option, parameter)| Problem {
        kind: ProblemKind::Conflict,
        name: (*parameter).to_owned(),
        value: printable(options.get(*option).map_or("", |given| &given.text)),
        source: Source::IpaConfig,
        detail: format!("{place}: {option}"),
        wanted: format!("this file sorts after {DROPIN_NAME}, so IPA takes its {option} and not ours"),
    })
    .collect()
}

fn overwrites_ours(place: &str) -> Problem {
    Problem {
        kind: ProblemKind::Conflict,
        name: NAME.to_owned(),
        value: DROPIN_NAME.to_owned(),
        source: Source::IpaConfig,
        detail: place.to_owned(),
        wanted: "IPA copies this file over ours when it starts, and then does not see what we wrote"
            .to_owned(),
    }
}
