//! What one change costs on machines of different sizes: the time from the kernel's event to the decision, and the
//! processor time of all the watch's threads.

use std::io::Write;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use ipa_sidecar::inside::{Metrics, WINDOW};
use rustix::time::{ClockId, clock_gettime};
use testbed::netns::Netns;
use tokio::sync::oneshot;

use super::address::{Changer, one_nic};
use super::decision::{Decided, watch_inside};
use super::{Times, microseconds};

/// A machine: the names of its figures, and what it has beside its NIC and its one address.
struct Size {
    time: &'static str,
    processor: &'static str,
    addresses: usize,
    urls: u8,
    /// Pairs of NICs.
    pairs: usize,
    routes: usize,
}

const SIZES: [Size; 7] = [
    Size { time: "base", processor: "base_cpu", addresses: 0, urls: 1, pairs: 0, routes: 0 },
    Size { time: "urls", processor: "urls_cpu", addresses: 0, urls: 32, pairs: 0, routes: 0 },
    Size { time: "thousand", processor: "thousand_cpu", addresses: 1_000, urls: 32, pairs: 0, routes: 0 },
    Size { time: "addresses", processor: "addresses_cpu", addresses: 10_000, urls: 1, pairs: 0, routes: 0 },
    Size { time: "both", processor: "both_cpu", addresses: 10_000, urls: 32, pairs: 0, routes: 0 },
    Size { time: "links", processor: "links_cpu", addresses: 0, urls: 32, pairs: 1_000, routes: 0 },
    Size { time: "routes", processor: "routes_cpu", addresses: 0, urls: 32, pairs: 0, routes: 1_000_000 },
];

/// In each round the address comes and goes on each machine in turn, after some quiet.
pub fn measure(rounds: usize) -> Times {
    let machines: Vec<_> = SIZES.iter().map(machine).collect();
    let changers: Vec<_> = machines.iter().map(|machine| Changer::new(machine, "n0")).collect();
    let address = "10.0.0.100".parse().unwrap();
    let mut times = Times::new();
    std::thread::scope(|scope| {
        let mut watched = Vec::new();
        for (size, netns) in SIZES.iter().zip(&machines) {
            let (sender, decided) = mpsc::channel();
            // Its end ends the watch, also where this panics.
            let (end, ended) = oneshot::channel();
            let metrics = Metrics::new().unwrap();
            let theirs = metrics.clone();
            scope.spawn(move || watch_inside(netns, size.urls, theirs, (sender, ended)));
            watched.push((decided, metrics, end));
        }
        let wait = |decided: &mpsc::Receiver<Decided>, wanted| loop {
            let (at, there) = decided.recv_timeout(Duration::from_secs(30)).unwrap();
            if there == wanted {
                return at;
            }
        };
        for (decided, ..) in &watched {
            wait(decided, false);
        }
        for _ in 0..rounds {
            for ((size, changer), (decided, metrics, _)) in SIZES.iter().zip(&changers).zip(&watched) {
                let (used, before) = (others_processor_time(), decisions(metrics));
                for there in [true, false] {
                    if there {
                        changer.add(address)
                    } else {
                        changer.delete(address)
                    };
                    wait(decided, there);
                    sleep(WINDOW * 3);
                }
                let (used, after) = (others_processor_time() - used, decisions(metrics));
                times.entry(size.processor).or_default().push(microseconds(used) / 2.0);
                times
                    .entry(size.time)
                    .or_default()
                    .push((after[0] - before[0]) * 1e6 / (after[1] - before[1]));
            }
        }
    });
    times
}

/// The seconds from an event to the decision, all together, and how many there were.
fn decisions(metrics: &Metrics) -> [f64; 2] {
    let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
    ["sum", "count"].map(|part| {
        let name = format!("ipa_sidecar_advertise_decision_seconds_{part} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
    })
}

/// Of all threads but this one, in which the kernel makes the change.
fn others_processor_time() -> Duration {
    let time = |clock| Duration::try_from(clock_gettime(clock)).unwrap();
    time(ClockId::ProcessCPUTime).saturating_sub(time(ClockId::ThreadCPUTime))
}

fn machine(size: &Size) -> Netns {
    let netns = one_nic();
    let addresses = (0..size.addresses).map(|n| format!("addr add {}/32 dev n0", host(172, n)));
    let pairs = (0..size.pairs).map(|n| format!("link add p{n} type veth peer name q{n}"));
    let routes = (0..size.routes).map(|n| format!("route add {}/32 dev n0", host(198, n)));
    let path = std::env::temp_dir().join(format!("ipa-sidecar-growth-{}", std::process::id()));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    addresses.chain(pairs).chain(routes).for_each(|line| writeln!(file, "{line}").unwrap());
    drop(file);
    let outcome = netns.ip(&format!("-batch {}", path.display()));
    std::fs::remove_file(&path).unwrap();
    outcome.unwrap();
    netns
}

/// The address so many behind `FIRST.18.0.0`.
fn host(first: u8, n: usize) -> String {
    format!("{first}.{}.{}.{}", 18 + (n >> 16), (n >> 8) & 255, n & 255)
}
