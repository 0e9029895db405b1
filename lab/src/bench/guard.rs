//! What the guard adds to IPA's requests.

use std::io;

use super::Bench;
use super::http::exchange;
use super::report::Figure;
use super::samples::{Samples, microseconds, time};
use super::site::{IRONIC, Site};

/// The requests are made in so many parts, direct and through the guard in turns.
const PARTS: usize = 5;

/// Requests direct and through it, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(1000);
    let site = Site::new(bench, "guard")?;
    let mut figure = Figure::new(
        "IPA's requests through the guard",
        format!(
            "A lookup and a heartbeat over a connection of their own, from connect to the last byte, to a stand-in Ironic \
             in another namespace: through the guard, and direct while it is stopped, in {PARTS} turns, {rounds} each. The \
             guard asks the kernel what was dialled, connects there, and judges the URL. What a real Ironic takes itself is \
             not in it."
        ),
    );
    let requests = [("lookup", site.lookup(), "200"), ("heartbeat", site.heartbeat(), "202")];
    for (what, request, status) in &requests {
        let one = || io::Result::Ok(microseconds(exchange(IRONIC, request, status)?.took));
        let some = || site.node.enter(|| (0..rounds / PARTS).map(|_| one()).collect::<io::Result<Vec<_>>>());
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..PARTS {
            with.extend(some()??);
            without.extend(site.directly(some)???);
        }
        let added: Samples = with.iter().zip(&without).map(|(with, without)| with - without).collect();
        for (way, times) in [("direct", without), ("through the guard", with)] {
            let times: Samples = times.into_iter().collect();
            figure.row(format!("{what}, {way}"), format!("{}, p99 {}", times.times(), time(times.p99())));
        }
        figure.row(format!("{what}, added"), added.times());
    }
    Ok(figure)
}
