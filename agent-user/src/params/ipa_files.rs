//! IPA's configuration files in the order in which IPA reads them; what comes later wins. Which ones they are, the image
//! tells; where it does not, those that images use are read. Before all that, an IPA that was booted from virtual media
//! copies files from the medium over those in /etc, so they count as if they lay there.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use text::{MASK, printable};

use crate::image::Source;
use crate::image::place::DROPIN_NAME;

use super::ipa_config;
use super::layers::Given;
use super::problem::{Problem, ProblemKind, Source as Layer};
use super::spec::{TABLE, is_ipa_option};
use super::value::without_password;

/// The parameter under which problems of whole files are reported.
const NAME: &str = "ipa.config-dir";

/// The most files of one directory.
pub(super) const FILES_MAX: usize = 256;

/// The options that the drop-in sets, and the parameters they belong to.
const OUR_OPTIONS: [(&str, &str); 2] = [("advertise_host", "advertise.host"), ("api_url", "ironic.api-url")];

/// Which directory of IPA's a file of a medium is copied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directory {
    /// `/etc/ironic-python-agent/`
    Plain,
    /// `/etc/ironic-python-agent.d/`
    DropIns,
}

impl Directory {
    fn below(self, etc: &Path) -> PathBuf {
        match self {
            Self::Plain => etc.join("ironic-python-agent"),
            Self::DropIns => etc.join("ironic-python-agent.d"),
        }
    }
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

/// Which files there are, and how this IPA reads them.
pub(super) struct Files<'a> {
    /// `/etc`, which a medium's files are copied to.
    pub(super) etc: &'a Path,
    /// What IPA reads, in its order.
    pub(super) sources: &'a [Source],
    /// The directory of the drop-in.
    pub(super) ours: &'a Path,
    /// Whether this IPA knows `advertise-host` as a name for `advertise_host`.
    pub(super) knows_hyphens: bool,
}

/// What is read where nothing tells what IPA reads: its own file, what packages of distributions name with `--config-file`,
/// and the directory of drop-ins.
pub(super) fn usual(etc: &Path, ours: &Path) -> Vec<Source> {
    let plain = etc.join("ironic-python-agent");
    let mut sources =
        vec![Source::File(etc.join("ironic-python-agent.conf")), Source::Directory(plain.clone())];
    sources.extend((ours != plain).then(|| Source::Directory(ours.to_owned())));
    sources
}

/// The options, as they are put together.
struct Collected<'a> {
    knows_hyphens: bool,
    options: BTreeMap<String, Given>,
    problems: &'a mut Vec<Problem>,
}

/// Reads them all: the options with the file each came from.
pub(super) fn read(
    files: &Files<'_>,
    mut medium: Vec<MediumFile>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Given> {
    let mut all = Collected { knows_hyphens: files.knows_hyphens, options: BTreeMap::new(), problems };
    let mut behind_ours = false;
    for source in files.sources {
        let (found, is_ours) = match source {
            Source::File(path) => {
                let name = path.file_name().unwrap_or_default().to_owned();
                (read_file(path, all.problems).map(|found| (name, found)).into_iter().collect(), false)
            }
            Source::Directory(path) => {
                let mut found = read_directory(path, all.problems);
                let is_ours = path == files.ours;
                let belongs = |file: &mut MediumFile| file.directory.below(files.etc) == *path;
                for file in medium.extract_if(.., belongs) {
                    if file.name == DROPIN_NAME && is_ours {
                        all.problems.push(overwrites_ours(&file.place));
                    }
                    found.insert(file.name, Found { place: file.place, content: file.content });
                }
                (found, is_ours)
            }
        };
        // Ours, of this run or of one with another directory, is no word of the operator's.
        for (name, found) in found.into_iter().filter(|(name, _)| name != DROPIN_NAME) {
            let names = all.take(&found);
            if behind_ours || (is_ours && name.as_bytes() > DROPIN_NAME.as_bytes()) {
                all.beaten_by(&found.place, &names);
            }
        }
        behind_ours |= is_ours;
    }
    all.options
}

/// The `*.conf` of a directory as Python's glob has them (none that begins with a dot), by name.
fn read_directory(directory: &Path, problems: &mut Vec<Problem>) -> BTreeMap<OsString, Found> {
    let place = directory.to_string_lossy();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            problems.push(Problem::unreadable(NAME, Layer::IpaConfig, &place, error));
            return BTreeMap::new();
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.push(entry.file_name()),
            Err(error) => {
                problems.push(Problem::unreadable(NAME, Layer::IpaConfig, &place, error));
                break;
            }
        }
    }
    names.retain(|name| is_config(name));
    names.sort();
    if names.len() > FILES_MAX {
        let reason = format!("more than {FILES_MAX} files");
        problems.push(Problem::unreadable(NAME, Layer::IpaConfig, &place, reason));
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
            problems.push(Problem::unreadable(NAME, Layer::IpaConfig, &place, error));
            None
        }
    }
}

impl Collected<'_> {
    /// Takes the options of one file over those of earlier ones; returns their names.
    fn take(&mut self, found: &Found) -> Vec<String> {
        let config = ipa_config::parse(&found.content, |name| match name.contains('-') {
            true => is_ipa_option(&name.replace('-', "_")),
            false => is_ipa_option(name),
        });
        for (line, reason) in config.refused {
            // Not the line itself: the agent token may be in it.
            let reason = format!("line {line}: {reason}; IPA does not start with this file");
            self.problems.push(Problem::unreadable(NAME, Layer::IpaConfig, &found.place, reason));
        }
        let mut names = Vec::new();
        for (given, text) in config.options {
            let name = given.replace('-', "_");
            let detail = format!("{}: {}", found.place, printable(&given));
            if name != given && !self.knows_hyphens {
                self.problems.extend(ignored(&name, &text, detail));
                continue;
            }
            self.options.insert(name.clone(), Given { text, detail });
            names.push(name);
        }
        names
    }

    /// Says which of the daemon's options a file that is read after the drop-in has as well.
    fn beaten_by(&mut self, place: &str, names: &[String]) {
        let ours = OUR_OPTIONS.iter().filter(|(option, _)| names.iter().any(|name| name == option));
        self.problems.extend(ours.map(|(option, parameter)| Problem {
            kind: ProblemKind::Conflict,
            name: (*parameter).to_owned(),
            value: printable(self.options.get(*option).map_or("", |given| &given.text)),
            source: Layer::IpaConfig,
            detail: format!("{place}: {option}"),
            wanted: format!("IPA reads this file after {DROPIN_NAME}, so it takes its {option} from here"),
        }));
    }
}

/// An option that the daemon knows, and that this IPA does not know by its name with hyphens.
fn ignored(name: &str, text: &str, detail: String) -> Option<Problem> {
    let row = TABLE.iter().find(|row| row.ipa_option == Some(name))?;
    Some(Problem {
        kind: ProblemKind::Unusable,
        name: row.name.to_owned(),
        value: if row.secret { MASK.to_owned() } else { printable(&without_password(text)) },
        source: Layer::IpaConfig,
        detail,
        wanted: format!("{name} with an underscore: IPA 6.0 and later do not know the hyphen"),
    })
}

fn overwrites_ours(place: &str) -> Problem {
    Problem {
        kind: ProblemKind::Conflict,
        name: NAME.to_owned(),
        value: DROPIN_NAME.to_owned(),
        source: Layer::IpaConfig,
        detail: place.to_owned(),
        wanted: "IPA copies this file over the drop-in when it starts, and then does not read what ipa-sidecar wrote"
            .to_owned(),
    }
}
