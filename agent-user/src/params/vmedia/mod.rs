//! Parameters and configuration on virtual media, found as IPA finds them (`_get_vmedia_params` and
//! `copy_config_from_vmedia` in `ironic_python_agent/utils.py`), but without a subprocess and from memory: the medium
//! may vanish later.

mod devices;
mod mount;
pub mod superblock;

use std::collections::BTreeMap;
use std::ffi::OsStr;

use text::printable;

use self::devices::Device;
use self::mount::Mounted;
use super::cmdline;
use super::ipa_files::{Directory, MediumFile, is_config};
use super::places::Places;
use super::problem::{Problem, Source};
use super::spec::is_kernel_name;

/// The label of the medium with the parameters.
const PARAMETERS_LABELS: [&str; 1] = ["ir-vfd-dev"];

/// The labels of media with configuration files for IPA.
const CONFIG_LABELS: [&str; 2] = ["config-2", "vmedia_boot_iso"];

/// The file with the parameters.
const PARAMETERS_FILE: &str = "parameters.txt";

/// What the media hold.
#[derive(Default)]
pub(super) struct Media {
    /// Device and file of the parameters, for people.
    pub(super) place: String,
    /// The words of `parameters.txt`. No `Debug`: the agent token may be among them.
    pub(super) parameters: BTreeMap<String, String>,
    /// What IPA will copy to its configuration directories.
    pub(super) config_files: Vec<MediumFile>,
}

impl Media {
    /// Whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.config_files.is_empty()
    }
}

/// Reads the media of this machine. Without one there is nothing to say: many machines that boot from virtual media
/// have everything on their kernel command line.
pub(super) fn read(places: &Places, problems: &mut Vec<Problem>) -> Media {
    let devices = devices::find(places, problems);
    let mut media = Media::default();
    let with_parameters = devices
        .iter()
        .find(|device| device.is_labelled(&PARAMETERS_LABELS))
        .or_else(|| devices.iter().find(|device| device.model_says_so));
    if let Some(device) = with_parameters {
        read_parameters(device, &mut media, problems);
    }
    if let Some(device) = devices.iter().find(|device| device.is_labelled(&CONFIG_LABELS)) {
        read_config(device, &mut media, problems);
    }
    media
}

fn read_parameters(device: &Device, media: &mut Media, problems: &mut Vec<Problem>) {
    let place = format!("{} {PARAMETERS_FILE}", device.node.display());
    let Some(mounted) = mount(device, problems) else {
        return;
    };
    match mounted.read(&[], OsStr::new(PARAMETERS_FILE)) {
        Ok(Some(content)) => {
            media.parameters = cmdline::parse(&content, is_kernel_name);
            media.place = place;
        }
        Ok(None) => problems.push(unreadable(&place, "there is no such file on it")),
        Err(error) => problems.push(unreadable(&place, error)),
    }
}

fn read_config(device: &Device, media: &mut Media, problems: &mut Vec<Problem>) {
    let Some(mounted) = mount(device, problems) else {
        return;
    };
    for (directory, path) in [
        (Directory::Plain, ["etc", "ironic-python-agent"]),
        (Directory::DropIns, ["etc", "ironic-python-agent.d"]),
    ] {
        let place = format!("{} {}", device.node.display(), path.join("/"));
        let names = match mounted.names(&path, is_config) {
            Ok(names) => names,
            Err(error) => {
                problems.push(unreadable(&place, error));
                continue;
            }
        };
        for name in names {
            let place = format!("{place}/{}", name.to_string_lossy());
            match mounted.read(&path, &name) {
                Ok(Some(content)) => {
                    media.config_files.push(MediumFile { directory, name, place: printable(&place), content })
                }
                Ok(None) => {}
                Err(error) => problems.push(unreadable(&place, error)),
            }
        }
    }
}

fn mount(device: &Device, problems: &mut Vec<Problem>) -> Option<Mounted> {
    let place = device.node.to_string_lossy();
    let Some(superblock) = &device.superblock else {
        problems.push(unreadable(&place, "there is no vfat, iso9660 or ext4 on it"));
        return None;
    };
    let mounted = Mounted::new(&device.node, superblock.file_system).map_err(|error| {
        let file_system = superblock.file_system.as_str();
        unreadable(&place, format!("mounting it as {file_system}: {error}"))
    });
    mounted.map_err(|problem| problems.push(problem)).ok()
}

fn unreadable(place: &str, reason: impl std::fmt::Display) -> Problem {
    Problem::unreadable("vmedia", Source::Vmedia, place, reason)
}
