//! How the IPA that runs was started, read from /proc: its arguments, its mounts, and its environment where we may.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::environment::{self, Variables};
use super::judge::Override;
use super::mounts::identity;
use crate::ipa::place::Reads;
use crate::params::DROPIN_NAME;

/// Far more than the arguments of IPA, or its environment.
const MOST: u64 = 64 * 1024;
/// What oslo.config reads where no `--config-dir` is given (oslo_config/cfg.py, `find_config_dirs`, for the project
/// ironic-python-agent).
const DEFAULT_DIRECTORIES: [&str; 2] =
    ["/etc/ironic-python-agent/ironic-python-agent.conf.d", "/etc/ironic-python-agent.conf.d"];
/// The variable that goes before every file (oslo_config/sources/_environment.py).
const VARIABLE: &str = "OS_DEFAULT__ADVERTISE_HOST";
/// The argument that goes before that; IPA's option as oslo.config names it.
const ARGUMENT: &str = "--advertise-host";

/// How it was started.
#[derive(Debug, Clone, Default)]
pub struct Started {
    arguments: Vec<String>,
    /// Of its process, where we may read that; else of its unit.
    pub variables: Variables,
    mountinfo: String,
    /// Whether the drop-in is among the files that it reads.
    pub reads: Reads,
}

impl Started {
    /// Reads it; `None` where the process has ended. Its environment wants the right to trace it (ptrace(2)); without
    /// that the unit's counts.
    pub fn read(pid: u32, directory: &Path) -> Option<Self> {
        let process = Path::new("/proc").join(pid.to_string());
        let command = read(&process.join("cmdline"))?;
        let words = command.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mountinfo = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        let variables = match read(&process.join("environ")) {
            Some(bytes) => environment::of_process(&bytes),
            None => of_unit(&mountinfo),
        };
        let mut started = Self { arguments: words.collect(), variables, mountinfo, reads: Reads::Unknown };
        started.reads = started.reads_with(&own_mounts(), directory);
        Some(started)
    }

    /// The directories whose files it reads, as it names them.
    pub fn directories(&self) -> Vec<PathBuf> {
        let given: Vec<_> = self.values("--config-dir").map(PathBuf::from).collect();
        if given.is_empty() { DEFAULT_DIRECTORIES.map(PathBuf::from).into() } else { given }
    }

    fn reads_with(&self, own: &str, directory: &Path) -> Reads {
        let root = Path::new("/");
        let (Some(our_root), Some(its_root)) = (identity(own, root), identity(&self.mountinfo, root)) else {
            return Reads::Unknown;
        };
        // Links are followed where they are the same for both.
        let followed = |path: &Path| match our_root == its_root {
            true => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            false => path.to_owned(),
        };
        let ours = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let is =
            |path: &Path, wanted: &Path| identity(&self.mountinfo, &followed(path)) == identity(own, wanted);
        let mut directories = self.directories();
        let is_file = self.values("--config-file").any(|file| is(Path::new(file), &ours.join(DROPIN_NAME)));
        if directories.iter().any(|path| path.is_relative()) {
            return Reads::Unknown; // Below its working directory, which only its user may look at.
        }
        match is_file || directories.drain(..).any(|path| is(&path, &ours)) {
            true => Reads::Yes,
            false => Reads::No,
        }
    }

    /// The host that it was started with, whatever its files say.
    pub fn overridden(&self) -> Option<Override> {
        let argument = self.values(ARGUMENT).chain(self.values("--advertise_host")).last();
        let variable = environment::value(&self.variables, VARIABLE);
        let of = |by, host: Option<&str>| host.map(|host| Override { by, host: host.to_owned() });
        of(ARGUMENT, argument).or_else(|| of(VARIABLE, variable))
    }

    /// It speaks to no Ironic (ironic_python_agent/config.py, `standalone`).
    pub fn is_standalone(&self) -> bool {
        self.arguments.iter().any(|word| word == "--standalone")
    }

