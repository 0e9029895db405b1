//! The daemon's processor time beside requests that are none of IPA's.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use testbed::stand_in::{Behaviour, StandIn, TlsIdentity};

use super::super::Bench;
use super::super::http::{exchange, get};
use super::super::report::Figure;
use super::place::{Kind, Place, SERVER};
use crate::usage::Usage;

/// Requests a second.
pub const RATE: u32 = 1_000;
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
/// After its start a daemon still has something to do.
const SETTLE: Duration = Duration::from_secs(3);

/// Makes that many requests on the node, and gives how many there were.
type Traffic = fn(&Place, Duration) -> anyhow::Result<u32>;

const TRAFFIC: [(&str, Traffic); 3] = [
    ("no requests", |_, period| {
        sleep(period);
        Ok(0)
    }),
    ("http requests", http),
    ("https requests", https),
];

/// Adds a row for each kind of traffic.
///
/// # Errors
/// Where there is no daemon, or the requests fail.
pub fn measure(bench: &Bench, seconds: u64, figure: &mut Figure) -> anyhow::Result<()> {
    let period = Duration::from_secs(seconds);
    for (what, traffic) in TRAFFIC {
        for (kind, with) in [(Kind::Nothing, "nothing attached"), (Kind::Sight, "with the probes and sight")]
        {
            let place = Place::new(bench, kind)?;
            let _servers = servers(&place)?;
            sleep(SETTLE);
            let mut usage = Usage::of(place.daemon.pid())?;
            let started = Instant::now();
            let count = std::thread::scope(|scope| {
                let requests = scope.spawn(|| traffic(&place, period));
                while !requests.is_finished() {
                    sleep(Duration::from_millis(200));
                    usage.look()?;
                }
                requests.join().ok().context("the requests panicked")?
            })?;
            let took = started.elapsed().as_secs_f64();
            let share = usage.processor().as_secs_f64() / took * 100.0;
            let rate = f64::from(count) / took;
            figure.row(
                format!("the daemon's processor time, {what}, {with}"),
                format!("{share:.2} % of one processor, at {rate:.0} requests a second"),
            );
        }
    }
    Ok(())
}

/// Unrelated ones: not where the API would be.
fn servers(place: &Place) -> anyhow::Result<[StandIn; 2]> {
    let [certificates, key] = ["cert.pem", "key.pem"].map(|name| fs::read_to_string(place.file(name)));
    let identity = TlsIdentity { certificates: certificates?, key: key?, client_ca: None };
    let start = |port, tls| -> anyhow::Result<StandIn> {
        let listener = place.server.enter(|| TcpListener::bind((SERVER, port)))??;
        Ok(StandIn::start(listener, Behaviour { tls, ..Behaviour::default() })?)
    };
    Ok([start(HTTP, None)?, start(HTTPS, Some(identity))?])
}

fn http(place: &Place, period: Duration) -> anyhow::Result<u32> {
    let (address, request) = (format!("{SERVER}:{HTTP}"), get("/unrelated"));
    place.node.enter(|| {
        let (started, mut count) = (Instant::now(), 0);
        while started.elapsed() < period {
            exchange(&address, &request, "404")?;
            count += 1;
            sleep(
                (started + Duration::from_secs(1) * count / RATE).saturating_duration_since(Instant::now()),
            );
        }
        Ok(count)
    })?
}

fn https(place: &Place, period: Duration) -> anyhow::Result<u32> {
    let mut command = place.python(include_str!("../tls_requests.py"))?;
    command.args([SERVER, &HTTPS.to_string()]).arg(place.file("cert.pem"));
    command.args([RATE.to_string(), period.as_secs().to_string()]);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the client of https ended with {}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().parse().context("no count of requests")
}
