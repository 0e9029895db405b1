//! `cargo lab passed-by`: nodes on which all is well, though IPA may seem to pass the daemon by. None may be called so.

use std::time::{Duration, Instant};

use anyhow::bail;
use testbed::site::Sound;
use xtask::build;
use xtask::prerequisites::{self, Purpose};

const PACE: Duration = Duration::from_secs(2);
/// How often a line says how it goes.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Looks at all of them for so long.
///
/// # Errors
/// Without root, and where a node is called passed by, is not ready, or Ironic does not hold its URL.
pub fn run(minutes: u64) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Test)?;
    prerequisites::ensure_root("passed-by")?;
    let nodes = Sound::all(&build::release()?);
    println!(
        "{} sound nodes in network namespaces, each with the real daemon in mode configure",
        nodes.len()
    );
    let (began, mut looks, mut reported) = (Instant::now(), 0_u32, Duration::ZERO);
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        std::thread::sleep(PACE);
        let faults: Vec<_> = nodes.iter().filter_map(|node| node.is_sound().err()).collect();
        if !faults.is_empty() {
            bail!("after {} s and {looks} looks:\n{}", began.elapsed().as_secs(), faults.join("\n"));
        }
        looks += 1;
        if began.elapsed() >= reported + REPORT_EVERY {
            reported += REPORT_EVERY;
            println!("{:3} s: all are ready, and none is passed by", reported.as_secs());
        }
    }
    println!("\n{looks} looks at each in {} s: always ready, never passed by", began.elapsed().as_secs());
    for node in &nodes {
        let lookups = node.ironic.requests().iter().filter(|request| request.path() == "/v1/lookup").count();
        let (beats, url) = (node.ironic.heartbeats(), node.ironic.agent_url().unwrap_or_default());
        println!("  {:28} {lookups} lookups, {beats} heartbeats accepted, Ironic holds {url}", node.name);
    }
    Ok(())
}
