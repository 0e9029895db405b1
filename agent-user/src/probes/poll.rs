//! The call-back proof without eBPF: the connections on the advertised port are looked at now and then.

use std::collections::HashSet;
use std::time::Duration;

use fib::{RtnlError, connections};
use tokio::time::sleep;

use super::callbacks::Callbacks;

/// A connection that the conductor opens and closes stays in TIME_WAIT for 60 s where this side closes first; a short one
/// that the other side closes first may be missed.
const PACE: Duration = Duration::from_secs(2);

/// Looks until it is dropped.
pub async fn follow(port: u16, callbacks: Callbacks) {
    let mut known = HashSet::new();
    let mut failed = false;
    loop {
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
        sleep(PACE).await;
    }
}

fn tell(error: &RtnlError, again: bool) {
    if !again {
        tracing::warn!(%error, "connections on the advertised port cannot be looked at");
    }
}
