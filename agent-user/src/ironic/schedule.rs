//! When to send the next lookup or heartbeat: IPA's timing. Pure: the randomness is handed in.

use std::time::Duration;

use fastrand::Rng;

/// IPA's `min_jitter_multiplier` and `max_jitter_multiplier` (ironic_python_agent/agent.py).
const INTERVAL_SHARE: (f64, f64) = (0.3, 0.6);
/// IPA's error pause: 5 s times 1.0 to 2.0 (`min_heartbeat_interval`, agent.py), in seconds.
const RETRY_SECONDS: (f64, f64) = (5.0, 10.0);
/// The least time between two heartbeats, forced ones included (IPA's `min_heartbeat_interval`).
pub const FORCED_GAP: Duration = Duration::from_secs(5);
/// IPA's `max_interval` of `lookup_node` (ironic_api_client.py).
const LOOKUP_PAUSE_MAX: Duration = Duration::from_secs(60);
/// The daemon's own floor: an interval parameter of 0 must not make a busy loop.
const LOOKUP_PAUSE_MIN: Duration = Duration::from_millis(100);
/// IPA's `lookup_lock_pause` after a first, second and any further 409, in seconds.
const CONFLICT_SECONDS: [u64; 3] = [5, 10, 30];

/// The pause after an accepted heartbeat: a random share, 0.3 to 0.6, of the timeout that Ironic gave.
pub fn heartbeat_interval(timeout: Duration, rng: &mut Rng) -> Duration {
    timeout.mul_f64(uniform(INTERVAL_SHARE, rng))
}

/// The pause after a failed heartbeat, whatever failed: 5 to 10 s.
pub fn heartbeat_retry(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(uniform(RETRY_SECONDS, rng))
}

/// How long a forced heartbeat has to wait, where the last one was sent `since_last` ago.
pub fn forced_wait(since_last: Duration) -> Duration {
    FORCED_GAP.saturating_sub(since_last)
}

/// The pauses between the attempts of one lookup: random exponential up to 60 s, longer after each 409.
#[derive(Debug, Clone)]
pub struct LookupSchedule {
    interval: Duration,
    timeout: Duration,
    failures: u32,
    conflicts: usize,
}

impl LookupSchedule {
    /// Begins with `interval` as the least pause (`lookup_interval`); `timeout` is `lookup_timeout`.
    pub fn new(interval: Duration, timeout: Duration) -> Self {
        let interval = interval.max(LOOKUP_PAUSE_MIN);
        Self { interval, timeout, failures: 0, conflicts: 0 }
    }

    /// The pause after a failed attempt; `conflict`: it was answered 409.
    pub fn after_failure(&mut self, conflict: bool, rng: &mut Rng) -> Duration {
        let doubled = Duration::from_secs(1u64.checked_shl(self.failures).unwrap_or(u64::MAX));
        self.failures = self.failures.saturating_add(1);
        if conflict {
            let last = CONFLICT_SECONDS.len() - 1;
            let seconds = CONFLICT_SECONDS.get(self.conflicts.min(last)).copied().unwrap_or(30);
            self.conflicts = self.conflicts.saturating_add(1);
            return Duration::from_secs(seconds);
        }
        let high = doubled.min(LOOKUP_PAUSE_MAX).max(self.interval);
        self.interval + (high - self.interval).mul_f64(rng.f64())
    }

    /// Whether the lookup has failed for as long as it may: IPA would exit now.
    pub fn is_overdue(&self, elapsed: Duration) -> bool {
        elapsed >= self.timeout
    }
}

fn uniform((low, high): (f64, f64), rng: &mut Rng) -> f64 {
    low + (high - low) * rng.f64()
}

#[cfg(test)]
mod tests {
    use fastrand::Rng; // proptest's prelude has another one.
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_conflict_pauses_5_10_then_30_seconds() {
        let mut schedule = LookupSchedule::new(Duration::from_secs(1), Duration::from_secs(600));
        let mut rng = Rng::with_seed(1);
        let pauses: Vec<_> = (0..5).map(|_| schedule.after_failure(true, &mut rng).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 30, 30, 30]);
        assert!(!schedule.is_overdue(Duration::from_secs(599)));
        assert!(schedule.is_overdue(Duration::from_secs(600)));
    }

    #[test]
    fn the_first_lookup_pause_is_the_interval() {
        let mut schedule = LookupSchedule::new(Duration::from_secs(1), Duration::from_secs(600));
        assert_eq!(schedule.after_failure(false, &mut Rng::with_seed(7)), Duration::from_secs(1));
    }

    #[test]
    fn a_forced_heartbeat_keeps_its_distance() {
        assert_eq!(forced_wait(Duration::ZERO), FORCED_GAP);
        assert_eq!(forced_wait(Duration::from_secs(2)), Duration::from_secs(3));
        assert_eq!(forced_wait(Duration::from_secs(99)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn heartbeats_come_in_their_window(seconds in 1u64..100_000, seed in any::<u64>()) {
            let mut rng = Rng::with_seed(seed);
            let share = heartbeat_interval(Duration::from_secs(seconds), &mut rng).as_secs_f64() / seconds as f64;
            prop_assert!((0.2999..0.6001).contains(&share), "{share}");
            let retry = heartbeat_retry(&mut rng).as_secs_f64();
            prop_assert!((5.0..=10.0).contains(&retry), "{retry}");
        }

        #[test]
        fn lookup_pauses_stay_in_bounds(millis in 0u64..200_000, tries in 1usize..200, seed in any::<u64>()) {
            let interval = Duration::from_millis(millis);
            let mut schedule = LookupSchedule::new(interval, Duration::from_secs(600));
            let mut rng = Rng::with_seed(seed);
            for attempt in 0..tries {
                let pause = schedule.after_failure(false, &mut rng);
                let least = interval.max(LOOKUP_PAUSE_MIN);
                let most = Duration::from_secs(2f64.powi(attempt.min(10) as i32) as u64);
                prop_assert!(pause >= least);
                prop_assert!(pause <= most.min(LOOKUP_PAUSE_MAX).max(least), "{attempt}: {pause:?}");
            }
        }
    }
}
