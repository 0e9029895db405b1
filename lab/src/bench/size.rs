//! Size on disk and in memory, beside what else runs on a node or in a ramdisk.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::ipa::{IpaOptions, RealIpa};
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::{Bench, PATIENCE};
use crate::owned::{Killed, Scratch};
use crate::ramdisk;
use crate::usage::{mebibytes, most_resident, resident};
use xtask::dist::{self, Release};
use xtask::prerequisites::{self, Purpose};

const EXPORTER: &str = "prometheus-node-exporter";
const EXPORTER_ADDRESS: &str = "127.0.0.1:9100";

/// The release, node_exporter and ironic-python-agent.
pub fn measure(_bench: &Bench) -> anyhow::Result<Figure> {
    prerequisites::ensure(Purpose::Bench)?;
    let release = dist::release_here()?;
    let binary = std::path::absolute(&release.binary)?;
    let mut figure = Figure::new(
        "Size and memory",
        "The release of `cargo xtask dist`, one static binary with the probes in it, after it was scraped once. Debian's \
         node_exporter, after one scrape of its own. The real ironic-python-agent in its virtual environment, once it has \
         looked for its API. Resident memory, all pages, shared ones too. The ramdisk is a busybox initramfs with \
         Linux 6.1 and a guard.",
    );
    let disk = |path: &Path| Ok::<_, anyhow::Error>(mebibytes(kibibytes(path)?));
    let size = kibibytes(&binary)?;
    figure.aimed("ipa-sidecar, binary", mebibytes(size), Aim::at_most(size, 4.5 * 1024.0, mebibytes));
    for probes in ["off", "auto"] {
        let what = if probes == "off" { "without probes" } else { "with the probes" };
        let Memory { resident, most } = ours(&binary, probes)?;
        figure.row(format!("ipa-sidecar, {what}, resident"), mebibytes(resident));
        figure.row(format!("ipa-sidecar, {what}, most ever"), mebibytes(most));
    }
    in_a_ramdisk(&mut figure, &release)?;
    figure.row("node_exporter, binary", disk(&Path::new("/usr/bin").join(EXPORTER))?);
    figure.row("node_exporter, resident", exporter()?);
    let installation = RealIpa::install(testbed::ipa::VERSION, &mut |line| println!("{line}"))?;
    figure.row(
        format!("ironic-python-agent {}, installed without Python itself", testbed::ipa::VERSION),
        disk(installation.directory())?,
    );
    figure.row("ironic-python-agent, resident", agent()?);
    Ok(figure)
}

/// Of a file, or of all files below a directory.
///
/// # Errors
/// Where one cannot be read.
pub fn bytes(path: &Path) -> anyhow::Result<u64> {
    fn sum(path: &Path) -> std::io::Result<u64> {
        let metadata = std::fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Ok(metadata.len());
        }
        std::fs::read_dir(path)?.map(|entry| sum(&entry?.path())).sum()
    }
    sum(path).with_context(|| path.display().to_string())
}

#[allow(clippy::cast_precision_loss)]
fn kibibytes(path: &Path) -> anyhow::Result<f64> {
    Ok(bytes(path)? as f64 / 1024.0)
}

#[allow(clippy::cast_precision_loss)]
fn memory(pid: u32) -> anyhow::Result<String> {
    Ok(mebibytes(resident(pid)? as f64))
}

/// Where it is meant to run.
#[allow(clippy::cast_precision_loss)]
fn in_a_ramdisk(figure: &mut Figure, release: &Release) -> anyhow::Result<()> {
    let cost = ramdisk::cost(release)?;
    for (what, value, limit) in [("resident", cost.resident, 5.5), ("most ever", cost.most, 12.0)] {
        let value = value as f64;
        let aim = Aim::at_most(value, limit * 1024.0, mebibytes);
        figure.aimed(format!("ipa-sidecar in a ramdisk, with the probes, {what}"), mebibytes(value), aim);
    }
    Ok(())
}

/// KiB.
struct Memory {
    resident: f64,
    most: f64,
}

#[allow(clippy::cast_precision_loss)]
fn ours(binary: &Path, probes: &str) -> anyhow::Result<Memory> {
    let netns = Arc::new(Netns::new()?);
    let flags = ["--ironic.api-url=http://192.0.2.1:6385", &format!("--probe.connect={probes}")];
    let daemon = Daemon::start(binary, &netns, &flags)?;
    daemon.wait_log("generation=", PATIENCE)?;
    // Until then its probes may still be loading.
    daemon.wait_state("the probes", PATIENCE, |_| true)?;
    daemon.get("/metrics")?;
    let pid = daemon.pid();
    Ok(Memory { resident: resident(pid)? as f64, most: most_resident(pid)? as f64 })
}

fn exporter() -> anyhow::Result<String> {
    let netns = Arc::new(Netns::new()?);
    let mut command = netns.command(EXPORTER);
    command.arg(format!("--web.listen-address={EXPORTER_ADDRESS}"));
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let child = Killed(child);
    let http = Http::inside(&netns, EXPORTER_ADDRESS.parse::<SocketAddr>()?);
    let started = Instant::now();
    while http.get("/metrics", &[]).is_err() {
        if started.elapsed() > PATIENCE {
            bail!("{EXPORTER} does not answer on {EXPORTER_ADDRESS}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    memory(child.0.id())
}

fn agent() -> anyhow::Result<String> {
    let netns = Arc::new(Netns::new()?);
    netns.ip_lines(
        "link add eth0.77 type veth peer name other
         link set eth0.77 up
         link set other up
         addr add 10.0.0.2/24 dev eth0.77",
    )?;
    let directory = Scratch::new("ipa")?;
    let api = "http://10.0.0.2:1"; // Nobody listens there, and it goes on trying.
    let options =
        IpaOptions { cmdline: format!("ipa-api-url={api}"), ..IpaOptions::new(&netns, directory.path()) };
    let ipa = RealIpa::start(&options)?;
    ipa.wait_log("lookup", PATIENCE)?;
    std::thread::sleep(Duration::from_secs(3));
    memory(ipa.pid())
}
