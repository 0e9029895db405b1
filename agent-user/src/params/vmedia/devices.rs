//! Which block devices may be virtual media: what lsblk tells IPA (`_check_vmedia_device` in
//! `ironic_python_agent/utils.py`), read from sysfs.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::superblock::{Superblock, identify};
use crate::params::Places;
use crate::params::problem::{Problem, Source};

/// A USB disk of this size or more is no virtual medium, in bytes.
const USB_SIZE_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// The unit of `size` in sysfs, in bytes, whatever the device's own sectors are (block/genhd.c).
const SYSFS_SECTOR: u64 = 512;

/// The SCSI device type of CD-ROMs (include/scsi/scsi_proto.h, TYPE_ROM).
const SCSI_ROM: &str = "5";

/// A device that may be virtual media.
pub(super) struct Device {
    /// Its node in /dev.
    pub(super) node: PathBuf,
    /// What is on it, where that is known.
    pub(super) superblock: Option<Superblock>,
    /// Whether the model calls itself "virtual media".
    pub(super) model_says_so: bool,
}

impl Device {
    /// Whether it has one of these labels, in any case.
    pub(super) fn is_labelled(&self, labels: &[&str]) -> bool {
        let superblock = self.superblock.as_ref();
        superblock.is_some_and(|found| labels.iter().any(|label| label.eq_ignore_ascii_case(&found.label)))
    }
}

/// Every such device with a medium in it, by name.
pub(super) fn find(places: &Places, problems: &mut Vec<Problem>) -> Vec<Device> {
    let entries = match std::fs::read_dir(&places.sys_class_block) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let place = places.sys_class_block.to_string_lossy();
            problems.push(Problem::unreadable("vmedia", Source::Vmedia, &place, error));
            return Vec::new();
        }
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let mut devices = Vec::new();
    for name in names {
        let sysfs = places.sys_class_block.join(&name);
        if !may_be_medium(&sysfs, &name) {
            continue;
        }
        let node = places.dev.join(&name);
        match read_superblock(&node) {
            Ok(superblock) => devices.push(Device {
                node,
                superblock,
                model_says_so: attribute(&sysfs, "device/model").to_lowercase().contains("virtual media"),
            }),
            Err(error) if is_empty_drive(&error) => {}
            Err(error) => {
                let place = node.to_string_lossy();
                problems.push(Problem::unreadable("vmedia", Source::Vmedia, &place, error));
            }
        }
    }
    devices
}

/// A CD-ROM, or a USB disk under 4 GiB; no partition, nothing without a size.
fn may_be_medium(sysfs: &Path, name: &OsStr) -> bool {
    if sysfs.join("partition").exists() {
        return false;
    }
    let Ok(sectors) = attribute(sysfs, "size").parse::<u64>() else {
        return false;
    };
    if sectors == 0 {
        return false;
    }
    let kind = attribute(sysfs, "device/type");
    if kind == SCSI_ROM || kind.is_empty() && name.to_string_lossy().starts_with("sr") {
        return true;
    }
    let small = sectors < USB_SIZE_MAX / SYSFS_SECTOR;
    small && std::fs::canonicalize(sysfs).is_ok_and(|path| is_below_usb(&path))
}

/// Whether a device's path in sysfs leads over a USB bus, like `.../pci0000:00/0000:00:14.0/usb1/...`.
fn is_below_usb(path: &Path) -> bool {
    path.iter().any(|part| {
        let bus = part.to_str().and_then(|part| part.strip_prefix("usb"));
        bus.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    })
}

fn attribute(sysfs: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(sysfs.join(name)).unwrap_or_default();
    text.trim().to_owned()
}

fn is_empty_drive(error: &io::Error) -> bool {
    [Errno::NOMEDIUM, Errno::NXIO, Errno::NOENT]
        .map(Errno::raw_os_error)
        .contains(&error.raw_os_error().unwrap_or(0))
}

/// Opens as udev does: O_NONBLOCK, so that a drive's tray is left alone.
fn read_superblock(node: &Path) -> io::Result<Option<Superblock>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(node, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::BlockDevice {
        return Err(io::Error::other("not a block device"));
    }
    let file = File::from(file);
    Ok(identify(|offset, length| read_at_most(&file, offset, length)))
}

/// Fewer bytes where the device ends or fails: then it is just not recognised.
fn read_at_most(file: &File, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(count) if count > 0 => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    bytes.truncate(filled);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_is_recognised_by_the_bus_in_the_path() {
        let path = |text: &str| is_below_usb(Path::new(text));
        assert!(path(
            "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
        ));
        for text in
            ["/sys/devices/pci0000:00/ata1/host0/block/sda", "/sys/usb/block/sda", "/sys/usbmon1/block/sda"]
        {
            assert!(!path(text), "{text}");
        }
    }
}
