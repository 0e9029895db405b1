//! What the guard adds to IPA's requests.

use std::io;

use super::Bench;
use super::http::{Connection, exchange, keep};
use super::report::{Aim, Figure};
use super::samples::{Samples, microseconds, ratios, time};
use super::site::{IRONIC, Site};

/// The requests are made in so many parts, direct and through the guard in turns.
const PARTS: usize = 5;

/// A request, and whether its connection is kept for all of a part.
struct Kind {
    what: &'static str,
    request: String,
    status: &'static str,
    kept: bool,
}

/// The times of both ways, in microseconds.
#[derive(Default)]
struct Times {
    through: Vec<f64>,
    direct: Vec<f64>,
}

/// Requests direct and through it, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(1000);
    let site = Site::new(bench, "guard")?;
    let mut figure = Figure::new(
        "IPA's requests through the guard",
        format!(
            "A lookup and a heartbeat to a stand-in Ironic in another namespace, to the last byte of the answer. Each goes over \
             a connection of its own, with its connect, and over a kept one. Through the guard, and direct while the daemon \
             is stopped, in {PARTS} turns, {rounds} each. For a new connection the guard asks the kernel what was dialled \
             and connects there; it judges the URL of each heartbeat. What a real Ironic takes itself is not in it."
        ),
    );
    let kinds = kinds(&site);
    let part = || kinds.iter().map(|kind| kind.times(rounds / PARTS)).collect::<io::Result<Vec<_>>>();
    let mut all: Vec<Times> = kinds.iter().map(|_| Times::default()).collect();
    for _ in 0..PARTS {
        let through = site.node.enter(part)??;
        let direct = site.directly(|| site.node.enter(part))???;
        for (times, (through, direct)) in all.iter_mut().zip(through.into_iter().zip(direct)) {
            times.through.extend(through);
            times.direct.extend(direct);
        }
    }
    figure.limited_by(
        "Behind the guard a new connection means two connects and four threads that wake one after the other. Direct there are \
         one connect and two threads.",
    );
    for (Kind { what, .. }, Times { through, direct }) in kinds.iter().zip(&all) {
        for (way, times) in [("direct", direct), ("through the guard", through)] {
            let times: Samples = times.iter().copied().collect();
            figure.row(format!("{what}, {way}"), format!("{}, p99 {}", times.times(), time(times.p99())));
        }
        let added: Samples = through.iter().zip(direct).map(|(through, direct)| through - direct).collect();
        match what.starts_with("heartbeat") {
            true => {
                let aim = Aim::at_most(added.median(), 150.0, time);
                figure.aimed(format!("{what}, added"), added.times(), aim);
            }
            false => figure.row(format!("{what}, added"), added.times()),
        }
        let ratio = ratios(through, direct).spread(|ratio| format!("{ratio:.2}"));
        figure.row(format!("{what}, through the guard / direct"), ratio);
    }
    Ok(figure)
}

fn kinds(site: &Site) -> [Kind; 4] {
    let (lookup, heartbeat) = (site.lookup(), site.heartbeat());
    let kind = |what, request, status, kept| Kind { what, request, status, kept };
    [
        kind("lookup, new connection", lookup.clone(), "200", false),
        kind("lookup, kept connection", keep(&lookup), "200", true),
        kind("heartbeat, new connection", heartbeat.clone(), "202", false),
        kind("heartbeat, kept connection", keep(&heartbeat), "202", true),
    ]
}

impl Kind {
    /// So many times, one after the other.
    fn times(&self, count: usize) -> io::Result<Vec<f64>> {
        let Self { request, status, .. } = self;
        if !self.kept {
            return (0..count).map(|_| Ok(microseconds(exchange(IRONIC, request, status)?.took))).collect();
        }
        let mut connection = Connection::open(IRONIC)?;
        connection.ask(request, status)?; // With the first one the way is still made.
        (0..count).map(|_| Ok(microseconds(connection.ask(request, status)?.took))).collect()
    }
}
