//! From an address change in the kernel to the decision, and to the line that `ip monitor` prints.

use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use callback_url::ApiUrl;
use ipa_sidecar::inside::{Held, Metrics, Mode, Parameters, Reach, ResolvedTarget, WINDOW, Watch, block_on};
use testbed::netns::Netns;
use tokio::sync::{oneshot, watch};

use super::address::{Changer, one_nic};
use super::ip_monitor::IpMonitor;
use super::{Times, microseconds};

/// A decision: when, and whether there is an address.
pub type Decided = (Instant, bool);
/// Where decisions go, and what ends the watch.
pub type Ends = (mpsc::Sender<Decided>, oneshot::Receiver<()>);

/// The watch as the daemon runs it, on a thread of its own; an address is added and deleted in turns, each time after
/// some quiet.
pub fn measure(rounds: usize) -> Times {
    let netns = one_nic();
    let monitor = IpMonitor::start(&netns);
    let changer = Changer::new(&netns, "n0");
    let address = "10.0.0.2".parse().unwrap();
    let mut times = Times::new();
    std::thread::scope(|scope| {
        let (sender, decided) = mpsc::channel();
        // Its end ends the watch, also where this panics.
        let (_end, ended) = oneshot::channel();
        let netns = &netns;
        scope.spawn(move || watch_inside(netns, 1, Metrics::new().unwrap(), (sender, ended)));
        let wait = |wanted| loop {
            let (at, there) = decided.recv_timeout(Duration::from_secs(10)).unwrap();
            if there == wanted {
                return at;
            }
        };
        wait(false);
        for _ in 0..rounds {
            for added in [true, false] {
                sleep(WINDOW * 3);
                let (word, ours, theirs) = if added {
                    ("10.0.0.2", "added", "added_ip_monitor")
                } else {
                    ("Deleted", "deleted", "deleted_ip_monitor")
                };
                let before = if added { changer.add(address) } else { changer.delete(address) };
                times.entry(ours).or_default().push(microseconds(wait(added) - before));
                times.entry(theirs).or_default().push(microseconds(monitor.printed(word) - before));
            }
        }
    });
    times
}

/// Of so many API URLs, each with an address of its own.
pub fn watch_inside(netns: &Netns, urls: u8, metrics: Metrics, ends: Ends) {
    netns.enter(|| block_on(run(urls, metrics, ends)).unwrap()).unwrap();
}

async fn run(urls: u8, metrics: Metrics, (decided, ended): Ends) {
    let all = (1..=urls).map(|n| ResolvedTarget {
        url: ApiUrl::parse(&format!("http://10.0.0.{n}:6385")).unwrap(),
        addresses: Ok(vec![format!("10.0.0.{n}").parse().unwrap()]),
    });
    let (_targets, targets) = watch::channel(all.collect());
    let (_pinned, pinned) = watch::channel(Held::default());
    let wanted = Parameters::default().advertise;
    let watch = Watch::begin(wanted, targets, pinned, &Reach::new(Mode::Observe), metrics).unwrap();
    let mut published = watch.subscribe();
    // What agent mode does: it waits for the next decision on the same runtime.
    let note = async {
        while published.changed().await.is_ok() {
            let there = published.borrow_and_update().decision.address.is_some();
            let _ = decided.send((Instant::now(), there));
        }
    };
    tokio::select! {
        () = watch.run() => {}
        () = note => {}
        _ = ended => {}
    }
}
