//! Which configuration files an IPA reads, and in which order, from the command that starts it. Pure but for one look at
//! what exists.

use std::path::{Path, PathBuf};

use super::at;
use super::container::Container;

/// The program (ironic-python-agent's `setup.cfg`, `console_scripts`). oslo.config names its files by it, since IPA gives
/// no project (ironic_python_agent/cmd/agent.py).
const PROGRAM: &str = "ironic-python-agent";
/// Where oslo.config looks for these (oslo_config/cfg.py, `_get_config_dirs`): root's home, then /etc.
const DEFAULT_PARENTS: [&str; 2] = ["/root", "/etc"];
/// What the entry point of the container images reads (openshift/ironic-agent-image, Dockerfile.ocp).
const OF_IMAGES: &str = "/etc/ironic-python-agent";

/// How a container sees this host.
pub trait View {
    /// The path of this host behind a path in the container.
    fn on_host(&self, inside: &Path) -> Option<PathBuf>;
    /// The paths of this host that are mounted as configuration files right below a directory in the container, by their
    /// names there.
    fn mounted_in(&self, inside: &Path) -> Vec<PathBuf>;
}

/// One place that IPA reads on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The `*.conf` of a directory, by their names.
    Directory(PathBuf),
}

/// What an IPA reads; what comes later wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its places, as paths of this host.
    pub sources: Vec<Source>,
    /// Directories inside its container that no directory of this host leads to.
    pub(super) hidden: Vec<PathBuf>,
    /// The host that its command line tells it to advertise; that goes before every file.
    pub(super) advertise_host: Option<String>,
}

impl Reading {
    /// Reads the command of a unit; `None` where it starts IPA in a way that shows nothing of its options.
    pub fn of_command(command: &[String], container: Option<&Container>, root: &Path) -> Option<Self> {
        let Some(container) = container else {
            return Some(Self::of_options(behind_program(command)?.as_slice(), None, root));
        };
        let mut options = match container.entry_point() {
            None => vec!["--config-dir".to_owned(), OF_IMAGES.to_owned()],
            Some(_) => Vec::new(),
        };
        let arguments = &container.arguments;
        options.extend(behind_program(arguments).unwrap_or_else(|| arguments.clone()));
        Some(Self::of_options(&options, Some(container), root))
    }

    /// Reads the arguments of a process that is known to be IPA; `container` is what it sees of this host, if it is in one.
    pub fn of_process(arguments: &[String], container: Option<&dyn View>, root: &Path) -> Option<Self> {
        Some(Self::of_options(behind_program(arguments)?.as_slice(), container, root))
    }

    fn of_options(options: &[String], container: Option<&dyn View>, root: &Path) -> Self {
        let (mut given, mut reading) = (Vec::new(), Self::default());
        let mut options = options.iter().map(String::as_str);
        while let Some(option) = options.next() {
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option, None),
            };
            let mut value = || value.or_else(|| options.next()).unwrap_or_default();
            match name {
                "--config-file" => given.push(Source::File(absolute(value()))),
                "--config-dir" => given.push(Source::Directory(absolute(value()))),
                "--advertise_host" | "--advertise-host" => reading.advertise_host = Some(value().to_owned()),
                _ => {}
            }
        }
        // Of each kind the default counts where none is given, and before all that are given
        // (oslo_config/cfg.py, `_parse_config_files`).
        let parents = if container.is_some() { &DEFAULT_PARENTS[1..] } else { &DEFAULT_PARENTS[..] };
        let default = |suffix: &str| {
            let paths = parents.iter().map(|parent| Path::new(parent).join(format!("{PROGRAM}{suffix}")));
            let mut paths = paths.collect::<Vec<_>>().into_iter();
            let there = paths.clone().find(|path| container.is_none() && at(root, path).exists());
            there.or_else(|| paths.next_back()).unwrap_or_default()
        };
        let is_file = |source: &Source| matches!(source, Source::File(_));
        let mut sources = Vec::new();
        sources.extend((!given.iter().any(is_file)).then(|| Source::File(default(".conf"))));
        sources.extend(given.iter().all(is_file).then(|| Source::Directory(default(".conf.d"))));
        sources.extend(given);
        for source in sources {
            match (source, container) {
                (Source::File(path), None) => reading.sources.push(Source::File(at(root, &path))),
                (Source::Directory(path), None) => reading.sources.push(Source::Directory(at(root, &path))),
                (Source::File(path), Some(container)) => {
                    let host = container.on_host(&path);
                    reading.sources.extend(host.map(|path| Source::File(at(root, &path))));
                }
                (Source::Directory(path), Some(container)) => match container.on_host(&path) {
                    Some(host) => reading.sources.push(Source::Directory(at(root, &host))),
                    None => {
                        let files = container.mounted_in(&path).into_iter();
                        reading.sources.extend(files.map(|path| Source::File(at(root, &path))));
                        reading.hidden.push(path);
                    }
                },
            }
        }
        reading
    }

    /// The directories among the places.
    pub fn directories(&self) -> impl DoubleEndedIterator<Item = &Path> {
        self.sources.iter().filter_map(|source| match source {
            Source::Directory(path) => Some(path.as_path()),
            Source::File(_) => None,
        })
    }
}

