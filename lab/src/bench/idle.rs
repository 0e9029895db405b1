//! What the daemon uses while nothing happens.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{microseconds, time};
use super::site::Site;
use super::{Bench, PATIENCE};
use crate::usage::{Usage, descriptors, mebibytes, resident};

/// A busy machine needs so long until all that begins has begun.
const SETTLE: Duration = Duration::from_secs(15);

/// Three daemons in the same minute.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let period = Duration::from_secs(if bench.quick { 6 } else { 60 });
    let mut figure = Figure::new(
        "Idle",
        format!(
            "Three daemons, {} s after their start, for {} s in which nothing happens and nobody asks. Processor time is of \
             all threads, in user space and in the kernel; a wake-up is a voluntary context switch of one of them.",
            SETTLE.as_secs(),
            period.as_secs()
        ),
    );
    let netns = [Arc::new(Netns::new()?), Arc::new(Netns::new()?)];
    let api = "--ironic.api-url=http://192.0.2.1:6385";
    let start = |netns, probes| Daemon::start(&bench.binary, netns, &[api, probes]);
    let bare = start(&netns[0], "--probe.connect=off")?;
    let probes = start(&netns[1], "--probe.connect=auto")?;
    let site = Site::new(bench, "idle")?;
    let daemons = [
        ("observe, without probes", &bare),
        ("observe, with the probes", &probes),
        ("guard, with the probes, after a heartbeat", &site.daemon),
    ];
    for (_, daemon) in daemons {
        daemon.wait_log("generation=", PATIENCE)?;
    }
    sleep(SETTLE);
    let mut usages =
        daemons.iter().map(|(_, daemon)| Usage::of(daemon.pid())).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    while started.elapsed() < period {
        sleep(Duration::from_secs(1));
        for usage in &mut usages {
            usage.look()?;
        }
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    for ((what, daemon), usage) in daemons.iter().zip(usages) {
        let processor = time(microseconds(usage.processor()) / minutes);
        #[allow(clippy::cast_precision_loss)]
        let (wakeups, memory) = (usage.sleeps() as f64 / minutes, resident(daemon.pid())? as f64);
        let value = format!(
            "{processor} of processor time and {wakeups:.0} wake-ups a minute, {} resident, {} descriptors",
            mebibytes(memory),
            descriptors(daemon.pid())?
        );
        match what.starts_with("observe") {
            true => figure.aimed(
                *what,
                value,
                Aim::at_most(wakeups, 10.0, |limit| format!("{limit:.0} wake-ups")),
            ),
            false => figure.row(*what, value),
        }
    }
    Ok(figure)
}
