//! A deploy ramdisk by diskimage-builder with our element, booted.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use testbed::dib::DiskImageBuilder;
use testbed::guest::SHELL;
use xtask::{dist, process};

use super::agent_tree;
use super::network::Network;
use super::systemd_root::{NETWORK, SHELL_UNIT};
use crate::owned::Scratch;

/// The element of this test: the agent as `ironic-python-agent-ramdisk` installs it from git, a network, a shell.
const TEST_ELEMENT: &str = "lab/src/ramdisk/test-element";

/// Lints our element, builds the image, boots it.
///
/// # Errors
/// What the element or the ramdisk did not do.
pub fn run() -> anyhow::Result<String> {
    let release = dist::release_here()?;
    let builder = DiskImageBuilder::install(&mut |line| println!("{line}"))?;
    let elements = std::path::absolute(release.directory.join("dib"))?;
    lint(&builder)?;
    let scratch = Scratch::new("dib")?;
    build(scratch.path(), &builder, &elements)?;
    let [kernel, image] = ["kernel", "initramfs"].map(|kind| scratch.path().join(format!("ramdisk.{kind}")));
    let note = Network::new()?.with_sidecar(&kernel, &image)?;
    println!("  {note}");
    Ok("diskimage-builder's image".to_owned())
}

/// It passes over files that git ignores, as those of the release are.
fn lint(builder: &DiskImageBuilder) -> anyhow::Result<()> {
    let elements = "ramdisk/dib";
    let mut lint = Command::new(builder.programs().join("dib-lint"));
    lint.env("PATH", path_with(builder)?).env("ELEMENTS_DIR", elements).env("LIB_DIR", elements);
    process::run(&mut lint)
}

fn path_with(builder: &DiskImageBuilder) -> anyhow::Result<std::ffi::OsString> {
    let path = process::search_path();
    let directories: Vec<_> = [builder.programs()].into_iter().chain(std::env::split_paths(&path)).collect();
    Ok(std::env::join_paths(directories)?)
}

/// Builds the image in a directory.
fn build(directory: &Path, builder: &DiskImageBuilder, elements: &Path) -> anyhow::Result<()> {
    let tree = directory.join("tree");
    fs::create_dir_all(tree.join("etc/systemd/network"))?;
    agent_tree::put(&tree)?;
    fs::write(tree.join("etc/systemd/system/test-shell.service"), SHELL_UNIT)?;
    fs::write(tree.join("etc/systemd/network/99-dhcp.network"), NETWORK)?;
    fs::write(tree.join("etc/test-shell"), SHELL)?;
    let directories = [elements, &std::path::absolute(TEST_ELEMENT)?, &builder.ironic_elements()];
    let mut create = Command::new(builder.programs().join("disk-image-create"));
    create.env("PATH", path_with(builder)?).env("ELEMENTS_PATH", std::env::join_paths(directories)?);
    create
        .env("TEST_AGENT_TREE", &tree)
        .env("DIB_RELEASE", "bookworm")
        .env("DIB_IPA_COMPRESS_CMD", "zstd -q -3 -T2");
    create.env("DIB_IMAGE_CACHE", directory.join("cache")).env("TMP_DIR", directory);
    if let Some(mirror) = security_mirror() {
        create.env("DIB_DEBIAN_SECURITY_MIRROR", mirror);
    }
    create.args(["-x", "-o"]).arg(directory.join("ramdisk"));
    create
        .args(["debian-minimal", "ironic-ramdisk-base", "test-agent", "ipa-sidecar"])
        .current_dir(directory);
    let log = directory.join("log");
    println!(
        "disk-image-create debian-minimal ironic-ramdisk-base test-agent ipa-sidecar: three minutes or more"
    );
    let output = fs::File::create(&log)?;
    let status = create.stdout(output.try_clone()?).stderr(output).status().context("disk-image-create")?;
    let last = process::last_lines(&fs::read_to_string(&log).unwrap_or_default(), 40);
    ensure!(status.success(), "disk-image-create ended with {status}:\n{last}");
    Ok(())
}

/// Where this machine has Debian's security updates from; the default is not reached from everywhere.
fn security_mirror() -> Option<String> {
    let mut command = Command::new("apt-get");
    let text = process::output(command.args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)"])).ok()?;
    text.lines().find_map(|line| line.strip_prefix("bookworm-security ")).map(str::to_owned)
}
