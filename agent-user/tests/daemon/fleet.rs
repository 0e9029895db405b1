//! Parts of a real `ipa-fleet` on the conductor.

use std::sync::Arc;
use std::thread::JoinHandle;

use ipa_fleet::inside::{Ramdisk, Ramdisks};
use testbed::site::*;
use tokio::sync::{oneshot, watch};

/// A task inside of the conductor's namespace, until it is dropped.
pub struct Task {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Task {
    /// `begin` opens the listener and gives what serves.
    pub fn start<F: Future<Output = ()>>(site: &Site, begin: impl FnOnce() -> F + Send + 'static) -> Self {
        let (begun, wait) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let conductor = Arc::clone(&site.conductor);
        let serve = async move || {
            let serving = begin();
            begun.send(()).unwrap();
            tokio::select! {
                () = serving => {}
                _ = ended => {}
            }
        };
        let thread = std::thread::spawn(move || {
            let run = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve());
            };
            conductor.enter(run).unwrap();
        });
        wait.recv().unwrap();
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the fleet knows: the node at this address.
pub fn ramdisks(claimed: &str) -> watch::Sender<Arc<Ramdisks>> {
    let node = Ramdisk { uuid: NODE.to_owned(), claimed: claimed.parse().ok(), suggested: None };
    watch::Sender::new(Arc::new([node].into_iter().collect()))
}
