//! Debian's compiler for its browsers, which comes with `core` for BPF and has the standard library of each architecture:
//! unpacked into the cache, not installed.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use testbed::architecture::Architecture;
use testbed::cache;
use testbed::debian::Archive;

use crate::prerequisites::refresh_apt_lists;
use crate::process;

/// The packages by which the others are found: their versions move.
const PACKAGES: [&str; 3] = ["rustc-web", STANDARD_LIBRARY, CORE];
/// The one with `core` for BPF.
const CORE: &str = "libstd-rust-web-dev-bpf";
/// The one with the standard library of its architecture.
const STANDARD_LIBRARY: &str = "libstd-rust-web-dev";
/// What those need that is the compiler's own.
const OWN: [&str; 2] = ["libllvm", "libstd-rust-web"];
/// Libraries that are on every Debian, and must be those of its loader.
const EVERYWHERE: [&str; 4] = ["libc6", "libgcc-s1", "libstdc++6", "libcrypt1"];
/// Where a compiler has its libraries, from its root.
const LIBRARIES: &str = "usr/lib/rustlib";

/// The rustc in the cache, fetched where it is missing. `None` where apt does not have it.
///
/// # Errors
/// Where it cannot be fetched or unpacked although apt has it.
pub fn prepared() -> anyhow::Result<Option<PathBuf>> {
    let archive = Archive::here();
    let mut version = archive.candidate(CORE);
    if version.is_none() {
        if let Some(rustc) = already_there() {
            return Ok(Some(rustc));
        }
        refresh_apt_lists()?;
        version = archive.candidate(CORE);
    }
    let Some(version) = version else {
        return Ok(None);
    };
    let root = cache::directory()?.join(format!("rustc-web-{}", plain(&version)));
    let rustc = root.join("usr/bin/rustc");
    if works(&rustc) {
        return Ok(Some(rustc));
    }
    let _lock = cache::lock("rustc-web")?;
    if !works(&rustc) {
        if root.exists() {
            fs::remove_dir_all(&root)?; // Of a version that fetched fewer libraries.
        }
        println!("fetching Debian's rustc-web {version} with core for BPF into the cache, once: 117 MB");
        let packages = all_packages(&archive);
        archive.unpack(&packages, &root, link_libraries).with_context(|| root.display().to_string())?;
        ensure!(works(&rustc), "{} does not run: ldd shows what it lacks", rustc.display());
    }
    Ok(Some(rustc))
}

fn works(rustc: &Path) -> bool {
    rustc.is_file() && asked(rustc, &["--version"]).is_some()
}

/// The same compiler with the standard library of another architecture, fetched where it is missing. `None` where apt does
/// not have them.
///
/// # Errors
/// Where they cannot be fetched or unpacked although apt has them, or are not of one version.
pub fn with_standard_library(architecture: Architecture) -> anyhow::Result<Option<PathBuf>> {
    let Some(rustc) = prepared()? else {
        return Ok(None);
    };
    let root = rustc.ancestors().nth(3).context("a compiler in the cache has a root")?;
    let target = format!("{}-unknown-linux-gnu", architecture.as_str());
    let place = root.join(LIBRARIES).join(&target);
    let _lock = cache::lock("rustc-web")?;
    if place.is_dir() {
        return Ok(Some(rustc));
    }
    let archive = Archive::of(architecture)?;
    let Some(version) = archive.candidate(STANDARD_LIBRARY) else {
        return Ok(None);
    };
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    ensure!(
        name.ends_with(&plain(&version)),
        "Debian's compiler is {name}, its library for {} is {version}: run apt-get update",
        architecture.debian()
    );
    println!("fetching {STANDARD_LIBRARY} {version} for {} into the cache, once", architecture.debian());
    let unpacked = root.join(architecture.debian());
    archive.unpack(&[STANDARD_LIBRARY.to_owned()], &unpacked, |_| Ok(()))?;
    symlink(unpacked.join(LIBRARIES).join(&target), &place)?;
    Ok(Some(rustc))
}

/// What a rustc answers. Debian's, unpacked, finds its libraries only through this variable.
pub fn asked(rustc: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new(rustc);
    if let Some(libraries) = libraries(rustc) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    process::output(command.args(words)).ok()
}

/// Where a rustc has its own libraries.
pub fn libraries(rustc: &Path) -> Option<PathBuf> {
    Some(rustc.parent()?.parent()?.join("lib"))
}

/// One that was fetched while apt still had it.
fn already_there() -> Option<PathBuf> {
    let cached = fs::read_dir(cache::directory().ok()?).ok()?.flatten();
    let mut compilers = cached
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("rustc-web-"))
        .map(|entry| entry.path().join("usr/bin/rustc"));
    compilers.find(|rustc| rustc.is_file())
}

/// rustc looks for its libraries in the lib beside its bin, not in Debian's directories below that or beside it.
fn link_libraries(root: &Path) -> io::Result<()> {
    for place in ["usr/lib", "lib"] {
        let Ok(directories) = fs::read_dir(root.join(place)) else { continue };
        for directory in directories {
            let name = directory?.file_name();
            if !name.to_string_lossy().ends_with("-linux-gnu") {
                continue;
            }
            let directory = Path::new(place).join(&name);
            for library in fs::read_dir(root.join(&directory))? {
                let name = library?.file_name();
                let link = root.join("usr/lib").join(&name);
                if link.symlink_metadata().is_err() {
                    symlink(Path::new("../..").join(&directory).join(&name), link)?;
                }
            }
        }
    }
    Ok(())
}

/// Those, what they need of the compiler's own, and the libraries of all that: a small Debian does not have them.
fn all_packages(archive: &Archive) -> Vec<String> {
    let mut names: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    let mut looked = 0;
    while let Some(name) = names.get(looked).cloned() {
        looked += 1;
        for needed in archive.depends(&name).unwrap_or_default() {
            if is_needed(&name, &needed) && !names.contains(&needed) {
                names.push(needed);
            }
        }
    }
    names
}

fn is_needed(by: &str, package: &str) -> bool {
    let is_own = OWN.iter().any(|prefix| package.starts_with(prefix));
    let is_library = by.starts_with("lib") && package.starts_with("lib") && !package.ends_with("-dev");
    is_own || (is_library && !EVERYWHERE.contains(&package))
}

/// A version as a part of a file name.
fn plain(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_packages_and_their_libraries_are_followed() {
        let by_rustc = ["libc6", "libllvm22", "libz3-4", "gcc", STANDARD_LIBRARY];
        assert_eq!(by_rustc.map(|name| is_needed("rustc-web", name)), [false, true, false, false, true]);
        let by_library = ["libc6", "libz3-4", "libc6-dev", "gcc-12-base"];
        assert_eq!(by_library.map(|name| is_needed("libllvm22", name)), [false, true, false, false]);
        assert_eq!(plain("1:1.96.0+dfsg1-1~deb12u2"), "1-1.96.0-dfsg1-1-deb12u2");
    }
}
