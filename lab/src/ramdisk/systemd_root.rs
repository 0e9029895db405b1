//! A Debian root with systemd as an initramfs, as diskimage-builder makes deploy ramdisks: the whole root, `/init` is
//! systemd.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use testbed::cache;
use testbed::guest::{Kernel, SHELL};

use super::agent_tree;
use xtask::dist::Release;
use xtask::process;

use crate::owned::Scratch;

/// Whose Python the agent's compiled parts are for, and whose kernel boots.
const SUITE: &str = "bookworm";
/// What ironic-python-agent asks or runs at its start, and what the guest itself needs.
const PACKAGES: &str = "systemd,systemd-sysv,udev,dbus,iproute2,kmod,python3,util-linux,parted,hdparm,lshw,dmidecode,\
                        gdisk,dosfstools,e2fsprogs,psmisc,smartmontools,nvme-cli,efibootmgr,netbase,procps";
const MODULES: [&str; 11] = [
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "virtio_blk",
    "virtio_rng",
    "isofs",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "loop",
    "tcp_diag", // The kernel loads it when it is asked whose a connection is.
];
/// Services of the distribution that a deploy ramdisk has no use for.
const MASKED: [&str; 5] = [
    "systemd-resolved.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
];
/// Not packed, as diskimage-builder's ramdisk elements leave it out.
const PRUNED: [&str; 7] =
    ["./boot/*", "./tmp/*", "./var/cache/*", "./var/lib/apt/*", "./var/log/*", "./usr/share/doc/*", "*.pyc"];
/// A shell for whoever tests this.
pub const SHELL_UNIT: &str = include_str!("test-shell.service");
/// DHCP on every NIC.
pub const NETWORK: &str = include_str!("99-dhcp.network");

/// A root in the making, in a directory that goes with it.
pub struct SystemdRoot {
    scratch: Scratch,
}

impl SystemdRoot {
    /// With the real agent, the kernel's modules and our release.
    ///
    /// # Errors
    /// Where Debian's packages cannot be fetched.
    pub fn new(release: &Release, kernel: &Kernel) -> anyhow::Result<Self> {
        let base = base()?;
        let made = Self { scratch: Scratch::new("systemd")? };
        let root = made.scratch.directory("root")?;
        process::run(Command::new("tar").arg("-xf").arg(base).arg("-C").arg(&root))?;
        agent_tree::put(&root)?;
        made.modules(kernel)?;
        symlink("sbin/init", root.join("init"))?;
        made.write("etc/fstab", "")?;
        made.write("etc/machine-id", "")?;
        made.write("etc/hostname", "ramdisk\n")?;
        made.write("etc/systemd/network/99-dhcp.network", NETWORK)?;
        made.write("etc/systemd/system/test-shell.service", SHELL_UNIT)?;
        made.write("etc/test-shell", SHELL)?;
        // Word for word what the README tells a ramdisk builder to do.
        made.install(0o755, &release.directory.join("bin/ipa-sidecar"), "usr/bin/ipa-sidecar")?;
        let unit = release.directory.join("systemd/ipa-sidecar.service");
        made.install(0o644, &unit, "usr/lib/systemd/system/ipa-sidecar.service")?;
        let services = [
            "systemd-networkd",
            "systemd-networkd-wait-online",
            "test-shell",
            "ironic-python-agent",
            "ipa-sidecar",
        ];
        made.systemctl("enable", &services)?;
        made.systemctl("mask", &MASKED)?;
        Ok(made)
    }

    /// Takes our binary away again, as if nobody had put it there.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn without_binary(&self) -> anyhow::Result<()> {
        fs::remove_file(self.root().join("usr/bin/ipa-sidecar")).context("the binary in the root")
    }

    /// Packs it; gives the file, which goes with it.
    ///
    /// # Errors
    /// Where `cpio` fails.
    pub fn pack(&self) -> anyhow::Result<PathBuf> {
        let image = self.scratch.path().join("image.cpio.zst");
        let mut script = String::from("set -e; cd \"$1\"; find . -xdev");
        for pattern in PRUNED {
            script.push_str(&format!(" -path '{pattern}' -prune -o"));
        }
        script.push_str(" -print | cpio -o -H newc --quiet -R 0:0 | zstd -q -3 -T2 -f -o \"$2\"");
        process::run(Command::new("sh").args(["-c", &script, "sh"]).arg(self.root()).arg(&image))?;
        Ok(image)
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    fn write(&self, place: &str, content: &str) -> anyhow::Result<()> {
        let to = self.root().join(place);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&to, content).with_context(|| to.display().to_string())
    }

    /// `install -D -m MODE`.
    fn install(&self, mode: u32, from: &Path, place: impl AsRef<Path>) -> anyhow::Result<()> {
        let to = self.root().join(place);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, &to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).with_context(|| to.display().to_string())
    }

    /// Without a running systemd: links only.
    fn systemctl(&self, verb: &str, units: &[&str]) -> anyhow::Result<()> {
        process::run(
            Command::new("systemctl").arg("--root").arg(self.root()).args(["--quiet", verb]).args(units),
        )
    }

    fn modules(&self, kernel: &Kernel) -> anyhow::Result<()> {
        let place = Path::new("lib/modules").join(&kernel.version);
        for file in kernel.modules(&MODULES)? {
            self.install(0o644, &file, place.join(file.strip_prefix(&kernel.modules)?))?;
        }
        for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            self.install(0o644, &kernel.modules.join(name), place.join(name))?;
        }
        process::run(Command::new("depmod").arg("-b").arg(self.root()).arg(&kernel.version))?;
        self.write("etc/modules-load.d/ramdisk.conf", "virtio_console\nvirtio_net\nvirtio_blk\nvirtio_rng\n")
    }
}

/// Debian's packages, unpacked once, as an archive in the cache.
fn base() -> anyhow::Result<PathBuf> {
    let archive = cache::directory()?.join(format!("ramdisk-{SUITE}.tar"));
    let _lock = cache::lock("ramdisk")?;
    let list = archive.with_extension("packages");
    if archive.is_file() && fs::read_to_string(&list).is_ok_and(|text| text == PACKAGES) {
        return Ok(archive);
    }
    println!("making a Debian {SUITE} with systemd in the cache, once: two minutes");
    let part = archive.with_extension("part.tar");
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}")]);
    make.args(["--aptopt=Apt::Install-Recommends \"false\"", "--dpkgopt=path-exclude=/usr/share/man/*"]);
    make.args(["--dpkgopt=path-exclude=/usr/share/locale/*", SUITE]).arg(&part);
    process::run(&mut make)?;
    fs::rename(&part, &archive)?;
    fs::write(list, PACKAGES)?;
    Ok(archive)
}
