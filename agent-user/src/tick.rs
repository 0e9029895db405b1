//! One beat for all that is done from time to time: whoever waits for the same period wakes at the same moment, and the
//! processor once for all of them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use crate::system;

/// Rings at each multiple of its period since the machine's start (`CLOCK_MONOTONIC`).
///
/// It is a timer of the kernel (timerfd_create(2)): the runtime wakes for one of its own several times on the way there.
#[derive(Debug)]
pub struct Tick {
    period: Duration,
    /// Missing where the kernel has no descriptor left: the runtime's timer serves then.
    timer: Option<AsyncFd<OwnedFd>>,
}

impl Tick {
    /// Of a period of at least 1 ns. The caller is in the runtime that waits.
    pub fn every(period: Duration) -> Self {
        let timer = timer(period)
            .inspect_err(|error| tracing::debug!(%error, "no timer of the kernel; using the runtime's"))
            .ok();
        Self { period, timer }
    }

    /// Waits for the next ring. One that nobody waited for is not lost: it rings now. Nothing is lost where this is dropped.
    pub async fn next(&mut self) {
        if let Some(timer) = &self.timer {
            let read = |timer: &OwnedFd| rustix::io::read(timer, &mut [0; 8]).map_err(io::Error::from);
            if timer.async_io(Interest::READABLE, read).await.is_ok() {
                return;
            }
            self.timer = None;
        }
        sleep(until_next(now(), self.period)).await;
    }
}

fn timer(period: Duration) -> io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let now = now();
    let spec = |duration| Timespec::try_from(duration).map_err(io::Error::other);
    let times = Itimerspec { it_interval: spec(period)?, it_value: spec(now + until_next(now, period))? };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &times)?;
    system::watch(timer)
}

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default() // It is never negative.
}

/// How long it is from `now` to the next multiple of `period`: more than nothing, at most a period.
fn until_next(now: Duration, period: Duration) -> Duration {
    let since = now.as_nanos() % period.as_nanos().max(1);
    period.saturating_sub(Duration::from_nanos(u64::try_from(since).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn whoever_asks_waits_for_the_same_moment() {
        let period = Duration::from_secs(30);
        let (at, day) = (Duration::from_millis, Duration::from_secs(86_400));
        for now in [0, 1, 4_000, 29_000, 29_999] {
            assert_eq!(at(now) + until_next(at(now), period), at(30_000), "{now} ms");
            assert_eq!(day + at(now) + until_next(day + at(now), period), day + at(30_000), "{now} ms");
        }
        assert_eq!(until_next(Duration::from_secs(5), Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn two_that_began_apart_ring_together() {
        let period = Duration::from_millis(400);
        let mut one = Tick::every(period);
        assert!(one.timer.is_some());
        one.next().await; // Now both begin after the same ring.
        sleep(Duration::from_millis(50)).await;
        let mut other = Tick { period, timer: None };
        for _ in 0..2 {
            let rung = async |tick: &mut Tick| {
                tick.next().await;
                Instant::now()
            };
            let (one, other) = tokio::join!(rung(&mut one), rung(&mut other));
            let apart = one.max(other) - one.min(other);
            assert!(apart < Duration::from_millis(200), "{apart:?}");
        }
    }

    #[tokio::test]
    async fn a_ring_that_nobody_waited_for_comes_at_once_and_once() {
        let mut tick = Tick::every(Duration::from_millis(400));
        tick.next().await;
        sleep(Duration::from_millis(1000)).await; // Two rings.
        let began = Instant::now();
        tick.next().await;
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        tick.next().await;
        assert!(began.elapsed() > Duration::from_millis(100), "{:?}", began.elapsed());
    }
}
