//! `cargo xtask ramdisk`: the release in a real boot, in a virtual machine without any network of the outside, against a
//! real Ironic.

mod agent;
mod agent_tree;
mod busybox;
mod dib;
mod guest;
mod lab;
mod media;
mod systemd_root;

use crate::stages::Stages;
use crate::{Missing, WrongUsage, prerequisites};

/// Boots what the flag says.
///
/// # Errors
/// Where something is missing, or the ramdisk does not do what it should.
pub fn run(flags: &[String]) -> anyhow::Result<()> {
    let words: Vec<_> = flags.iter().map(String::as_str).collect();
    let mut stages = Stages::default();
    let (name, work): (_, fn() -> anyhow::Result<String>) = match words.as_slice() {
        [] => ("ramdisk", busybox::run),
        ["--ipa"] => ("ramdisk with ironic-python-agent", agent::run),
        ["--dib"] => ("ramdisk by diskimage-builder", dib::run),
        other => {
            let text = format!("ramdisk takes --ipa or --dib, and got {}", other.join(" "));
            return Err(WrongUsage(text).into());
        }
    };
    needs_root()?;
    if stages.run("prerequisites", prerequisites::ensure_for_ramdisks) {
        stages.run(name, work);
    }
    stages.finish()
}

/// The busybox ramdisk, as a stage of the tests.
///
/// # Errors
/// As [`run`].
pub fn stage() -> anyhow::Result<String> {
    needs_root()?;
    busybox::run()
}

fn needs_root() -> anyhow::Result<()> {
    if testbed::is_root() {
        return Ok(());
    }
    Err(Missing("ramdisk makes network namespaces, which needs root".to_owned()).into())
}
