//! A small Debian root of its own, unpacked from the cache, and commands in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use testbed::cache;
use xtask::process;

use crate::owned::Scratch;

const SUITE: &str = "bookworm";
/// systemd enables units and judges them; rpm takes the other kind of packages; zsh reads its completions.
const PACKAGES: &str = "systemd,rpm,zsh";
/// What package managers and systemctl write for themselves.
const OF_MANAGERS: [&str; 6] = ["var/lib/dpkg", "var/lib/rpm", "var/log", "root", "tmp", "run/systemd"];

/// Devices and processes are this machine's, in a namespace that ends with the command. There is no network, and no
/// systemd runs: what a package would start is not started.
const ENTER: &str = "mount --rbind /dev \"$1/dev\"; mount -t proc proc \"$1/proc\"; \
                     exec chroot \"$1\" /bin/bash -ec \"$2\"";

/// The root, in a directory that goes with it.
pub struct Root {
    scratch: Scratch,
}

impl Root {
    /// A fresh one.
    ///
    /// # Errors
    /// Where Debian's packages cannot be fetched.
    pub fn new() -> anyhow::Result<Self> {
        let base = base()?;
        let made = Self { scratch: Scratch::new("root")? };
        let mut unpack = Command::new("tar");
        unpack.arg("-xf").arg(base).arg("-C").arg(made.path()).arg("--exclude=./dev/*");
        process::output(&mut unpack)?;
        Ok(made)
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Copies a package into it; gives its path there.
    ///
    /// # Errors
    /// Where it cannot be copied.
    pub fn take(&self, file: &Path) -> anyhow::Result<String> {
        let name = file.file_name().context("a package has a name")?.to_string_lossy();
        let place = format!("tmp/{name}");
        fs::copy(file, self.path().join(&place)).with_context(|| file.display().to_string())?;
        Ok(format!("/{place}"))
    }

    /// Runs a script in it. The script and what it writes are shown; gives its standard output.
    ///
    /// # Errors
    /// Where it fails, with what it wrote.
    pub fn run(&self, script: &str) -> anyhow::Result<String> {
        println!("  # {}", script.trim().replace('\n', "\n  # "));
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--propagation", "private", "--", "sh", "-ec", ENTER, "sh"]);
        command.arg(self.path()).arg(script).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root").env("LC_ALL", "C");
        let output = process::output(&mut command)?;
        output.lines().for_each(|line| println!("  {line}"));
        Ok(output)
    }

    /// Every file and directory, but what package managers keep for themselves.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn files(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![self.path().to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
                let entry = entry?;
                let inside = entry.path().strip_prefix(self.path())?.to_owned();
                if OF_MANAGERS.iter().any(|own| inside.starts_with(own)) {
                    continue;
                }
                if entry.file_type()?.is_dir() {
                    waiting.push(entry.path());
                }
                found.insert(inside);
            }
        }
        Ok(found)
    }
}

/// Debian's packages, unpacked once, as an archive in the cache.
fn base() -> anyhow::Result<PathBuf> {
    let archive = cache::directory()?.join(format!("packages-{SUITE}.tar"));
    let _lock = cache::lock("packages-root")?;
    let list = archive.with_extension("packages");
    if archive.is_file() && fs::read_to_string(&list).is_ok_and(|text| text == PACKAGES) {
        return Ok(archive);
    }
    println!("making a small Debian {SUITE} in the cache, once: one minute");
    let part = archive.with_extension("part.tar");
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}")]);
    make.args(["--aptopt=Apt::Install-Recommends \"false\"", SUITE]).arg(&part);
    process::run(&mut make)?;
    fs::rename(&part, &archive)?;
    fs::write(list, PACKAGES)?;
    Ok(archive)
}
