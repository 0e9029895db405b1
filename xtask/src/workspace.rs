//! The checkout: its root, its packages, its files.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The daemon's package.
pub const PACKAGE: &str = "ipa-sidecar";
/// The folder of that package.
pub const FOLDER: &str = "agent-user";
/// The package beside the conductor.
pub const FLEET: &str = "ipa-fleet";
/// The folder of that package.
pub const FLEET_FOLDER: &str = "fleet";

/// The package in a folder: every other one has its folder's name.
pub fn package_in(folder: &str) -> &str {
    match folder {
        FOLDER => PACKAGE,
        FLEET_FOLDER => FLEET,
        other => other,
    }
}

/// The root of the checkout. Cargo names it in a variable, so a copied or moved checkout works on itself.
pub fn root() -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The folders of the packages, as the workspace's `Cargo.toml` lists them.
///
/// # Errors
/// Where that file lists none.
pub fn members() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).context("Cargo.toml")?;
    let list = text.split("\nmembers = [").nth(1).and_then(|rest| rest.split(']').next());
    let list = list.context("Cargo.toml has no members")?;
    Ok(list.split('"').skip(1).step_by(2).map(str::to_owned).collect())
}

/// Where cargo builds.
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// The files below a directory with one of these extensions, in the order of their names.
///
/// # Errors
/// Where a directory cannot be read.
pub fn files(directory: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extensions)?);
        } else if path.extension().is_some_and(|end| extensions.iter().any(|extension| end == *extension)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_folders_with_sources() {
        let members = members().unwrap();
        assert!(members.contains(&FOLDER.to_owned()) && members.contains(&"xtask".to_owned()), "{members:?}");
        for member in &members {
            assert!(!files(&root().join(member).join("src"), &["rs"]).unwrap().is_empty(), "{member}");
        }
    }
}
