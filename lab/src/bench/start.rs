//! From the start of the program to READY.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{Samples, microseconds, time};
use super::{Bench, PATIENCE};
use crate::owned::{Killed, Scratch};
use crate::routes;

/// Of the crowded machine.
const ADDRESSES: usize = 10_000;
const ROUTES: usize = 100_000;
/// The start that has an aim.
const WITH_PROBES: &str = "mode observe, with the probes and sight";
const API: &str = "--ironic.api-url=http://203.0.113.1:6385";

/// Starts of several kinds, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(51);
    let directory = Scratch::new("start")?;
    let config = format!("--ipa.config-dir={}", directory.path().display());
    let (small, crowded) = (machine()?, machine()?);
    crowd(bench, &crowded, directory.path())?;
    let mut figure = Figure::new(
        "Start",
        format!(
            "From before the process is made until systemd's socket has READY; the address is there, and the drop-in is not \
             yet. Crowded: {} addresses on one device and {} routes. {rounds} rounds in turns, the first of them left out. \
             Beside it what the smallest program takes to start and end.",
            bench.rounds(ADDRESSES),
            bench.rounds(ROUTES)
        ),
    );
    let cases = [
        ("mode observe, without probes, sight of http only", &small, vec!["--probe.connect=off", API]),
        (
            "mode agent, with the probes, without sight",
            &small,
            vec![API, "--mode=agent", "--agent.without-listener"],
        ),
        (WITH_PROBES, &small, vec![API]),
        (
            "mode configure, with the probes and sight: the drop-in is on disk",
            &small,
            vec![API, "--mode=configure", &config],
        ),
        ("the same, crowded", &crowded, vec![API, "--mode=configure", &config]),
    ];
    let mut times = vec![Vec::new(); cases.len()];
    let mut smallest = Vec::new();
    for _ in 0..=rounds {
        for ((_, netns, flags), times) in cases.iter().zip(&mut times) {
            let _ = std::fs::remove_file(directory.path().join("zz-ipa-sidecar.conf"));
            times.push(netns.enter(|| until_ready(&bench.binary, flags, directory.path()))??);
        }
        let started = Instant::now();
        Command::new("true").status()?;
        smallest.push(microseconds(started.elapsed()));
    }
    let warm = |times: Vec<f64>| times.into_iter().skip(1).collect::<Samples>();
    figure.row("`true`, to its end", warm(smallest).times());
    figure.limited_by(
        "What is left is the first use of the program's pages and about a thousand system calls. It looks at each process, and at \
         each place where IPA's unit, packages and configuration may be.",
    );
    for ((what, ..), times) in cases.into_iter().zip(times) {
        let times = warm(times);
        match what == WITH_PROBES {
            true => figure.aimed(what, times.times(), Aim::at_most(times.median(), 5000.0, time)),
            false => figure.row(what, times.times()),
        }
    }
    Ok(figure)
}

/// A namespace with an address and a way to the API.
fn machine() -> anyhow::Result<Netns> {
    let netns = Netns::new()?;
    netns.ip_lines(
        "link add n0 type veth peer name n1
         link set n0 up
         link set n1 up
         addr add 10.0.0.2/24 dev n0
         route add default via 10.0.0.1 dev n0",
    )?;
    Ok(netns)
}

fn crowd(bench: &Bench, netns: &Netns, directory: &Path) -> anyhow::Result<()> {
    let address = |n| format!("addr add {}/32 dev n0", routes::host(172, n));
    let batch = directory.join("batch");
    let addresses = (0..bench.rounds(ADDRESSES)).map(address);
    routes::write(&batch, addresses.chain(routes::lines("add", bench.rounds(ROUTES), "n0")))?;
    netns.ip(&format!("-batch {}", batch.display()))?;
    Ok(())
}

/// Microseconds. Call it inside the namespace.
fn until_ready(binary: &Path, flags: &[&str], directory: &Path) -> anyhow::Result<f64> {
    let path = directory.join("notify");
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut command = Command::new(binary);
    command.args(Daemon::words(flags)).env("NOTIFY_SOCKET", &path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let _daemon = Killed(command.spawn()?);
    loop {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).context("the daemon was not READY in time")?;
        let took = started.elapsed();
        if String::from_utf8_lossy(message.get(..length).unwrap_or_default()).contains("READY=1") {
            return Ok(microseconds(took));
        }
    }
}
