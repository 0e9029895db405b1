//! How soon a change of address is known, and is in a heartbeat.

use super::report::{Aim, Figure};
use super::samples::{Samples, ratios, time};
use super::{Bench, kernel};

/// The decision and the heartbeat, beside `ip monitor`.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let decisions = kernel::measure(bench, "decision", 500)?;
    let beats = kernel::measure(bench, "heartbeat", 100)?;
    let mut figure = Figure::new(
        "From an address change to the decision and the heartbeat",
        format!(
            "Times begin before the netlink message that changes the address is sent, and each change follows some quiet. \
             Decision: the watch as the daemon runs it, on its own thread. It ends when the runtime that waits for the next \
             decision has it. An address is added {} times, and deleted as often. Heartbeat: {} \
             fresh daemons in mode `agent`, after their lookup and without an address. It ends when a stand-in Ironic in \
             another namespace has read the heartbeat with the new address. Beside each, at the same change: when a thread \
             has read the line of `ip monitor address`.",
            decisions.of("added")?.len(),
            beats.of("heartbeat")?.len()
        ),
    );
    let tail = |samples: &Samples| format!("{}, p99 {}", samples.times(), time(samples.p99()));
    for (word, ours, theirs, aim) in
        [("added", "added", "added_ip_monitor", 1.6), ("deleted", "deleted", "deleted_ip_monitor", 1.4)]
    {
        let samples = decisions.samples(ours)?;
        let tail_aim = Aim::at_most(samples.p99(), 1000.0, |limit| format!("{} in p99", time(limit)));
        figure.aimed(format!("address {word}, to the decision"), tail(&samples), tail_aim);
        figure.row(format!("address {word}, to the line of `ip monitor`"), tail(&decisions.samples(theirs)?));
        against(&mut figure, word, ratios(decisions.of(ours)?, decisions.of(theirs)?), aim);
    }
    let samples = beats.samples("heartbeat")?;
    let aim = Aim::at_most(samples.p99(), 5000.0, |limit| format!("{} in p99", time(limit)));
    figure.aimed("address added, to the heartbeat", tail(&samples), aim);
    figure.row("address added, to the line of `ip monitor`", tail(&beats.samples("ip_monitor")?));
    figure.limited_by(
        "A decision wakes two threads one after the other and asks the kernel in between; `ip monitor` wakes two as well and asks \
         nothing. What the 99th percentile has beyond that is the time until a processor is free.",
    );
    Ok(figure)
}

fn against(figure: &mut Figure, word: &str, ratio: Samples, aim: f64) {
    let show = |ratio: f64| format!("{ratio:.2}");
    figure.aimed(
        format!("address {word}, decision / `ip monitor`"),
        ratio.spread(show),
        Aim::at_most(ratio.median(), aim, show),
    );
}
