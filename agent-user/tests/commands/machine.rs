//! A machine in a directory: its kernel command line, /etc, environment and block devices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ipa_sidecar::inside::{Image, Loaded, ParamsError, Places, flags, load_from, mode_flag};
use testbed::site::Directory;

pub struct Machine {
    pub root: Directory,
    pub environment: BTreeMap<String, String>,
    pub dev: PathBuf,
    /// What the image says of its IPA.
    pub image: Image,
}

impl Machine {
    pub fn new() -> Self {
        let root = Directory::new("machine");
        std::fs::create_dir(root.file("block")).unwrap();
        let image = Image::default();
        let machine = Self { dev: root.file("dev"), root, environment: BTreeMap::new(), image };
        machine.write("cmdline", "quiet");
        machine
    }

    pub fn path(&self, name: &str) -> String {
        self.root.file(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.root.write(name, content);
    }

    /// A drop-in of IPA's.
    pub fn drop_in(&self, name: &str, content: &str) {
        self.write(&format!("etc/ironic-python-agent.d/{name}"), content);
    }

    /// A block device as sysfs shows it.
    pub fn device(&self, name: &str, attributes: &[(&str, &str)]) {
        for (attribute, value) in attributes {
            self.write(&format!("block/{name}/{attribute}"), value);
        }
    }

    /// Loads as `run` does; directories of the machine are given as flags.
    pub fn load(&self, arguments: &[&str]) -> Result<Loaded, ParamsError> {
        self.load_with_drop_ins_in("etc/ironic-python-agent.d", arguments)
    }

    /// The same with another directory of IPA's drop-ins.
    pub fn load_with_drop_ins_in(&self, directory: &str, arguments: &[&str]) -> Result<Loaded, ParamsError> {
        let drop_ins = format!("--ipa.config-dir={}", self.path(directory));
        self.load_as_given(&[&[drop_ins.as_str()], arguments].concat())
    }

    /// The same with no directory but what the arguments give.
    pub fn load_as_given(&self, arguments: &[&str]) -> Result<Loaded, ParamsError> {
        let places = Places {
            environment: self.environment.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
            etc: self.root.file("etc"),
            sys_class_block: self.root.file("block"),
            dev: self.dev.clone(),
            image: self.image.clone(),
        };
        let cmdline = format!("--cmdline.path={}", self.path("cmdline"));
        let words = ["run", &cmdline];
        let words = words.iter().chain(arguments);
        let command = mode_flag(flags(clap::Command::new("run")));
        load_from(&command.try_get_matches_from(words).unwrap(), &places)
    }
}

/// Value, source and detail of a parameter.
pub fn entry(loaded: &Loaded, name: &str) -> (String, &'static str, String) {
    let entry = loaded.entry(name).unwrap_or_else(|| panic!("no entry {name}"));
    (entry.value.to_string(), entry.source.as_str(), entry.detail.clone())
}

/// Runs a tool of the test; `None` where it is not installed.
pub fn tool(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A loop device over an image; taken away with it.
pub struct LoopDevice {
    pub node: PathBuf,
}

impl LoopDevice {
    pub fn new(image: &Path) -> Self {
        let arguments = ["--find", "--show", "--read-only", image.to_str().unwrap()];
        let node = tool("losetup", &arguments).expect("losetup is part of util-linux");
        Self { node: node.trim().into() }
    }

    pub fn name(&self) -> &str {
        self.node.file_name().unwrap().to_str().unwrap()
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = tool("losetup", &["--detach", self.node.to_str().unwrap()]);
    }
}
