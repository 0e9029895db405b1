//! What reports to a silent address cost IPA's heartbeats.

use std::thread::sleep;
use std::time::Duration;

use super::Bench;
use super::http::exchange;
use super::report::Figure;
use super::samples::{Samples, alternate, microseconds, ratios, time};
use super::site::{IRONIC, Site};

/// On the wire of the site, and nobody's.
const SILENT: &str = "--report.url=http://10.77.0.99:10101";
/// A report goes out with each heartbeat only where they are not more than two a second.
const PACE: Duration = Duration::from_millis(600);

/// Heartbeats of two nodes in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(300);
    let with = Site::with(bench, "reports", &[SILENT])?;
    let without = Site::with(bench, "no-reports", &[])?;
    let mut figure = Figure::new(
        "Heartbeats with reports to a silent address",
        format!(
            "A heartbeat through the guard to a stand-in Ironic, over a connection of its own, to the last byte of the answer. \
             In turns on a node whose reports go to an address that nobody has, and on one without reports: {rounds} each, \
             {} ms apart.",
            PACE.as_millis()
        ),
    );
    let beat = |site: &Site| {
        sleep(PACE / 2);
        let request = site.heartbeat();
        let took = site.node.enter(|| exchange(IRONIC, &request, "202"))??.took;
        Ok::<_, std::io::Error>(microseconds(took))
    };
    let (reported, unreported) = alternate(rounds, || beat(&with), || beat(&without))?;
    let timeouts = with.daemon.metric(r#"reports_sent_total{result="timeout"}"#)?.unwrap_or_default();
    for (what, times) in [("without reports", &unreported), ("with reports", &reported)] {
        let times: Samples = times.iter().copied().collect();
        figure.row(what, format!("{}, p99 {}", times.times(), time(times.p99())));
    }
    let ratio = ratios(&reported, &unreported).spread(|ratio| format!("{ratio:.2}"));
    figure.row("with / without", ratio);
    figure.row("reports that were given up meanwhile", format!("{timeouts}"));
    Ok(figure)
}
