//! The real ironic-python-agent under systemd, with our unit beside it, in a ramdisk: what Ironic records, and that it
//! works without us.

use testbed::guest::Kernel;

use super::network::Network;
use super::systemd_root::SystemdRoot;
use xtask::dist;

/// Builds the ramdisk and boots it, with and without our binary.
///
/// # Errors
/// What the ramdisk did not do.
pub fn run() -> anyhow::Result<String> {
    let release = dist::release_here()?;
    let kernel = Kernel::install(&mut |line| println!("{line}"))?;
    let root = SystemdRoot::new(&release, &kernel)?;
    println!("  {}", Network::new()?.with_sidecar(&kernel.image, &root.pack()?)?);
    root.without_binary()?;
    println!("  {}", Network::new()?.without_sidecar(&kernel.image, &root.pack()?)?);
    Ok("with and without ipa-sidecar".to_owned())
}
