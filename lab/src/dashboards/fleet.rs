//! The alerts of `ipa-fleet`: a real Ironic in one trouble after the other.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use testbed::http::Http;
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;
use xtask::process;
use xtask::workspace::{FLEET, target_directory};

use super::PATIENCE;
use super::check;
use super::prometheus::Prometheus;
use crate::owned::{Killed, Scratch};

/// Where it listens by default, as `prometheus.yml` has it.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10_100);
/// So many nodes.
const NODES: &str = "200";
/// The alerts that it shows.
#[cfg(test)]
pub const ALERTS: [&str; 6] = [
    "IpaFleetBadAgentUrl",
    "IpaFleetFailures",
    "IpaFleetNeverHeard",
    "IpaFleetBlind",
    "IpaFleetIronicAway",
    DOWN,
];
/// Of its alerts this one fires before it is there.
const DOWN: &str = "IpaFleetDown";
/// A node that waits since 20 minutes.
const NEVER_HEARD: &str = "update nodes set provision_state = 'wait call-back', driver_internal_info = '{}', \
                           provision_updated_at = datetime('now', '-20 minutes') where provision_state = 'active' \
                           and id = (select max(id) from nodes where provision_state = 'active')";

/// Runs through all of it; gives a line on what fired.
///
/// # Errors
/// Where an alert does not fire in its trouble, or one fires without.
pub fn run(hub: &Arc<Netns>, prometheus: &Prometheus, scratch: &Scratch) -> anyhow::Result<String> {
    process::run(process::cargo().args(["build", "--release", "--package", FLEET]))?;
    let binary = std::path::absolute(target_directory().join("release").join(FLEET))?;
    let options = Options { port: 0, power_sync: 0, netns: Some(Arc::clone(hub)), ..Options::default() };
    let ironic = RealIronic::start(&options)?;
    let pages = Http::inside(hub, ADDRESS);
    let fleet = Killed(
        hub.command(binary)
            .arg("run")
            .arg(format!("--ironic.url={}", ironic.url()))
            // None of its nodes is there.
            .arg("--sd.allow=203.0.113.0/24")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(scratch.path().join("fleet.log"))?)
            .spawn()?,
    );
    until("it is ready", || Ok(pages.get("/-/ready", &[]).is_ok_and(|answer| answer.status == 200)))?;
    let since = SystemTime::now();
    let fired = || -> anyhow::Result<BTreeSet<String>> {
        let fired = check::fired(prometheus, since)?.into_iter();
        Ok(fired.filter(|(_, instance)| *instance == ADDRESS.to_string()).map(|(alert, _)| alert).collect())
    };
    std::thread::sleep(Duration::from_secs(5));
    let before: Vec<_> = fired()?.into_iter().filter(|alert| alert != DOWN).collect();
    ensure!(before.is_empty(), "without any trouble: {}", before.join(", "));

    let script = scratch.path().join("nodes.py");
    std::fs::write(&script, include_str!("../fleet/nodes.py"))?;
    process::run(Command::new("python3").arg(&script).arg(ironic.database()).arg(NODES))?;
    sql(&ironic.database(), NEVER_HEARD)?;
    for alert in ["IpaFleetBadAgentUrl", "IpaFleetFailures", "IpaFleetNeverHeard"] {
        until(alert, || Ok(fired()?.contains(alert)))?;
    }
    sql(&ironic.database(), "delete from nodes")?;
    until("IpaFleetBlind", || Ok(fired()?.contains("IpaFleetBlind")))?;
    drop(ironic);
    until("IpaFleetIronicAway", || Ok(fired()?.contains("IpaFleetIronicAway")))?;
    let down = SystemTime::now();
    drop(fleet);
    until(DOWN, || Ok(check::fired(prometheus, down)?.contains(&(DOWN.to_owned(), ADDRESS.to_string()))))?;
    Ok(format!("{} alerts of ipa-fleet fire in their troubles, and none before", fired()?.len()))
}

fn sql(database: &Path, statement: &str) -> anyhow::Result<()> {
    const SCRIPT: &str =
        "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1], timeout=60) as d: d.execute(sys.argv[2])";
    process::run(Command::new("python3").args(["-c", SCRIPT]).arg(database).arg(statement))
}

fn until(what: &str, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds().with_context(|| what.to_owned())? {
        ensure!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("  {what}: after {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}
