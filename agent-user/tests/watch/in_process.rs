//! A watch of the library's on a thread inside a namespace: with a receive buffer and a pinned URL as a test wants.

use std::sync::{Arc, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant};

use callback_url::{ApiUrl, Local};
use ipa_sidecar::inside::{
    Decision, Held, Metrics, Mode, Parameters, Published, Reach, ResolvedTarget, Watch, block_on,
};
use testbed::netns::Netns;
use tokio::sync::{oneshot, watch};

/// What differs from the daemon's.
#[derive(Default)]
pub struct Setup {
    /// In bytes.
    pub receive_buffer: Option<usize>,
    /// What Ironic holds, and what IPA has started with.
    pub held: Held,
}

/// What the watch shows outside. Its API is 203.0.113.1:6385.
pub struct Watched {
    pub metrics: Metrics,
    published: watch::Receiver<Arc<Published>>,
}

impl Watched {
    pub fn decision(&self) -> Decision {
        self.published.borrow().decision.clone()
    }

    /// How many decisions there were that differ from the one before.
    pub fn generation(&self) -> u64 {
        self.published.borrow().generation
    }

    /// This machine's addresses.
    pub fn local(&self) -> Local {
        Local::clone(&self.published.borrow().local)
    }

    /// Waits for addresses.
    pub fn wait_local(&self, what: &str, limit: Duration, wanted: impl Fn(&Local) -> bool) {
        let started = Instant::now();
        while !wanted(&self.published.borrow().local) {
            assert!(started.elapsed() < limit, "not {what} within {limit:?}: {:?}", self.local());
            sleep(Duration::from_millis(1));
        }
    }

    /// Waits for a decision; gives how long that took.
    pub fn wait(&self, what: &str, limit: Duration, wanted: impl Fn(&Decision) -> bool) -> Duration {
        let started = Instant::now();
        while !wanted(&self.published.borrow().decision) {
            let waited = started.elapsed();
            assert!(waited < limit, "not {what} within {limit:?}: {}", self.decision());
            sleep(Duration::from_millis(1));
        }
        started.elapsed()
    }

    pub fn wait_address(&self, address: &str, limit: Duration) -> Duration {
        self.wait(address, limit, |decision| {
            decision.address.as_ref().is_some_and(|host| host.to_string() == address)
        })
    }
}

/// Runs a watch inside while `test` runs outside.
pub fn watching(netns: &Netns, setup: Setup, test: impl FnOnce(&Watched)) {
    std::thread::scope(|scope| {
        let (started, watched) = mpsc::channel();
        // Dropped at the end of the scope's closure, also where the test panics: that ends the watch.
        let (_end, ended) = oneshot::channel();
        scope.spawn(move || netns.enter(|| block_on(run(setup, started, ended)).unwrap()).unwrap());
        test(&watched.recv().unwrap());
    });
}

async fn run(setup: Setup, started: mpsc::Sender<Watched>, ended: oneshot::Receiver<()>) {
    let metrics = Metrics::new().unwrap();
    let target = ResolvedTarget {
        url: ApiUrl::parse("http://203.0.113.1:6385").unwrap(),
        addresses: Ok(vec!["203.0.113.1".parse().unwrap()]),
    };
    let (_targets, targets_seen) = watch::channel(vec![target]);
    let (_pinned, pinned_seen) = watch::channel(setup.held);
    let wanted = Parameters::default().advertise;
    let reach = Reach::new(Mode::Observe);
    let mut watch = Watch::begin(wanted, targets_seen, pinned_seen, &reach, metrics.clone()).unwrap();
    if let Some(bytes) = setup.receive_buffer {
        watch = watch.with_receive_buffer(bytes).unwrap();
    }
    let published = watch.subscribe();
    started.send(Watched { metrics, published }).unwrap();
    tokio::select! {
        () = watch.run() => {}
        _ = ended => {}
    }
}
