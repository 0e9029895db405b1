//! What the guard adds to IPA's requests.

use std::io;

use super::Bench;
use super::http::exchange;
use super::report::Figure;
use super::samples::{Samples, alternate, microseconds, time};
use super::site::{GUARD, IRONIC, PREFIX, Site};

/// Requests direct and through it, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(1000);
    let site = Site::new(bench, "guard")?;
    let mut figure = Figure::new(
        "IPA's requests through the guard",
        format!(
            "A lookup and a heartbeat over a connection of their own, from connect to the last byte, to a stand-in Ironic \
             in another namespace: direct and through the guard in turns, {rounds} each. The guard connects to Ironic \
             anew for each, as IPA would, reads the body and judges the URL. What a real Ironic takes itself is not in it."
        ),
    );
    let requests = [
        ("lookup", site.lookup(""), site.lookup(PREFIX), "200"),
        ("heartbeat", site.heartbeat(""), site.heartbeat(PREFIX), "202"),
    ];
    for (what, direct, guarded, status) in &requests {
        let one = |address, request: &str| Ok(microseconds(exchange(address, request, status)?.took));
        let (without, with) = site
            .node
            .enter(|| alternate::<io::Error>(rounds, || one(IRONIC, direct), || one(GUARD, guarded)))??;
        let added: Samples = with.iter().zip(&without).map(|(with, without)| with - without).collect();
        for (way, times) in [("direct", without), ("through the guard", with)] {
            let times: Samples = times.into_iter().collect();
            figure.row(format!("{what}, {way}"), format!("{}, p99 {}", times.times(), time(times.p99())));
        }
        figure.row(format!("{what}, added"), added.times());
    }
    Ok(figure)
}
