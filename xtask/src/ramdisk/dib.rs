//! A deploy ramdisk by diskimage-builder with our element, booted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use testbed::dib::DiskImageBuilder;
use testbed::guest::SHELL;

use super::agent_tree;
use super::lab::Lab;
use super::systemd_root::{NETWORK, SHELL_UNIT};
use crate::dist;
use crate::process;

/// The element of this test: the agent as `ironic-python-agent-ramdisk` installs it from git, a network, a shell.
const EXTRA_DATA: &str = "\
#!/bin/bash
set -eu
set -o pipefail
tar -C \"$TEST_AGENT_TREE\" -cf \"$TMP_HOOKS_PATH/test-agent.tar\" .
";
const INSTALL: &str = "\
#!/bin/bash
set -eu
set -o pipefail
tar -C / --no-overwrite-dir -xf /tmp/in_target.d/test-agent.tar
systemctl enable ironic-python-agent.service test-shell.service systemd-networkd.service systemd-networkd-wait-online.service
";
const PACKAGES: &str = "python3:\ndmidecode:\nlshw:\nhdparm:\n";

/// Lints our element, builds the image, boots it.
///
/// # Errors
/// What the element or the ramdisk did not do.
pub fn run() -> anyhow::Result<String> {
    let release = dist::release_here()?;
    let builder = DiskImageBuilder::install(&mut |line| println!("{line}"))?;
    let elements = std::path::absolute(release.directory.join("dib"))?;
    lint(&builder)?;
    let work = Work::new()?;
    work.build(&builder, &elements)?;
    let note = Lab::new()?.with_sidecar(&work.output("kernel"), &work.output("initramfs"))?;
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

/// A directory that goes with it.
struct Work(PathBuf);

impl Work {
    fn new() -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-dib-{}", std::process::id()));
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        Ok(Self(directory))
    }

    fn output(&self, kind: &str) -> PathBuf {
        self.0.join(format!("ramdisk.{kind}"))
    }

    fn build(&self, builder: &DiskImageBuilder, elements: &Path) -> anyhow::Result<()> {
        let tree = self.0.join("tree");
        fs::create_dir_all(tree.join("etc/systemd/network"))?;
        agent_tree::put(&tree)?;
        fs::write(tree.join("etc/systemd/system/test-shell.service"), SHELL_UNIT)?;
        fs::write(tree.join("etc/systemd/network/99-dhcp.network"), NETWORK)?;
        fs::write(tree.join("etc/test-shell"), SHELL)?;
        let own = self.0.join("elements/test-agent");
        for (place, content) in [
            ("extra-data.d/50-test-agent", EXTRA_DATA),
            ("install.d/60-test-agent", INSTALL),
            ("element-deps", "package-installs\n"),
            ("package-installs.yaml", PACKAGES),
        ] {
            let file = own.join(place);
            fs::create_dir_all(file.parent().context("a file of an element has a folder")?)?;
            fs::write(&file, content)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        let directories =
            [elements.to_owned(), own.parent().context("elements")?.to_owned(), builder.ironic_elements()];
        let mut create = Command::new(builder.programs().join("disk-image-create"));
        create.env("PATH", path_with(builder)?).env("ELEMENTS_PATH", std::env::join_paths(directories)?);
        create
            .env("TEST_AGENT_TREE", &tree)
            .env("DIB_RELEASE", "bookworm")
            .env("DIB_IPA_COMPRESS_CMD", "zstd -q -3 -T2");
        create.env("DIB_IMAGE_CACHE", self.0.join("cache")).env("TMP_DIR", &self.0);
        if let Some(mirror) = security_mirror() {
            create.env("DIB_DEBIAN_SECURITY_MIRROR", mirror);
        }
        create.args(["-x", "-o"]).arg(self.0.join("ramdisk"));
        create
            .args(["debian-minimal", "ironic-ramdisk-base", "test-agent", "ipa-sidecar"])
            .current_dir(&self.0);
        let log = self.0.join("log");
        println!(
            "disk-image-create debian-minimal ironic-ramdisk-base test-agent ipa-sidecar: three minutes or more"
        );
        let output = fs::File::create(&log)?;
        let status =
            create.stdout(output.try_clone()?).stderr(output).status().context("disk-image-create")?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        let tail: Vec<_> = text.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        ensure!(status.success(), "disk-image-create ended with {status}:\n{}", tail.join("\n"));
        Ok(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where this machine has Debian's security updates from; the default is not reached from everywhere.
fn security_mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().find_map(|line| line.strip_prefix("bookworm-security ")).map(str::to_owned)
}
