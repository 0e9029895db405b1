//! `cargo lab ramdisk`: the release in a real boot, in a virtual machine without any network of the outside, against a
//! real Ironic.

mod agent;
mod agent_tree;
mod busybox;
mod dib;
mod guest;
mod media;
mod network;
mod seed;
mod systemd_root;

pub use busybox::{cost, run_for as boot_for};

use std::time::Instant;

use xtask::prerequisites::{self, Purpose};

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// systemd and the real ironic-python-agent
    #[arg(long, conflicts_with = "dib")]
    ipa: bool,
    /// An image of diskimage-builder with our element
    #[arg(long)]
    dib: bool,
}

/// Boots what the flag says; the last line is what was booted.
///
/// # Errors
/// Where something is missing, or the ramdisk does not do what it should.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    let (purpose, work): (_, fn() -> anyhow::Result<String>) = match flags {
        Flags { ipa: true, .. } => (Purpose::Ramdisk, agent::run),
        Flags { dib: true, .. } => (Purpose::Ramdisk, dib::run),
        _ => (Purpose::Test, busybox::run),
    };
    prerequisites::ensure_root("ramdisk")?;
    println!("prerequisites: {}", prerequisites::ensure(purpose)?);
    let started = Instant::now();
    let note = work()?;
    println!("{note}, {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}