    /// The values of an option, as `--option VALUE` or `--option=VALUE`.
    fn values<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        let mut words = self.arguments.iter();
        std::iter::from_fn(move || {
            loop {
                let rest = words.next()?.strip_prefix(option);
                match rest {
                    Some("") => return words.next().map(String::as_str),
                    Some(rest) if rest.starts_with('=') => return rest.strip_prefix('='),
                    _ => {}
                }
            }
        })
    }
}

fn own_mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// A container gets the variables of its unit only where it is told so, and those of a proxy by itself (podman-run(1),
/// `--http-proxy`).
fn of_unit(mountinfo: &str) -> Variables {
    let root = |mounts: &str| identity(mounts, Path::new("/"));
    let is_container = root(mountinfo) != root(&own_mounts());
    let mut variables = environment::of_unit(Path::new("/"));
    variables.retain(|(name, _)| !is_container || name.to_ascii_lowercase().ends_with("_proxy"));
    variables
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "21 1 0:2 / / rw - rootfs rootfs rw\n";
    const CONTAINER: &str =
        "50 40 0:77 / / rw - overlay overlay rw\n51 50 0:2 / /mnt/coreos rw - rootfs rootfs rw\n";

    fn started(words: &[&str], mountinfo: &str) -> Started {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        Started { arguments, mountinfo: mountinfo.to_owned(), ..Started::default() }
    }

    #[test]
    fn the_directories_are_those_of_the_arguments_or_oslos() {
        let builder = "/etc/ironic-python-agent.d";
        for (words, mountinfo, directory, expected) in [
            (&["--config-dir", "/etc/ironic-python-agent.d/"][..], HOST, builder, Reads::Yes),
            (&["--config-dir=/etc/ironic-python-agent.d", "--debug"], HOST, builder, Reads::Yes),
            (&["--config-dir", "/etc/a", "--config-dir", builder], HOST, builder, Reads::Yes),
            (&["--config-file=/etc/ironic-python-agent.d/zz-ipa-sidecar.conf"], HOST, builder, Reads::Yes),
            (&[], HOST, builder, Reads::No),
            (&["--config-file", "/etc/x.conf"], HOST, builder, Reads::No),
            (&["--config-dir", "/etc/a"], HOST, builder, Reads::No),
            (&[], HOST, "/etc/ironic-python-agent.conf.d", Reads::Yes),
            (&["--config-dir", "etc"], HOST, builder, Reads::Unknown),
            (&["--config-dir", builder], CONTAINER, builder, Reads::No),
            (&["--config-dir", "/mnt/coreos/etc/ironic-python-agent.d"], CONTAINER, builder, Reads::Yes),
            (&["--config-dir", builder], "", builder, Reads::Unknown),
        ] {
            let words = [&["/usr/bin/python3", "/usr/bin/ironic-python-agent"], words].concat();
            let reads = started(&words, mountinfo).reads_with(HOST, Path::new(directory));
            assert_eq!(reads, expected, "{words:?} {directory}");
        }
    }

    #[test]
    fn an_argument_goes_before_the_environment() {
        let mut ipa = started(&["ironic-python-agent", "--advertise-host", "192.0.2.1"], HOST);
        ipa.variables = vec![(VARIABLE.to_owned(), "192.0.2.2".to_owned())];
        let by = |ipa: &Started| ipa.overridden().map(|other| (other.by, other.host));
        assert_eq!(by(&ipa), Some((ARGUMENT, "192.0.2.1".to_owned())));
        ipa.arguments.truncate(1);
        assert_eq!(by(&ipa), Some((VARIABLE, "192.0.2.2".to_owned())));
        ipa.variables.clear();
        assert_eq!(by(&ipa), None);
    }

    #[test]
    fn this_process_is_read() {
        let own = Started::read(std::process::id(), Path::new("/etc")).unwrap();
        assert!(!own.arguments.is_empty() && !own.variables.is_empty() && !own.mountinfo.is_empty());
        assert_eq!(own.reads, Reads::No);
        assert!(Started::read(u32::MAX, Path::new("/etc")).is_none());
    }
}
