//! `cargo xtask release`: archives and packages of both architectures, the image, bills of materials and checksums in one
//! directory, after the checks that version, changelog and tag agree.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use xtask::dist::{self, archive, image};
use xtask::process;

use crate::version;

const DIRECTORY: &str = "dist/release";
const CHECKSUMS: &str = "SHA256SUMS";

/// What the command line can say.
#[derive(clap::Args)]
pub struct ReleaseFlags {
    /// Build what a release would be, from a commit without its tag
    #[arg(long)]
    untagged: bool,
    /// Build everything again from nothing, and compare the bytes
    #[arg(long)]
    twice: bool,
}

/// Makes the release.
///
/// # Errors
/// Where version, changelog or tag do not agree, or `cargo xtask dist` fails.
pub fn run(flags: &ReleaseFlags) -> anyhow::Result<()> {
    println!("{}", version::check()?);
    if !flags.untagged {
        version::check_tag()?;
    }
    let mut releases = Vec::new();
    for target in dist::TARGETS {
        releases.extend(dist::all(target, flags.twice)?);
    }
    let image = image::write(releases.iter().filter(|release| release.is_in_the_image()), Path::new("dist"))?;
    let directory = Path::new(DIRECTORY);
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let mut names = Vec::new();
    for release in &releases {
        let name = release.directory.file_name().context("a release has a name")?.to_string_lossy();
        let bill = (release.directory.join("sbom.cdx.json"), format!("{name}.cdx.json"));
        let files = release.packages.iter().chain([&release.archive]);
        let files =
            files.map(|file| (file.clone(), file.file_name().unwrap_or_default().to_string_lossy().into()));
        for (from, name) in files.chain([bill]) {
            archive::copy(&from, &directory.join(&name))?;
            names.push(name);
        }
    }
    let name = image.archive.file_name().context("an image has a name")?.to_string_lossy().into_owned();
    archive::copy(&image.archive, &directory.join(&name))?;
    names.push(name);
    names.sort();
    let sums = process::output(Command::new("sha256sum").args(&names).current_dir(directory))?;
    fs::write(directory.join(CHECKSUMS), sums + "\n")?;
    process::run(Command::new("sha256sum").args(["--check", "--strict", CHECKSUMS]).current_dir(directory))?;
    println!("{DIRECTORY}: {} files and {CHECKSUMS}", names.len());
    Ok(())
}
