//! What sight costs others: the calls that it hears of, and its own processor time beside traffic that is not IPA's.

mod place;
mod traffic;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Instant;

use anyhow::Context;

use super::Bench;
use super::probes::stay_on_one_processor;
use super::report::Figure;
use super::samples::{Samples, ratios};

use place::{Kind, Place};

/// Rounds; each one measures every kind of daemon, in turns.
const ROUNDS: usize = 21;
/// Parts of one measurement, whose median counts: what else runs on the machine disturbs a few of them.
const PARTS: usize = 5;
/// What a part does: some hundredths of a second.
const CONNECTS: u32 = 1_000;
const SENDS: u32 = 5_000;
const WRITES: u32 = 5_000;

/// What an unrelated process does.
const WORKLOADS: [(&str, Work); 3] = [
    ("connect over loopback", |place| timed(place, CONNECTS, connects)),
    ("`sendto` of 1000 bytes over loopback, with the `recvfrom`", |place| timed(place, SENDS, sends)),
    ("`SSL_write` of 1000 bytes", |place| place.ssl_writes(PARTS, WRITES)),
];

/// Microseconds for one, of each part.
type Work = fn(&Place) -> anyhow::Result<Vec<f64>>;

/// Of one workload, in the order of the rounds.
#[derive(Default)]
struct Times {
    nothing: Vec<f64>,
    probes: Vec<f64>,
    sight: Vec<f64>,
}

impl Times {
    fn of(&mut self, kind: Kind) -> &mut Vec<f64> {
        match kind {
            Kind::Nothing => &mut self.nothing,
            Kind::Probes => &mut self.probes,
            Kind::Sight => &mut self.sight,
        }
    }
}

/// Calls beside daemons of every kind, in turns; then their processor time.
///
/// # Errors
/// Where a daemon is not of its kind, or something cannot be measured.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(ROUNDS);
    let seconds = if bench.quick { 3 } else { 20 };
    let mut figure = Figure::new(
        "What sight costs others",
        format!(
            "Another process in the daemon's network namespace, with the libssl that the daemon looks at. {rounds} rounds, in \
             each a fresh daemon of three kinds in turns. The first has ended again: nothing is attached. The second has the probes on connects (mode \
             `agent`). The third has these and sight of http and https (mode `observe`). In each {PARTS} parts of {CONNECTS} \
             connects, {SENDS} `sendto` and {WRITES} `SSL_write` (from Python, between two ends in the same process). Their \
             median counts. Then the daemon's processor time, of all threads, beside {} unrelated requests a second for \
             {seconds} s. They go to servers in another namespace: http with a new connection for each, https over one.",
            traffic::RATE
        ),
    );
    let mut times: Vec<Times> = WORKLOADS.iter().map(|_| Times::default()).collect();
    let mut order = Kind::ALL;
    for _ in 0..rounds {
        order.rotate_left(1);
        for kind in order {
            let mut place = Place::new(bench, kind)?;
            if kind == Kind::Nothing {
                place.daemon.terminate()?;
            }
            for ((_, work), times) in WORKLOADS.iter().zip(&mut times) {
                times.of(kind).push(median(work(&place)?).context("nothing was measured")?);
            }
        }
    }
    for ((what, _), Times { nothing, probes, sight }) in WORKLOADS.iter().zip(&times) {
        let samples = |times: &[f64]| times.iter().copied().collect::<Samples>().times();
        let ratio = |ratio: f64| format!("{ratio:.3}");
        figure.row(format!("{what}, nothing attached"), samples(nothing));
        figure.row(format!("{what}, with the probes and sight"), samples(sight));
        figure.row(format!("{what}, probes and sight / nothing"), ratios(sight, nothing).spread(ratio));
        figure.row(format!("{what}, probes and sight / probes"), ratios(sight, probes).spread(ratio));
    }
    traffic::measure(bench, seconds, &mut figure)?;
    Ok(figure)
}

fn median(mut parts: Vec<f64>) -> Option<f64> {
    parts.sort_by(f64::total_cmp);
    parts.get(parts.len() / 2).copied()
}

fn timed(place: &Place, count: u32, work: fn(u32) -> std::io::Result<()>) -> anyhow::Result<Vec<f64>> {
    let parts = place.node.enter(|| {
        stay_on_one_processor()?;
        work(count)?; // Caches, port tables.
        (0..PARTS)
            .map(|_| {
                let started = Instant::now();
                work(count)?;
                Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(count))
            })
            .collect::<std::io::Result<Vec<f64>>>()
    })??;
    Ok(parts)
}

fn connects(count: u32) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..count {
        let stream = TcpStream::connect(address)?;
        drop(listener.accept()?); // This side closes first, and its port waits.
        drop(stream);
    }
    Ok(())
}

fn sends(count: u32) -> std::io::Result<()> {
    let (ours, theirs) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let (to, text, mut buffer) = (theirs.local_addr()?, [b'x'; 1000], [0; 1000]);
    for _ in 0..count {
        ours.send_to(&text, to)?;
        theirs.recv_from(&mut buffer)?;
    }
    Ok(())
}
