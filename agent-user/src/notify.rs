//! Notifications to systemd (sd_notify(3)); without systemd nothing happens.

use std::time::Duration;

use sd_notify::{NotifyState, notify};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The daemon's duty can be done, or there is nothing to wait for: what is ordered after this unit may start.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

/// READY takes longer: systemd must not give up before this time from now.
pub fn extend_timeout(time: Duration) {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(micros)]);
}

/// The runtime still turns: systemd kills what does not say so in time (`WatchdogSec=`, sd_watchdog_enabled(3)).
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// When [`alive`] is due: twice in the time that systemd gives.
pub struct Watchdog(Option<Interval>);

impl Watchdog {
    /// As systemd wants it of this process; it may want none.
    pub fn of_systemd() -> Self {
        Self(sd_notify::watchdog_enabled().filter(|time| !time.is_zero()).map(|time| {
            let mut beats = interval(time / 2);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        }))
    }

    /// Waits until it is; without end where nothing watches.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(beats) => drop(beats.tick().await),
            None => std::future::pending().await,
        }
    }
}

/// The daemon ends.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "systemd could not be notified");
    }
}
