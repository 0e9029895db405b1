//! `ipa-fleet run` on that Ironic: what a look takes beyond its requests, what is resident, how many series there are.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use callback_url::judge;
use serde_json::Value;
use testbed::http::Http;

use super::{MOST_KIB, high_water};
use crate::owned::{Killed, Scratch};

/// The most that a look may take beside its requests to Ironic.
const MOST_BEYOND: Duration = Duration::from_millis(500);
/// The most series, for any fleet.
const MOST_SERIES: usize = 1100;
/// So many looks are compared; the best counts, since other work shares the processors.
const LOOKS: usize = 3;
/// For all of it.
const PATIENCE: Duration = Duration::from_secs(600);
/// So many URLs are judged.
const URLS: u32 = 10_000;

/// One look, out of the log.
#[derive(Default)]
struct Look {
    requests: u32,
    /// For all requests, from the connect to the last byte of the answer.
    asked: Duration,
    took: Duration,
}

/// Measures it.
///
/// # Errors
/// Where it takes more than it may.
pub fn measure(binary: &Path, ironic: &str, nodes: u32, scratch: &Scratch) -> anyhow::Result<()> {
    let log = scratch.path().join("run.log");
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let child = Command::new(binary)
        .args(["run", "--log.level=debug", "--log.format=json"])
        .arg(format!("--ironic.url={ironic}"))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .spawn()?;
    let fleet = Killed(child);
    let started = Instant::now();
    // The first look sweeps as well.
    let looks = loop {
        let looks = looks(&std::fs::read_to_string(&log)?);
        if looks.len() > LOOKS {
            break looks;
        }
        ensure!(started.elapsed() < PATIENCE, "only {} looks", looks.len());
        std::thread::sleep(Duration::from_secs(1));
    };
    println!("\n{:36} {:>9} {:>9} {:>9} {:>9}", "", "requests", "seconds", "Ironic's", "beyond");
    let mut best = Duration::MAX;
    for look in looks.iter().skip(1).take(LOOKS) {
        let beyond = look.took.saturating_sub(look.asked);
        let [took, own, over] = [look.took, look.asked, beyond].map(|time| time.as_secs_f64());
        println!(
            "{:36} {:>9} {took:>9.3} {own:>9.3} {over:>9.3}",
            "one look of ipa-fleet run", look.requests
        );
        best = best.min(beyond);
    }
    let series = series(address)?;
    let kib = high_water(fleet.0.id()).context("it has ended")?;
    println!("ipa-fleet run, {nodes} nodes: {series} series, at most {kib} KiB resident");
    judged();
    ensure!(best <= MOST_BEYOND, "a look takes {best:?} beside its requests, more than {MOST_BEYOND:?}");
    ensure!(series <= MOST_SERIES, "{series} series, more than {MOST_SERIES}");
    ensure!(kib <= MOST_KIB, "{kib} KiB resident, more than {MOST_KIB}");
    Ok(())
}

/// The looks that are over.
fn looks(log: &str) -> Vec<Look> {
    let (mut looks, mut look) = (Vec::new(), Look::default());
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let number = |name: &str| line.get(name).and_then(Value::as_f64).map(Duration::from_secs_f64);
        if let (Some(_), Some(seconds)) = (line.get("path"), number("seconds")) {
            look.requests += 1;
            look.asked += seconds;
        } else if let Some(took) = number("look") {
            looks.push(Look { took, ..std::mem::take(&mut look) });
        }
    }
    looks
}

fn series(address: SocketAddr) -> anyhow::Result<usize> {
    let answer = Http::new(address).get("/metrics", &[])?;
    if answer.status != 200 {
        bail!("{} to /metrics", answer.status);
    }
    Ok(answer.text().lines().filter(|line| !line.starts_with('#')).count())
}

/// Every third URL is the seed's.
fn judged() {
    let url = |number: u32| match (number % 3, Ipv4Addr::from_bits(0x0a00_0001 + number)) {
        (0, address) => format!("http://{address}%20uid%200:9999"),
        (_, address) => format!("https://{address}:9999"),
    };
    let urls: Vec<_> = (0..URLS).map(url).collect();
    let start = Instant::now();
    let bad =
        urls.iter().filter(|url| !judge(url, &callback_url::Context::default()).reasons.is_empty()).count();
    println!("{URLS} URLs judged in {:.1} ms, {bad} of them bad", start.elapsed().as_secs_f64() * 1000.0);
}
