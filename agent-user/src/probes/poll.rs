//! The call-back proof without eBPF: the connections on the advertised port are looked at now and then.

use std::collections::HashSet;
use std::time::Duration;

use fib::{RtnlError, connections};
use tokio::time::{Instant, sleep_until};

use super::callbacks::Callbacks;
use crate::onlooker::Onlookers;
use crate::tick::Tick;

/// A connection that this side closes first, as IPA does, stays in TIME_WAIT for 60 s (`TCP_TIMEWAIT_LEN`, net/tcp.h). A short
/// one that the other side closes first may be missed.
const PACE: Duration = Duration::from_secs(30);
/// So often at most, while pages are read.
const GAP: Duration = Duration::from_secs(2);

/// Looks until it is dropped.
pub async fn follow(port: u16, callbacks: Callbacks, mut onlookers: Onlookers) {
    let (mut known, mut failed, mut pace) = (HashSet::new(), false, Tick::every(PACE));
    loop {
        let begun = Instant::now();
        let seen = tokio::task::spawn_blocking(move || connections(port)).await;
        match seen {
            Ok(Ok(now)) => {
                for connection in now.difference(&known) {
                    callbacks.established(connection.local, connection.peer);
                }
                known = now;
                failed = false;
            }
            Ok(Err(error)) => {
                tell(&error, failed);
                failed = true;
            }
            Err(_the_runtime_ends) => return,
        }
        tokio::select! {
            () = pace.next() => {}
            () = onlookers.next() => sleep_until(begun + GAP).await,
        }
    }
}

fn tell(error: &RtnlError, again: bool) {
    if !again {
        tracing::warn!(%error, "connections on the advertised port cannot be looked at");
    }
}
