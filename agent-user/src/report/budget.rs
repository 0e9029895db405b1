//! How many reports may go out. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// One more after this time: the receiver takes two a second of one node.
const PACE: Duration = Duration::from_millis(500);
/// So many may follow each other at once: a lookup, a heartbeat, its answer and the call-back come within a second.
const SAVED: u32 = 8;

/// What may still be sent.
#[derive(Debug)]
pub struct Budget {
    left: u32,
    since: Instant,
}

impl Budget {
    /// Everything may be.
    pub fn new(now: Instant) -> Self {
        Self { left: SAVED, since: now }
    }

    /// Takes one, or says when there will be one.
    ///
    /// # Errors
    /// That moment.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let earned = now.saturating_duration_since(self.since).as_millis() / PACE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(SAVED).min(SAVED);
        self.left = (self.left + earned).min(SAVED);
        self.since = if self.left == SAVED { now } else { self.since + PACE * earned };
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.since + PACE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_and_then_two_a_second() {
        let begin = Instant::now();
        let mut budget = Budget::new(begin);
        assert!((0..SAVED).all(|_| budget.take(begin).is_ok()));
        assert_eq!(budget.take(begin), Err(begin + PACE));
        let mut now = begin;
        let mut sent = 0;
        while now < begin + Duration::from_secs(10) {
            now += Duration::from_millis(10);
            sent += u32::from(budget.take(now).is_ok());
        }
        assert_eq!(sent, 20);
        let later = now + Duration::from_secs(3600);
        assert!((0..SAVED).all(|_| budget.take(later).is_ok()) && budget.take(later).is_err());
    }
}
