//! Debian's compiler for its browsers, which comes with `core` for BPF: unpacked into the cache, not installed.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use testbed::cache;
use testbed::debian::unpack;

use crate::prerequisites::refresh_apt_lists;
use crate::process;

/// The packages by which the others are found: their versions move.
const PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", CORE];
/// The one with `core` for BPF.
const CORE: &str = "libstd-rust-web-dev-bpf";
/// What those need that is the compiler's own: the rest is everywhere.
const NEEDED: [&str; 2] = ["libllvm", "libstd-rust-web"];

/// The rustc in the cache, fetched where it is missing. `None` where apt does not have it.
///
/// # Errors
/// Where it cannot be fetched or unpacked although apt has it.
pub fn prepared() -> anyhow::Result<Option<PathBuf>> {
    let mut version = candidate(CORE);
    if version.is_none() {
        if let Some(rustc) = already_there() {
            return Ok(Some(rustc));
        }
        refresh_apt_lists()?;
        version = candidate(CORE);
    }
    let Some(version) = version else {
        return Ok(None);
    };
    let root = cache::directory()?.join(format!("rustc-web-{}", plain(&version)));
    let rustc = root.join("usr/bin/rustc");
    if rustc.is_file() {
        return Ok(Some(rustc));
    }
    let _lock = cache::lock("rustc-web")?;
    if !rustc.is_file() {
        println!("fetching Debian's rustc-web {version} with core for BPF into the cache, once: 117 MB");
        unpack(&all_packages(), &root, link_libraries).with_context(|| root.display().to_string())?;
    }
    Ok(Some(rustc))
}

/// One that was fetched while apt still had it.
fn already_there() -> Option<PathBuf> {
    let cached = fs::read_dir(cache::directory().ok()?).ok()?.flatten();
    let mut compilers = cached
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("rustc-web-"))
        .map(|entry| entry.path().join("usr/bin/rustc"));
    compilers.find(|rustc| rustc.is_file())
}

/// rustc looks for its libraries in the lib beside its bin, not in Debian's directory below that.
fn link_libraries(root: &Path) -> io::Result<()> {
    for directory in fs::read_dir(root.join("usr/lib"))? {
        let directory = directory?;
        if !directory.file_name().to_string_lossy().ends_with("-linux-gnu") {
            continue;
        }
        for library in fs::read_dir(directory.path())? {
            let name = library?.file_name();
            symlink(Path::new(&directory.file_name()).join(&name), root.join("usr/lib").join(&name))?;
        }
    }
    Ok(())
}

fn all_packages() -> Vec<String> {
    let mut names: Vec<String> = PACKAGES.map(str::to_owned).to_vec();
    let mut looked = 0;
    while let Some(name) = names.get(looked).cloned() {
        looked += 1;
        let depends = process::output(Command::new("apt-cache").args(["depends", &name])).unwrap_or_default();
        for needed in depended(&depends) {
            if !names.contains(&needed) {
                names.push(needed);
            }
        }
    }
    names
}

/// The packages behind `Depends:` that are the compiler's own.
fn depended(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.filter(|name| NEEDED.iter().any(|prefix| name.starts_with(prefix))).map(str::to_owned).collect()
}

/// The version that apt would install; `None` where it knows none.
fn candidate(package: &str) -> Option<String> {
    let policy =
        process::output(Command::new("apt-cache").env("LC_ALL", "C").args(["policy", package])).ok()?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// A version as a part of a file name.
fn plain(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_own_packages_are_followed() {
        let text = "rustc-web\n  Depends: libc6\n  Depends: libllvm22\n |Depends: gcc\n  \
                    Depends: libstd-rust-web-dev\n  Suggests: libstd-rust-web-x\n";
        assert_eq!(depended(text), ["libllvm22", "libstd-rust-web-dev"]);
        assert_eq!(plain("1:1.96.0+dfsg1-1~deb12u2"), "1-1.96.0-dfsg1-1-deb12u2");
    }
}
