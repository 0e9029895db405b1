//! A command that runs a container: `podman run`, and others that take the same options (podman-run(1)). Pure.

use std::path::{Path, PathBuf};

use super::reading::View;
use super::service::pair;
use super::words::Variables;

/// The programs, by their base names.
const PROGRAMS: [&str; 3] = ["podman", "docker", "nerdctl"];

/// Options of `run` that have no value, long and short. What is not here takes one.
const SWITCHES: [&str; 29] = [
    "--privileged",
    "--rm",
    "--rmi",
    "--detach",
    "--init",
    "--interactive",
    "--tty",
    "--read-only",
    "--no-hosts",
    "--no-hostname",
    "--no-healthcheck",
    "--http-proxy",
    "--env-host",
    "--replace",
    "--tls-verify",
    "--quiet",
    "--publish-all",
    "--sig-proxy",
    "--passwd",
    "--read-only-tmpfs",
    "--disable-content-trust",
    "--oom-kill-disable",
    "--unsetenv-all",
    "--rootfs",
    "--help",
    "-d",
    "-i",
    "-t",
    "-q",
];

/// Variables that podman passes on by itself (podman-run(1), `--http-proxy`).
const PASSED_ON: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];

/// A file or directory of this host that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    host: PathBuf,
    inside: PathBuf,
}

/// What a command says of the container that it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    mounts: Vec<Mount>,
    entry_point: Option<String>,
    /// What stands behind the image's name.
    pub arguments: Vec<String>,
    given: Vec<String>,
    env_files: Vec<PathBuf>,
    all_variables: bool,
    without_proxy: bool,
}

impl Container {
    /// Reads a command; `None` where it runs no container.
    pub fn parse(command: &[String]) -> Option<Self> {
        let (program, words) = command.split_first()?;
        let program = Path::new(program).file_name()?.to_str()?;
        if !PROGRAMS.contains(&program) {
            return None;
        }
        let run = words.iter().position(|word| word == "run")?;
        let mut words = words.iter().skip(run + 1).map(String::as_str);
        let mut container = Self::default();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                container.arguments = words.map(str::to_owned).collect(); // This one was the image.
                return Some(container);
            }
            match word.split_once('=') {
                Some((option, value)) => container.take(option, value),
                // Several short ones in one, such as -it.
                None if SWITCHES.contains(&word) || is_group(word) => container.take(word, "true"),
                None => container.take(word, words.next()?),
            }
        }
        None
    }

    fn take(&mut self, option: &str, value: &str) {
        match option {
            "-v" | "--volume" => {
                let mut parts = value.split(':');
                if let (Some(host), Some(inside)) = (parts.next(), parts.next()) {
                    self.mount(host, inside);
                }
            }
            "--mount" => {
                let field = |names: &[&str]| {
                    let mut fields = value.split(',').filter_map(|field| field.split_once('='));
                    fields.find(|(name, _)| names.contains(name)).map(|(_, value)| value)
                };
                let (host, inside) = (field(&["src", "source"]), field(&["dst", "destination", "target"]));
                if let (Some("bind"), Some(host), Some(inside)) = (field(&["type"]), host, inside) {
                    self.mount(host, inside);
                }
            }
            "-e" | "--env" => self.given.push(value.to_owned()),
            "--env-file" => self.env_files.push(value.into()),
            "--env-host" => self.all_variables = value == "true",
            "--http-proxy" => self.without_proxy = value == "false",
            "--entrypoint" => self.entry_point = Some(value.to_owned()),
            _ => {}
        }
    }

    /// A volume with a name of its own is no path of this host.
    fn mount(&mut self, host: &str, inside: &str) {
        if host.starts_with('/') {
            self.mounts.push(Mount { host: host.into(), inside: inside.into() });
        }
    }

    /// The image's own entry point is replaced by this one.
    pub fn entry_point(&self) -> Option<&str> {
        self.entry_point.as_deref()
    }

    /// How the container sees a path of this host, as far as whole directories are mounted.
    pub fn seen_within(&self, host: &Path) -> Option<PathBuf> {
        let mounts = self.mounts.iter().filter(|mount| host.starts_with(&mount.host));
        let mount = mounts.max_by_key(|mount| mount.host.components().count())?;
        Some(mount.inside.join(host.strip_prefix(&mount.host).ok()?))
    }

    /// The files of `--env-file`.
    pub fn environment_files(&self) -> &[PathBuf] {
        &self.env_files
    }

    /// What of the unit's environment reaches the container, and what the command adds.
    pub fn environment<'a>(&self, unit: &Variables, files: impl IntoIterator<Item = &'a str>) -> Variables {
        let passes = |name: &str| {
            let is_proxy = PASSED_ON.contains(&name.to_ascii_lowercase().as_str());
            self.all_variables || (is_proxy && !self.without_proxy)
        };
        let passed =
            unit.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone()));
        let mut variables: Variables = passed.collect();
        let lines = files.into_iter().flat_map(str::lines).filter(|line| !line.starts_with('#'));
        variables.extend(lines.filter_map(pair));
        for word in &self.given {
            match (pair(word), unit.get(word)) {
                (Some((name, value)), _) => drop(variables.insert(name, value)),
                (None, Some(value)) => drop(variables.insert(word.clone(), value.clone())),
                (None, None) => {}
            }
        }
        variables
    }
}

