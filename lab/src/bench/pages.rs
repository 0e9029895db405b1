//! What the pages take, and what scraping them costs the heartbeats.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Bench;
use super::http::{exchange, get};
use super::report::Figure;
use super::samples::{Samples, microseconds, time};
use super::site::{IRONIC, Site};

const WEB: &str = "127.0.0.1:10099";
const PATHS: [&str; 4] = ["/-/healthy", "/metrics", "/state", "/"];
/// One of both alternating parts.
const PART: Duration = Duration::from_secs(1);
/// A hundred scrapes a second.
const SCRAPE_EVERY: Duration = Duration::from_millis(10);
/// The heartbeats meanwhile: fifty a second, some thousand times IPA's pace.
const BEAT_EVERY: Duration = Duration::from_millis(20);

/// Each page, then heartbeats with and without scrapes.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(500);
    let parts = bench.rounds(10);
    let site = Site::new(bench, "pages")?;
    let mut figure = Figure::new(
        "Pages and scrapes",
        format!(
            "The daemon in mode `guard`, with the probes, after a lookup and a heartbeat. Each page {rounds} times in turns, \
             on a connection of its own, from connect to the last byte. `/-/healthy` is the least that an answer of the \
             same server takes. Then {parts} times a second of heartbeats through the guard alone, and a second of them \
             beside 100 scrapes of `/metrics` a second."
        ),
    );
    let times = site.node.enter(|| in_turns(rounds))??;
    for (path, (samples, size)) in PATHS.iter().zip(times) {
        let p99 = time(samples.p99());
        figure.row(format!("`{path}`"), format!("{}, p99 {p99}, {size} bytes", samples.times()));
    }
    let (mut alone, mut beside, mut scrapes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..parts {
        alone.extend(heartbeats(&site)?);
        let (beats, seen) = beside_scrapes(&site)?;
        beside.extend(beats);
        scrapes.extend(seen);
    }
    for (what, times) in [
        ("heartbeat through the guard, alone", alone),
        ("heartbeat through the guard, beside the scrapes", beside),
        ("a scrape beside the heartbeats", scrapes),
    ] {
        let times: Samples = times.into_iter().collect();
        let (p99, count) = (time(times.p99()), times.count());
        figure.row(what, format!("{}, p99 {p99}, {count} of them", times.times()));
    }
    Ok(figure)
}

/// Each page in each round; its times, and the size of its last body.
fn in_turns(rounds: usize) -> io::Result<Vec<(Samples, usize)>> {
    let mut answers: Vec<_> = PATHS.iter().map(|path| (get(path), Vec::new(), 0)).collect();
    for _ in 0..rounds {
        for (request, times, size) in &mut answers {
            let answer = exchange(WEB, request, "200")?;
            times.push(microseconds(answer.took));
            *size = answer.body_length;
        }
    }
    Ok(answers.into_iter().map(|(_, times, size)| (times.into_iter().collect(), size)).collect())
}

fn heartbeats(site: &Site) -> anyhow::Result<Vec<f64>> {
    let request = site.heartbeat();
    let started = Instant::now();
    let beats = || paced(BEAT_EVERY, || started.elapsed() < PART, || exchange(IRONIC, &request, "202"));
    Ok(site.node.enter(beats)??)
}

fn beside_scrapes(site: &Site) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scraping = scope.spawn(|| {
            let request = get("/metrics");
            let goes_on = || !over.load(Ordering::Relaxed);
            site.node.enter(|| paced(SCRAPE_EVERY, goes_on, || exchange(WEB, &request, "200")))
        });
        let beats = heartbeats(site);
        over.store(true, Ordering::Relaxed);
        let scrapes = scraping.join().map_err(|_| anyhow::anyhow!("the scraping thread panicked"))???;
        Ok((beats?, scrapes))
    })
}

/// Requests at a steady pace; what is late is made up for.
fn paced(
    every: Duration,
    goes_on: impl Fn() -> bool,
    request: impl Fn() -> io::Result<super::http::Answer>,
) -> io::Result<Vec<f64>> {
    let (mut times, mut due) = (Vec::new(), Instant::now());
    while goes_on() {
        times.push(microseconds(request()?.took));
        due += every;
        sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(times)
}
