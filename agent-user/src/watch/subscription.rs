//! The kernel's announcements, on the runtime.

use std::io;
use std::time::Instant;

use fib::{Heard, Monitor};
use tokio::io::unix::AsyncFd;

use crate::system;

/// Some messages came, or were lost: ask again.
#[derive(Debug)]
pub struct Change {
    /// When the first of them was read.
    pub since: Instant,
    /// What was heard.
    pub heard: Heard,
}

/// A [`Monitor`] that can be waited for.
#[derive(Debug)]
pub struct Subscription(AsyncFd<Monitor>);

impl Subscription {
    /// Waits for it on this runtime.
    ///
    /// # Errors
    /// Where epoll refuses it.
    pub fn of(monitor: Monitor) -> io::Result<Self> {
        system::watch(monitor).map(Self)
    }

    /// Waits until something changed, then reads what there is. Cancelling it loses nothing.
    ///
    /// # Errors
    /// Where the socket itself fails, which no message can cause.
    pub async fn changed(&mut self) -> io::Result<Change> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            let since = Instant::now();
            if let Ok(heard) = ready.try_io(|monitor| monitor.get_mut().hear()) {
                return Ok(Change { since, heard: heard? });
            }
        }
    }
}
