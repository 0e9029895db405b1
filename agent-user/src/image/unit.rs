//! Finds a systemd unit that is going to start ironic-python-agent, and reads it with its drop-ins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// How images name it: ironic-python-agent-builder, RDO's package, the images for CoreOS.
pub const UNITS: [&str; 3] =
    ["ironic-python-agent.service", "openstack-ironic-python-agent.service", "ironic-agent.service"];
/// Where units lie, the first wins (systemd.unit(5), "Unit File Load Path").
const DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];
/// Directories of links to the units that another unit starts (systemd.unit(5)).
const LINKS: [&str; 3] = ["wants", "requires", "upholds"];

/// A unit and its drop-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFiles {
    /// The unit's name.
    pub name: &'static str,
    /// The texts, the unit's own first.
    pub texts: Vec<String>,
}

/// The name of a unit of IPA's that is installed, and neither masked nor disabled.
pub fn installed() -> Option<&'static str> {
    installed_in(Path::new("/"))
}

/// The unit of IPA's that this process belongs to.
pub fn of_process(pid: u32) -> Option<&'static str> {
    of_cgroups(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("cgroup")).ok()?)
}

/// In the text of proc_pid_cgroup (cgroups(7)): the unit is a part of the path.
fn of_cgroups(cgroups: &str) -> Option<&'static str> {
    let mut parts = cgroups.lines().flat_map(|line| line.split('/'));
    parts.find_map(|part| UNITS.into_iter().find(|name| *name == part))
}

fn installed_in(root: &Path) -> Option<&'static str> {
    let directories = DIRECTORIES.map(|directory| root.join(directory));
    UNITS.into_iter().find(|name| starts(&directories, name))
}

/// The programs that units of IPA's start, of every unit that there is.
#[cfg(feature = "ebpf")]
pub fn commands() -> Vec<PathBuf> {
    commands_in(Path::new("/"))
}

#[cfg(feature = "ebpf")]
fn commands_in(root: &Path) -> Vec<PathBuf> {
    let directories = DIRECTORIES.map(|directory| root.join(directory));
    let texts = UNITS.into_iter().filter_map(|name| texts(root, &directories, name)).flatten();
    let commands = texts.flat_map(|text| {
        let values = text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
        // Before the path may stand what systemd.service(5) calls special executable prefixes.
        let programs = values.filter_map(|value| {
            value.trim_start_matches(['@', '-', ':', '+', '!']).split_whitespace().next()
        });
        programs.filter(|program| program.starts_with('/')).map(PathBuf::from).collect::<Vec<_>>()
    });
    commands.collect()
}

/// IPA's unit below this root: one that is going to start, else one that is there and not masked.
pub fn find(root: &Path) -> Option<UnitFiles> {
    let directories = DIRECTORIES.map(|directory| root.join(directory));
    let read = |name| Some(UnitFiles { name, texts: texts(root, &directories, name)? });
    installed_in(root).and_then(read).or_else(|| UNITS.into_iter().find_map(read))
}

/// The unit's text and those of its drop-ins. A drop-in takes the place of one with the same name in a later directory.
fn texts(root: &Path, directories: &[PathBuf], name: &str) -> Option<Vec<String>> {
    let mut texts = vec![text(root, &file_of(directories, name)?).filter(|text| !text.is_empty())?];
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories.iter().rev() {
        let entries = fs::read_dir(directory.join(format!("{name}.d"))).into_iter().flatten().flatten();
        let files = entries
            .filter(|entry| Path::new(&entry.file_name()).extension().is_some_and(|kind| kind == "conf"));
        drop_ins.extend(files.map(|entry| (entry.file_name(), entry.path())));
    }
    texts.extend(drop_ins.into_values().filter_map(|file| text(root, &file)));
    Some(texts)
}

/// The text of a file; one behind a link is looked for below the root.
fn text(root: &Path, file: &Path) -> Option<String> {
    let target = fs::read_link(file).ok().filter(|target| target.is_absolute());
    let file = target.map_or_else(|| file.to_owned(), |target| super::at(root, &target));
    super::read(&file)
}

fn file_of(directories: &[PathBuf], name: &str) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|file| is_there(file))
}

