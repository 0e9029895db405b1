//! The call-back proof without eBPF: the kernel announces each connection on the advertised port that ends, and those that
//! stay open are looked for now and then.

use std::collections::HashSet;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;

use fib::{ClosedConnections, Connection, RtnlError, connections};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::callbacks::Callbacks;
use crate::onlooker::Onlookers;
use crate::system;
use crate::tick::Tick;

/// A connection that stays open for longer is looked for so often.
const PACE: Duration = Duration::from_secs(60);
/// Where the kernel announces nothing: a connection stays in TIME_WAIT for 60 s where this side closes first; a short one
/// that the other side closes first may be missed.
const PACE_UNANNOUNCED: Duration = Duration::from_secs(2);
/// Between two looks, however many pages are read.
const GAP: Duration = Duration::from_secs(2);

/// Follows the connections until it is dropped.
pub async fn follow(port: u16, callbacks: Callbacks, mut onlookers: Onlookers) {
    let mut announced = announcements(port);
    let mut known = Known { callbacks, open: HashSet::new() };
    let mut tick = Tick::every(if announced.is_some() { PACE } else { PACE_UNANNOUNCED });
    let mut failed = false;
    loop {
        let begun = Instant::now();
        let ended = announced.is_none();
        match tokio::task::spawn_blocking(move || connections(port, ended)).await {
            Ok(Ok(now)) => {
                known.seen(now);
                failed = false;
            }
            Ok(Err(error)) => {
                tell(&error, failed);
                failed = true;
            }
            Err(_the_runtime_ends) => return,
        }
        let broken = {
            let mut look = pin!(async {
                tokio::select! {
                    () = tick.next() => {}
                    () = onlookers.next() => sleep_until(begun + GAP).await,
                }
            });
            loop {
                tokio::select! {
                    () = &mut look => break None,
                    closed = closed(&mut announced) => match closed {
                        Ok(closed) => known.closed(closed),
                        Err(error) => break Some(error),
                    },
                }
            }
        };
        if let Some(error) = broken {
            tracing::warn!(%error, "the kernel no longer announces closed connections; looking every 2 s");
            announced = None;
            tick = Tick::every(PACE_UNANNOUNCED);
        }
    }
}

/// What was counted and may be seen again.
struct Known {
    callbacks: Callbacks,
    open: HashSet<Connection>,
}

impl Known {
    /// These are all that are there now.
    fn seen(&mut self, now: HashSet<Connection>) {
        for connection in now.difference(&self.open) {
            self.callbacks.established(connection.local, connection.peer);
        }
        self.open = now;
    }

    /// These have ended: who was never seen open counts now.
    fn closed(&mut self, closed: Vec<Connection>) {
        for connection in closed {
            if !self.open.remove(&connection) {
                self.callbacks.established(connection.local, connection.peer);
            }
        }
    }
}

fn announcements(port: u16) -> Option<AsyncFd<ClosedConnections>> {
    ClosedConnections::subscribe(port)
        .and_then(system::watch)
        .inspect_err(
            |error| tracing::debug!(%error, "closed connections are not announced; looking every 2 s"),
        )
        .ok()
}

/// Waits for those that end. Nothing is lost where this is dropped.
async fn closed(announced: &mut Option<AsyncFd<ClosedConnections>>) -> io::Result<Vec<Connection>> {
    let Some(announced) = announced else {
        return pending().await;
    };
    loop {
        let mut ready = announced.readable_mut().await?;
        if let Ok(closed) = ready.try_io(|closed| closed.get_mut().hear()) {
            return closed;
        }
    }
}

fn tell(error: &RtnlError, again: bool) {
    if !again {
        tracing::warn!(%error, "connections on the advertised port cannot be looked at");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::advertise::Decision;
    use crate::metrics::Metrics;
    use crate::probes::ProbesState;
    use crate::watch::Published;

    #[test]
    fn each_counts_once_whether_seen_open_or_at_its_end() {
        let (state, counted) = watch::channel(ProbesState::default());
        let decisions = watch::channel(Arc::new(Published::new(Decision::not_asked(), 1))).1;
        let callbacks = Callbacks::new(decisions, Metrics::new().unwrap(), state);
        let mut known = Known { callbacks, open: HashSet::new() };
        let count = || counted.borrow().callback.connections;
        let from = |port: u16| Connection {
            local: "192.0.2.1:9999".parse().unwrap(),
            peer: ([192, 0, 2, 7], port).into(),
        };
        known.closed(vec![from(1)]);
        assert_eq!(count(), 1, "it was short");
        known.seen(HashSet::from([from(2), from(3)]));
        known.seen(HashSet::from([from(2)]));
        assert_eq!(count(), 3);
        known.closed(vec![from(2)]);
        assert_eq!(count(), 3, "it was seen open");
        known.closed(vec![from(2)]);
        assert_eq!(count(), 4, "another one with the same ports");
    }
}
