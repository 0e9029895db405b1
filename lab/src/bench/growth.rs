//! How the cost of one change grows with the machine.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{Samples, ratios};
use super::{Bench, PATIENCE, kernel};
use crate::owned::Scratch;
use crate::routes;
use crate::usage::{mebibytes, resident};

/// The figures of the bench program, by machine.
const MACHINES: [(&str, &str, &str); 7] = [
    ("1 address, 1 URL", "base", "base_cpu"),
    ("1 address, 32 URLs", "urls", "urls_cpu"),
    ("1,000 addresses, 32 URLs", "thousand", "thousand_cpu"),
    ("10,000 addresses, 1 URL", "addresses", "addresses_cpu"),
    ("10,000 addresses, 32 URLs", "both", "both_cpu"),
    ("1 address, 32 URLs, 2,000 links", "links", "links_cpu"),
    ("1 address, 32 URLs, 1,000,000 routes", "routes", "routes_cpu"),
];
/// The one with most of what costs.
const LARGEST: &str = "both";
const MOST_URLS: usize = 32;
const MOST_ADDRESSES: usize = 10_000;

/// Time, processor time and memory of one change.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let times = kernel::measure(bench, "growth", 40)?;
    let (base, base_cpu) = (times.of("base")?, times.of("base_cpu")?);
    let mut figure = Figure::new(
        "What one change costs on larger machines",
        format!(
            "In each of {} rounds an address comes and goes on each machine in turn, each in a namespace of its own. With it \
             all API URLs become reachable, without it none is. Each value is the mean of the two changes. Time: from the \
             kernel's event to the decision. Processor time: of all threads of the watch, until 150 ms later. Memory: the \
             daemon in mode `observe` without probes, resident after 20 such changes. 32 URLs are the most that the daemon \
             takes.",
            base.len()
        ),
    );
    for (machine, time, processor) in MACHINES {
        figure.row(format!("{machine}: from the event to the decision"), times.samples(time)?.times());
        figure.row(format!("{machine}: processor time"), times.samples(processor)?.times());
    }
    let show = |ratio: f64| format!("{ratio:.2}");
    let mut against = |what: &str, ratio: Samples| {
        let aim = Aim::at_most(ratio.median(), 3.0, show);
        figure.aimed(
            format!("10,000 addresses, 32 URLs / 1 address, 1 URL: {what}"),
            ratio.spread(show),
            aim,
        );
    };
    against("from the event to the decision", ratios(times.of(LARGEST)?, base));
    against("processor time", ratios(times.of(&format!("{LARGEST}_cpu"))?, base_cpu));
    figure.limited_by(
        "Each URL has its own questions to the kernel, and each one is asked anew: 32 URLs are most of the difference.",
    );
    let directory = Scratch::new("growth")?;
    for (machine, addresses, urls) in
        [("1 address, 1 URL", 0, 1), ("10,000 addresses, 32 URLs", MOST_ADDRESSES, MOST_URLS)]
    {
        let kib = memory(bench, directory.path(), addresses, urls)?;
        #[allow(clippy::cast_precision_loss)]
        figure.row(format!("{machine}: memory"), mebibytes(kib as f64));
    }
    Ok(figure)
}

/// Of the daemon, after some changes.
fn memory(bench: &Bench, directory: &Path, addresses: usize, urls: usize) -> anyhow::Result<u64> {
    let netns = Arc::new(Netns::new()?);
    netns.ip_lines("link add n0 type veth peer name n1\nlink set n0 up\nlink set n1 up")?;
    let batch = directory.join("addresses");
    let lines = (0..addresses).map(|n| format!("addr add {}/32 dev n0", routes::host(172, n)));
    routes::write(&batch, lines)?;
    netns.ip(&format!("-batch {}", batch.display()))?;
    let list: Vec<_> = (1..=urls).map(|n| format!("http://10.0.0.{n}:6385")).collect();
    let api = format!("--ironic.api-url={}", list.join(","));
    let daemon = Daemon::start(&bench.binary, &netns, &[&api, "--probe.connect=off"])?;
    for _ in 0..10 {
        netns.ip("addr add 10.0.0.100/24 dev n0")?;
        daemon.wait_address(Some("10.0.0.100"), PATIENCE)?;
        netns.ip("addr del 10.0.0.100/24 dev n0")?;
        sleep(Duration::from_millis(150));
    }
    resident(daemon.pid())
}
