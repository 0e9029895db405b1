//! One beat for all that is done from time to time: whoever waits for the same period wakes at the same moment, and the
//! processor once for all of them.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A tick that is so near is this one still: a timer may be a little early.
const NEAR: Duration = Duration::from_millis(10);

/// Waits for the next multiple of `period` since the machine's start (`CLOCK_MONOTONIC`, whose times are the runtime's too).
pub async fn tick(period: Duration) {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default(); // It is never negative.
    tokio::time::sleep(until_next(now, period)).await;
}

/// How long it is from `now` to the next multiple of `period`: at most a period and 10 ms.
fn until_next(now: Duration, period: Duration) -> Duration {
    let nanoseconds = period.as_nanos().max(1);
    let since = u64::try_from(now.as_nanos() % nanoseconds).unwrap_or_default();
    let left = period.saturating_sub(Duration::from_nanos(since));
    if left < NEAR { left + period } else { left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_waits_for_the_same_moment() {
        let period = Duration::from_secs(30);
        let (at, day) = (Duration::from_millis, Duration::from_secs(86_400));
        for now in [0, 1, 4_000, 29_000, 29_990] {
            assert_eq!(at(now) + until_next(at(now), period), at(30_000), "{now} ms");
            assert_eq!(day + at(now) + until_next(day + at(now), period), day + at(30_000), "{now} ms");
        }
    }

    #[test]
    fn a_timer_that_is_early_does_not_ring_twice() {
        let period = Duration::from_secs(30);
        for early in [Duration::from_nanos(1), Duration::from_millis(9)] {
            assert_eq!(until_next(period - early, period), period + early);
        }
        assert_eq!(until_next(Duration::from_secs(5), Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn two_that_began_apart_end_together() {
        let period = Duration::from_millis(500);
        let ended = || async {
            tick(period).await;
            std::time::Instant::now()
        };
        let later = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            ended().await
        };
        let (one, other) = tokio::join!(ended(), later);
        let apart = one.max(other) - one.min(other);
        // They may have begun on both sides of a tick.
        assert!(apart < Duration::from_millis(100) || apart > Duration::from_millis(400), "{apart:?}");
    }
}
