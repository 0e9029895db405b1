//! The .deb and the .rpm of a release, by cargo-deb and cargo-generate-rpm. Both read a manifest. It is written here, out
//! of the files of the archive, so that archive and packages hold the same.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::product::{Kind, Product, place};
use crate::{process, tool};

const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const CARGO_GENERATE_RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// How often a package of the same version was made (Debian's and RPM's revision).
const REVISION: &str = "1";

/// What the packages are made of.
pub struct Content<'a> {
    /// Which product.
    pub product: &'a Product,
    /// The unpacked archive.
    pub directory: &'a Path,
    /// The version of the packages.
    pub version: &'a str,
    /// The target of the binary.
    pub target: &'a str,
}

/// Makes both packages in a directory.
///
/// # Errors
/// Where a tool cannot be installed, or fails.
pub fn both(content: &Content<'_>, output: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Kind::ALL.into_iter().map(|kind| make(content, kind, output)).collect()
}

/// Makes one package in a directory; the same content gives the same bytes.
///
/// # Errors
/// As [`both`].
pub fn make(content: &Content<'_>, kind: Kind, output: &Path) -> anyhow::Result<PathBuf> {
    let extension = kind.extension();
    let work = super::target_directory().join("packages").join(extension).join(content.product.package);
    let work = std::path::absolute(work)?;
    fs::create_dir_all(work.join("src"))?;
    fs::create_dir_all(output)?;
    // A manifest wants a target; nothing is built.
    fs::write(work.join("src/lib.rs"), "")?;
    fs::write(work.join("Cargo.toml"), manifest(content, kind)?)?;
    let architecture = architecture(content.target, kind);
    let Content { product: Product { package, .. }, version, target, .. } = content;
    let name = match kind {
        Kind::Deb => format!("{package}_{version}-{REVISION}_{architecture}.deb"),
        Kind::Rpm => format!("{package}-{version}-{REVISION}.{architecture}.rpm"),
    };
    let file = std::path::absolute(output)?.join(name);
    let takes = "two minutes";
    let mut command = match kind {
        Kind::Deb => {
            let mut command = Command::new(tool::find(CARGO_DEB.0, CARGO_DEB.1, takes)?);
            command.args(["--no-build", "--no-strip", "--quiet", "--offline"]);
            command
        }
        Kind::Rpm => {
            let program = tool::find(CARGO_GENERATE_RPM.0, CARGO_GENERATE_RPM.1, takes)?;
            let mut command = Command::new(program);
            command.args(["--auto-req", "disabled"]);
            command
        }
    };
    command.args(["--target", target, "--output"]).arg(&file).current_dir(&work);
    command.env("SOURCE_DATE_EPOCH", date()?).env_remove("CARGO_TARGET_DIR");
    process::run(&mut command)?;
    Ok(file)
}

/// The architecture as the distribution calls it.
fn architecture(target: &str, kind: Kind) -> &str {
    let here = target.split('-').next().unwrap_or(target);
    match (kind, here) {
        (Kind::Deb, "x86_64") => "amd64",
        (Kind::Deb, "aarch64") => "arm64",
        _ => here,
    }
}

/// The seconds of the release: of its commit, so that two builds give the same bytes (reproducible-builds.org).
fn date() -> anyhow::Result<String> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    process::output(Command::new("git").args(["log", "-1", "--format=%ct"]))
        .context("neither SOURCE_DATE_EPOCH nor a commit tells the date of the packages")
}

fn manifest(content: &Content<'_>, kind: Kind) -> anyhow::Result<String> {
    let Product { package, summary, licence, scripts, .. } = content.product;
    let version = content.version;
    let mut text = format!(
        "[package]\nname = {package:?}\nversion = {version:?}\nedition = \"2024\"\ndescription = {summary:?}\n\
         license = {licence:?}\n\n[workspace]\n\n"
    );
    let scripts = std::path::absolute(Path::new(scripts).join(kind.extension()))?;
    match kind {
        Kind::Deb => writeln!(
            text,
            "[package.metadata.deb]\nmaintainer = \"The developers of ipa-sidecar\"\n\
             copyright = \"The developers of ipa-sidecar\"\nsection = \"admin\"\npriority = \"optional\"\n\
             depends = \"\"\nrevision = {REVISION:?}\nextended-description = {summary:?}\n\
             maintainer-scripts = {scripts:?}\nassets = ["
        )?,
        Kind::Rpm => {
            writeln!(text, "[package.metadata.generate-rpm]\nrelease = {REVISION:?}\nassets = [")?;
        }
    }
    for (file, source) in files(content.directory)? {
        let mode = fs::metadata(&source)?.permissions().mode();
        let mode = if mode & 0o111 == 0 { "644" } else { "755" };
        let to = place(package, kind, &file);
        match kind {
            Kind::Deb => writeln!(text, "    [{source:?}, {to:?}, {mode:?}],")?,
            Kind::Rpm => {
                let to = format!("/{to}");
                let doc = to.starts_with("/usr/share/doc/");
                writeln!(
                    text,
                    "    {{ source = {source:?}, dest = {to:?}, mode = {mode:?}, doc = {doc} }},"
                )?;
            }
        }
    }
    text.push_str("]\n");
    if kind == Kind::Rpm {
        for (key, name) in
            [("post_install", "post"), ("pre_uninstall", "preun"), ("post_uninstall", "postun")]
        {
            let script = fs::read_to_string(scripts.join(name)).with_context(|| format!("{scripts:?}"))?;
            let script = serde_json::to_string(&script)?; // A basic string of TOML takes the same escapes.
            writeln!(text, "{key}_script = {script}")?;
        }
    }
    Ok(text)
}

/// The files of the archive, in order: the path in it, and where it is.
///
/// # Errors
/// Where a directory cannot be read.
pub fn files(directory: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let directory = std::path::absolute(directory)?;
    let mut found = Vec::new();
    let mut waiting = vec![directory.clone()];
    while let Some(one) = waiting.pop() {
        for entry in fs::read_dir(&one).with_context(|| one.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let inside = path.strip_prefix(&directory)?.display().to_string();
            found.push((inside, path.display().to_string()));
        }
    }
    found.sort();
    Ok(found)
}