/// The words behind IPA's name; a shell has its command in one word.
fn behind_program(words: &[String]) -> Option<Vec<String>> {
    let is_program = |word: &str| Path::new(word).file_name().is_some_and(|name| name == PROGRAM);
    if let Some(place) = words.iter().position(|word| is_program(word)) {
        return Some(words.get(place + 1..).unwrap_or_default().to_vec());
    }
    words.iter().filter(|word| word.contains(PROGRAM)).find_map(|command| {
        let words: Vec<_> = command.split_ascii_whitespace().map(str::to_owned).collect();
        let place = words.iter().position(|word| is_program(word))?;
        let behind = words.get(place + 1..).unwrap_or_default();
        Some(behind.iter().map(|word| word.trim_end_matches(';').to_owned()).collect())
    })
}

/// Services begin in `/`, and `~` is root's home.
fn absolute(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => Path::new("/root").join(rest),
        None => Path::new("/").join(path).components().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::words::split;

    const ROOT: &str = "/nowhere-at-all";

    fn shown(reading: &Reading) -> Vec<String> {
        let sources = reading.sources.iter().map(|source| match source {
            Source::File(path) | Source::Directory(path) => path.to_str().unwrap().replacen(ROOT, "", 1),
        });
        sources.collect()
    }

    fn of_command(line: &str) -> Option<Reading> {
        let command = split(line);
        let container = Container::parse(&command);
        Reading::of_command(&command, container.as_ref(), Path::new(ROOT))
    }

    #[test]
    fn options_take_the_place_of_the_defaults_of_their_kind() {
        const CONF: &str = "/etc/ironic-python-agent.conf";
        for (line, expected) in [
            ("/usr/bin/ironic-python-agent", &[CONF, "/etc/ironic-python-agent.conf.d"][..]),
            ("/x/ironic-python-agent --config-dir /a/ --debug --config-dir=/b", &[CONF, "/a", "/b"]),
            (
                "/x/ironic-python-agent --config-file /a --config-file=b",
                &["/etc/ironic-python-agent.conf.d", "/a", "/b"],
            ),
            ("/x/ironic-python-agent --config-dir ~/d --config-file /f", &["/root/d", "/f"]),
            ("/usr/bin/python3 -s /usr/bin/ironic-python-agent --config-dir /a", &[CONF, "/a"]),
            ("/bin/sh -c \"cd /; exec /x/ironic-python-agent --config-dir /a;\"", &[CONF, "/a"]),
        ] {
            assert_eq!(shown(&of_command(line).unwrap()), expected, "{line}");
        }
        assert_eq!(of_command("/usr/local/bin/start-agent --config-dir /a"), None);
        let flagged = of_command("/x/ironic-python-agent --advertise_host 192.0.2.1").unwrap();
        assert_eq!(flagged.advertise_host.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_container_reads_what_is_mounted() {
        const MOUNTS: &str = "--mount type=bind,src=/etc/ironic-python-agent.conf,dst=/etc/ironic-python-agent/ignition.conf \
                              --mount type=bind,src=/,dst=/mnt/coreos";
        let plain = of_command(&format!("podman run {MOUNTS} image")).unwrap();
        assert_eq!(shown(&plain), ["/etc/ironic-python-agent.conf"]);
        assert_eq!(plain.hidden, [Path::new("/etc/ironic-python-agent")]);
        let further = "--config-dir /mnt/coreos/etc/ironic-python-agent.d";
        let with = of_command(&format!("podman run {MOUNTS} image {further}")).unwrap();
        assert_eq!(shown(&with), ["/etc/ironic-python-agent.conf", "/etc/ironic-python-agent.d"]);
        let mounted = of_command("podman run -v /srv/ipa:/etc/ironic-python-agent image").unwrap();
        assert_eq!((shown(&mounted), mounted.hidden.len()), (vec!["/srv/ipa".to_owned()], 0));
        let own = of_command("podman run --entrypoint ironic-python-agent -v /etc:/etc image").unwrap();
        assert_eq!(shown(&own), ["/etc/ironic-python-agent.conf", "/etc/ironic-python-agent.conf.d"]);
    }
}
