//! The time that one request has.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long one request may still wait for the first byte of its answer: IPA's time-out counts anew with every piece
/// of a body that it sends (an inventory can be large), so ours does too.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The whole time.
    pub budget: Duration,
    since: Arc<Mutex<Instant>>,
}

impl Patience {
    /// From now on.
    pub fn begin(budget: Duration) -> Self {
        Self { budget, since: Arc::new(Mutex::new(Instant::now())) }
    }

    /// A piece of the request went on.
    pub fn renew(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When it ends, as far as is known now.
    pub fn end(&self) -> Instant {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) + self.budget
    }

    /// Waits until then.
    pub async fn ended(&self) {
        while self.end() > Instant::now() {
            sleep_until(self.end()).await;
        }
    }
}
