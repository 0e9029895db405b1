//! Debian's kernel for virtual machines: unpacked into the cache, not installed.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::architecture::Architecture;
use crate::cache::{self, at};
use crate::debian::{Archive, run};

/// Depends on the newest 6.12.
pub const LINUX_6_12: &str = "linux-image-6.12-cloud-amd64";

/// A kernel and its modules.
#[derive(Debug)]
pub struct Kernel {
    /// What QEMU boots.
    pub image: PathBuf,
    /// `/lib/modules/VERSION`.
    pub modules: PathBuf,
    /// Its version, as `uname -r` says.
    pub version: String,
}

impl Kernel {
    /// The distribution's own, 6.1: fetched with apt-get where the cache does not have it; `say` hears of it before that
    /// takes time.
    ///
    /// # Errors
    /// Where apt has no such package, or it cannot be unpacked.
    pub fn install(say: &mut dyn FnMut(&str)) -> io::Result<Self> {
        Self::install_for(Architecture::X86_64, say)
    }

    /// The same for an architecture.
    ///
    /// # Errors
    /// As [`Kernel::install`].
    pub fn install_for(architecture: Architecture, say: &mut dyn FnMut(&str)) -> io::Result<Self> {
        Self::fetch(architecture, &format!("linux-image-cloud-{}", architecture.debian()), say)
    }

    /// The package that this one depends on, for x86.
    ///
    /// # Errors
    /// As [`Kernel::install`].
    pub fn install_of(meta_package: &str, say: &mut dyn FnMut(&str)) -> io::Result<Self> {
        Self::fetch(Architecture::X86_64, meta_package, say)
    }

    fn fetch(architecture: Architecture, meta_package: &str, say: &mut dyn FnMut(&str)) -> io::Result<Self> {
        let archive = Archive::of(architecture)?;
        let package = newest(&archive, meta_package)?;
        let version = package.trim_start_matches("linux-image-").to_owned();
        let root = cache::directory()?.join(format!("linux-{version}"));
        let kernel = Self {
            image: root.join(format!("boot/vmlinuz-{version}")),
            modules: root.join(format!("lib/modules/{version}")),
            version,
        };
        let _lock = cache::lock("linux")?;
        if !kernel.image.is_file() {
            say(&format!("fetching Linux {} into {}, once", kernel.version, root.display()));
            archive.unpack(&[package], &root, |_| Ok(()))?;
        }
        if !kernel.modules.join("modules.dep").is_file() {
            run(Command::new("depmod").arg("-b").arg(&root).arg(&kernel.version))?;
        }
        Ok(kernel)
    }

    /// The files of modules and of what they depend on, in the order in which they can be inserted. A name that is not
    /// there is built in.
    ///
    /// # Errors
    /// Where the kernel's list of dependencies cannot be read.
    pub fn modules(&self, names: &[&str]) -> io::Result<Vec<PathBuf>> {
        let list = self.modules.join("modules.dep");
        let text = fs::read_to_string(&list).map_err(|error| at(&list, &error))?;
        let mut files: Vec<PathBuf> = Vec::new();
        for name in names {
            let end = format!("/{name}.ko");
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            // Compressed since 6.12, which busybox's insmod sees by itself.
            let line = lines.find(|(file, _)| file.trim_end_matches(".xz").ends_with(&end));
            let Some((file, needs)) = line else { continue };
            // modules.dep(5): the nearest first, and each line is complete.
            for file in needs.split_whitespace().rev().chain([file]).map(|file| self.modules.join(file)) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        Ok(files)
    }
}

/// The package that the meta package depends on now; its number moves.
fn newest(archive: &Archive, meta_package: &str) -> io::Result<String> {
    let depends = archive.depends(meta_package)?;
    depends
        .into_iter()
        .find(|name| name.starts_with("linux-image-"))
        .ok_or_else(|| io::Error::other(format!("apt knows no {meta_package}")))
}
