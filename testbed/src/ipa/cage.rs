//! The cage: what IPA finds instead of this machine's devices and tools.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::cache;

/// Builds the cage around what it is then given; the words behind it are the program's.
const SCRIPT: &str = include_str!("cage.sh");

/// Programs that only look (or sleep); they are this machine's own. `ip` changes the namespace only.
const REAL: [&str; 7] = ["cat", "env", "ip", "lscpu", "readlink", "sh", "sleep"];

/// Programs whose answer IPA cannot do without at its start: no disks, no hardware, nothing to settle.
const ANSWERS: [(&str, &str); 3] = [
    ("lsblk", r#"case "$*" in *json*) echo '{"blockdevices": []}' ;; esac"#),
    ("lshw", r#"echo '{"id": "testbed", "class": "system", "children": []}'"#),
    ("udevadm", "exit 0"),
];

/// Programs that it may want and does not get: each call is written down in `refused.txt`, and fails.
const REFUSED: &str = "biosdevname blkdiscard blkid blockdev chronyc chronyd cp dd dmidecode du efibootmgr file findfs \
     findmnt fuser hdparm hexdump hwclock ipmitool iscsistart journalctl lspci mdadm mkdir mkfs modprobe \
     mount multipath multipathd ntpdate nvme parted partprobe partx poweroff qemu-img reboot sgdisk shred \
     shutdown smartctl sync systemctl umount wipefs zpool";
const REFUSE: &str = r#"echo "${0##*/} $*" >>"${0%/*}/../refused.txt"; exit 1"#;

/// Puts into `directory` what the cage shows, and gives the command that runs `program` in it. `files` are the names
/// and texts of `cmdline` and, where they are wanted, `hosts` and `resolv.conf`.
///
/// # Errors
/// Where a file cannot be written, or one of the real programs is missing here.
pub(super) fn prepare(
    directory: &Path,
    files: &[(&str, &str)],
    program: impl IntoIterator<Item = PathBuf>,
) -> io::Result<Vec<PathBuf>> {
    let write = |name: &str, text: &str, mode: u32| {
        let path = directory.join(name);
        let written = fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        written.map_err(|e| cache::at(&path, &e))
    };
    for (name, text) in files {
        write(name, &format!("{text}\n"), 0o644)?;
    }
    write("refused.txt", "", 0o600)?;
    let bin = directory.join("bin");
    fs::create_dir(&bin).map_err(|e| cache::at(&bin, &e))?;
    for name in REAL {
        symlink(found(name)?, bin.join(name))?;
    }
    for (name, text) in ANSWERS {
        write(&format!("bin/{name}"), &format!("#!/bin/sh\n{text}\n"), 0o755)?;
    }
    write("refuse", &format!("#!/bin/sh\n{REFUSE}\n"), 0o755)?;
    for name in REFUSED.split(' ') {
        symlink("../refuse", bin.join(name))?;
    }
    let cage = ["unshare", "--mount", "--", "sh", "-c", SCRIPT, "cage"].map(PathBuf::from);
    Ok(cage.into_iter().chain([directory.to_owned()]).chain(program).collect())
}

/// Where this machine has the program.
fn found(name: &str) -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_absolute() && file.is_file())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no program {name:?} in PATH")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells what can be reached from inside, a line each. Nothing here does harm where the cage is broken.
    const LOOK: &str = "
        ls /dev | tr '\\n' ' '; echo
        cat /proc/cmdline
        for tool in sgdisk lsblk reboot; do command -v $tool; done
        mount /dev/none /mnt || echo no mount
        sgdisk --print /dev/none || echo no sgdisk
        lsblk --json
        (/bin/mknod sda b 8 0) 2>/dev/null || echo no device
        (/bin/mount -t tmpfs none \"$HOME/bin\") 2>/dev/null || echo no tmpfs
        (echo x >/etc/ipa-sidecar-testbed) 2>/dev/null || echo no file
        (: >/sys/kernel/mm/transparent_hugepage/enabled) 2>/dev/null || echo no sysfs
        [ ! -e /proc/sysrq-trigger ] || [ /proc/sysrq-trigger -ef /dev/null ] || echo sysrq
        echo $PATH >here; ls /sys/class/net | tr '\\n' ' '";

    #[test]
    fn nothing_of_this_machine_can_be_reached() {
        crate::root_test!();
        let directory = crate::guardian::fresh_directory("cage").unwrap();
        let look = LOOK.replace("ls /", "/bin/ls /").replace("tr '", "/usr/bin/tr '");
        let program = ["sh", "-c", &look].map(PathBuf::from);
        let command = prepare(&directory, &[("cmdline", "a=1 b")], program).unwrap();
        let netns = crate::netns::Netns::new().unwrap();
        let output = netns.command(&command[0]).args(&command[1..]).output().unwrap();
        let (said, complained) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let bin = directory.join("bin");
        let bin = bin.display();
        assert_eq!(
            said.trim_end(),
            format!(
                "null random shm urandom zero \na=1 b\n{bin}/sgdisk\n{bin}/lsblk\n{bin}/reboot\nno mount\nno sgdisk\n\
                 {{\"blockdevices\": []}}\nno device\nno tmpfs\nno file\nno sysfs\nlo"
            ),
            "{complained}"
        );
        assert_eq!(
            fs::read_to_string(directory.join("refused.txt")).unwrap(),
            "mount /dev/none /mnt\nsgdisk --print /dev/none\n"
        );
        assert_eq!(fs::read_to_string(directory.join("here")).unwrap(), format!("{bin}\n"));
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        assert!(!mounts.contains("ipa-sidecar-cage"), "a mount is left behind: {mounts}");
        fs::remove_dir_all(directory).unwrap();
    }
}