/// As `systemctl is-enabled` decides: enabled by a link, or static, which has nothing to enable it by.
fn starts(directories: &[PathBuf], name: &str) -> bool {
    let Some(file) = file_of(directories, name) else {
        return false;
    };
    // Masked: a link to /dev/null, or an empty file.
    let Ok(content) = exporter::read_file(&file) else {
        return false;
    };
    !content.is_empty()
        && (is_static(&String::from_utf8_lossy(&content))
            || directories.iter().any(|directory| is_wanted(directory, name)))
}

/// Whether there is a file or link of this name, wherever the link leads.
fn is_there(file: &Path) -> bool {
    fs::symlink_metadata(file).is_ok()
}

fn is_wanted(directory: &Path, name: &str) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        let kind = path.extension().and_then(|extension| extension.to_str());
        kind.is_some_and(|kind| LINKS.contains(&kind)) && is_there(&path.join(name))
    })
}

/// Whether its section `[Install]` says nothing.
fn is_static(content: &str) -> bool {
    let mut section = "";
    !content.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section == "[Install]" && line.split_once('=').is_some_and(|(_, value)| !value.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use testbed::site::Directory;

    use super::*;

    const WANTED: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    const STATIC: &str = "[Unit]\nWants=x\n[Service]\nExecStart=/bin/true\n[Install]\n";

    /// A unit that lies in this directory.
    fn root(name: &str, file: &str, content: &str) -> Directory {
        let root = Directory::new(name);
        root.write(file, content);
        root
    }

    #[test]
    fn it_counts_where_it_is_enabled_or_static() {
        assert_eq!(installed_in(Path::new("/nowhere")), None);
        let disabled = root("unit-off", "usr/lib/systemd/system/ironic-python-agent.service", WANTED);
        assert_eq!(installed_in(disabled.path()), None);
        disabled.write("usr/lib/systemd/system/multi-user.target.wants/other.service", "");
        assert_eq!(installed_in(disabled.path()), None);
        disabled.write("etc/systemd/system/multi-user.target.wants/x", "");
        let link = disabled.file("etc/systemd/system/multi-user.target.wants/ironic-python-agent.service");
        symlink("/usr/lib/systemd/system/ironic-python-agent.service", link).unwrap();
        assert_eq!(installed_in(disabled.path()), Some("ironic-python-agent.service"));
        let fixed = root("unit-static", "etc/systemd/system/ironic-agent.service", STATIC);
        assert_eq!(installed_in(fixed.path()), Some("ironic-agent.service"));
    }

    #[test]
    #[cfg(feature = "ebpf")]
    fn the_programs_of_units_are_read() {
        let name = "usr/lib/systemd/system/openstack-ironic-python-agent.service";
        let content = "[Service]\nExecStartPre=/bin/x\nExecStart=-/usr/bin/ironic-python-agent --debug\nExecStart=relative\n";
        let root = root("unit-commands", name, content);
        assert_eq!(commands_in(root.path()), [PathBuf::from("/usr/bin/ironic-python-agent")]);
        assert!(commands_in(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn a_process_belongs_to_the_unit_of_its_cgroup() {
        let hybrid = "4:memory:/x\n1:name=systemd:/system.slice/ironic-agent.service\n0::/\n";
        assert_eq!(of_cgroups(hybrid), Some("ironic-agent.service"));
        let unified = "0::/system.slice/ironic-python-agent.service/payload\n";
        assert_eq!(of_cgroups(unified), Some("ironic-python-agent.service"));
        assert_eq!(of_cgroups("0::/user.slice/user-0.slice/session-1.scope\n"), None);
    }

    #[test]
    fn a_masked_one_does_not_count() {
        let name = "openstack-ironic-python-agent.service";
        let masked = root("unit-mask", &format!("usr/lib/systemd/system/{name}"), STATIC);
        assert_eq!(installed_in(masked.path()), Some(name));
        masked.write(&format!("run/systemd/system/{name}"), "");
        assert_eq!(installed_in(masked.path()), None, "an empty file masks");
        masked.write("etc/systemd/system/x", "");
        symlink("/dev/null", masked.file(&format!("etc/systemd/system/{name}"))).unwrap();
        fs::remove_file(masked.file(&format!("run/systemd/system/{name}"))).unwrap();
        assert_eq!(installed_in(masked.path()), None, "a link to /dev/null masks");
    }
}
