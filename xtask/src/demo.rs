//! `cargo xtask demo`.

/// Not there yet.
pub fn run(_flags: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("comes with the demo")
}