impl View for Container {
    fn on_host(&self, inside: &Path) -> Option<PathBuf> {
        let mounts = self.mounts.iter().filter(|mount| inside.starts_with(&mount.inside));
        let mount = mounts.max_by_key(|mount| mount.inside.components().count())?;
        let rest = inside.strip_prefix(&mount.inside).ok()?;
        Some(if rest.as_os_str().is_empty() { mount.host.clone() } else { mount.host.join(rest) })
    }

    fn mounted_in(&self, inside: &Path) -> Vec<PathBuf> {
        let is_config = |path: &Path| path.extension().is_some_and(|kind| kind == "conf");
        let below = |mount: &&Mount| mount.inside.parent() == Some(inside) && is_config(&mount.inside);
        let mut found: Vec<_> = self.mounts.iter().filter(below).collect();
        found.sort_by(|one, other| one.inside.cmp(&other.inside));
        found.into_iter().map(|mount| mount.host.clone()).collect()
    }
}

/// Short switches in one word.
fn is_group(word: &str) -> bool {
    let letters = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or_default();
    letters.len() > 1 && letters.chars().all(|letter| "ditqP".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::words::split;

    fn parse(line: &str) -> Option<Container> {
        Container::parse(&split(line))
    }

    #[test]
    fn options_end_at_the_image() {
        let container = parse(
            "/usr/bin/podman --log-level debug run --rm -it --privileged --network host --name ipa \
             -v /etc/ipa:/etc/ironic-python-agent:ro,z --mount type=bind,source=/,target=/mnt/host \
             -v cache:/var/cache --env A=1 quay.io/ipa:latest --config-dir /x --privileged",
        );
        let container = container.unwrap();
        assert_eq!(container.arguments, ["--config-dir", "/x", "--privileged"]);
        let on_host = |inside: &str| container.on_host(Path::new(inside));
        assert_eq!(on_host("/etc/ironic-python-agent"), Some("/etc/ipa".into()));
        assert_eq!(on_host("/mnt/host/etc/x.d"), Some("/etc/x.d".into()));
        assert_eq!((on_host("/etc"), on_host("/var/cache")), (None, None));
        assert_eq!(container.seen_within(Path::new("/etc/ipa/x")), Some("/etc/ironic-python-agent/x".into()));
        assert_eq!(container.seen_within(Path::new("/run/x")), Some("/mnt/host/run/x".into()));
        for none in ["/usr/bin/podman start ipa", "/usr/bin/ironic-python-agent run x", "podman run --rm", ""]
        {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_proxy_is_passed_on_and_the_rest_is_not() {
        let unit = [("HTTP_PROXY", "p"), ("A", "1"), ("B", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let inside = |options: &str| {
            let container = parse(&format!("podman run {options} image")).unwrap();
            let variables = container.environment(&unit, ["C=3\n#D=4\n"]);
            variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(inside(""), "C=3 HTTP_PROXY=p");
        assert_eq!(inside("--http-proxy=false -e A --env=X=y --env Z"), "A=1 C=3 X=y");
        assert_eq!(inside("--env-host"), "A=1 B=2 C=3 HTTP_PROXY=p");
    }
}
