//! What this machine's image says of its ironic-python-agent, before that runs: the unit that starts it, which files it
//! reads, its environment, where it is installed. All of it is read once, at the start, while there are privileges.

mod container;
mod environment;
mod installation;
mod mounts;
pub mod place;
mod reading;
mod service;
pub mod started;
pub mod unit;
mod words;

use std::path::{Path, PathBuf};

pub use environment::IpaEnvironment;
pub use installation::{Installation, IpaVersion};
pub use mounts::Mounts;
pub use reading::Source;

use container::Container;
use place::{KnownBy, Place};
use reading::Reading;
use service::Service;
use unit::UnitFiles;

/// So many words of a command may be the program: an interpreter and its script, and what starts them.
const PROGRAMS: usize = 4;

/// The largest unit or environment file that is read, in bytes.
const FILE_BYTES: usize = 256 << 10;

/// A process of IPA's, as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpaProcess {
    /// Its arguments, the program's name first.
    pub arguments: Vec<String>,
    /// Where its paths lead.
    pub mounts: Mounts,
    /// Its environment; `None` where it may not be read.
    pub environment: Option<IpaEnvironment>,
}

/// Everything that is known of the image; empty where there is no ironic-python-agent.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// What all paths begin with: `/`, but in tests.
    root: PathBuf,
    /// The name of IPA's unit.
    pub unit: Option<&'static str>,
    container: Option<Container>,
    reading: Option<Reading>,
    /// The unit's, where the process that runs goes before it.
    of_unit: Option<Reading>,
    /// Where the reading comes from.
    known_by: KnownBy,
    /// IPA's environment, as its unit gives it.
    pub environment: IpaEnvironment,
    /// Where it is installed.
    pub installation: Installation,
}

impl Image {
    /// Reads everything. `running` is the IPA that runs already: its arguments say more than its unit.
    pub fn of(root: &Path, running: Option<&IpaProcess>) -> Self {
        let mut image = unit::find(root).map(|unit| Self::of_unit(root, &unit)).unwrap_or_default();
        image.root = root.to_owned();
        if image.container.is_none() && image.installation.packages.is_none() {
            image.installation = Installation::find(root, None);
        }
        if let Some(reading) = running.and_then(|process| image.read_by(process)) {
            image.of_unit = image.reading.replace(reading);
            image.known_by = KnownBy::Process;
        }
        if let Some(own) = running.and_then(|process| process.environment.clone()) {
            image.environment = own;
        }
        image
    }

    fn of_unit(root: &Path, unit: &UnitFiles) -> Self {
        let service = Service::parse(unit.texts.iter().map(String::as_str));
        let files = texts(root, service.environment_files(unit.name).iter().map(Path::new));
        let variables = service.environment(unit.name, files.iter().map(String::as_str));
        // Of several commands the one that starts IPA counts.
        let commands = service.commands(unit.name, &variables);
        let mut found = commands.iter().filter_map(|command| {
            let container = Container::parse(command);
            Some((Reading::of_command(command, container.as_ref(), root)?, container, command))
        });
        let Some((reading, container, command)) = found.next() else {
            let environment = IpaEnvironment::of(&variables);
            return Self { unit: Some(unit.name), environment, ..Self::default() };
        };
        let (environment, installation) = match &container {
            None => {
                let programs = command.iter().filter(|word| word.starts_with('/')).take(PROGRAMS);
                let mut found = programs.map(|program| Installation::find(root, Some(program)));
                (IpaEnvironment::of(&variables), found.find(|found| found.packages.is_some()))
            }
            Some(container) => {
                let files = texts(root, container.environment_files().iter().map(PathBuf::as_path));
                let inside = container.environment(&variables, files.iter().map(String::as_str));
                (IpaEnvironment::of(&inside), None)
            }
        };
        Self {
            root: PathBuf::new(),
            unit: Some(unit.name),
            container,
            reading: Some(reading),
            of_unit: None,
            known_by: KnownBy::Unit,
            environment,
            installation: installation.unwrap_or_default(),
        }
    }

    /// The place of the drop-in; `given` is `--ipa.config-dir`.
    pub fn place(&self, given: Option<&Path>) -> Place {
        Place::of(self, given)
    }

    /// What IPA reads, in its order; `None` where that is unknown.
    pub fn sources(&self) -> Option<&[Source]> {
        self.reading.as_ref().map(|reading| reading.sources.as_slice())
    }

    /// The directories among that and in its unit: a drop-in of an earlier run may lie in each.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.reading.iter().chain(&self.of_unit).flat_map(Reading::directories)
    }

    /// Whether IPA's unit runs it in a container.
    pub fn in_container(&self) -> bool {
        self.container.is_some()
    }

    /// Whether there is an ironic-python-agent at all.
    pub fn has_ipa(&self) -> bool {
        self.unit.is_some() || self.installation.packages.is_some()
    }

    /// The certificates by which IPA verifies Ironic's where no `cafile` is given, and what says so. A directory of them is
    /// not taken.
    pub fn certificates(&self) -> Option<(PathBuf, &'static str)> {
        let of_unit = self.environment.ca_bundle.clone().filter(|_| self.container.is_none());
        let of_unit = of_unit.map(|path| at(&self.root, &path)).filter(|path| path.is_file());
        let certifi = self.installation.certificates.clone();
        of_unit.map(|path| (path, "REQUESTS_CA_BUNDLE")).or_else(|| Some((certifi?, "certifi")))
    }
}

fn texts<'a>(root: &Path, paths: impl Iterator<Item = &'a Path>) -> Vec<String> {
    paths.filter_map(|path| read(&at(root, path))).collect()
}

/// The text of a unit or of a file that it names; `None` for one that is larger than any real one.
fn read(path: &Path) -> Option<String> {
    let content = exporter::read_file(path).ok().filter(|content| content.len() <= FILE_BYTES)?;
    Some(String::from_utf8_lossy(&content).into_owned())
}

/// A path below the root that it is looked for in; an empty one is `/`.
fn at(root: &Path, path: &Path) -> PathBuf {
    let root = if root.as_os_str().is_empty() { Path::new("/") } else { root };
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests;
