//! What systemd is told (sd_notify(3)); without systemd nothing happens.

use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// The daemon's duty can be done, or there is nothing to wait for: what is ordered after us may start.
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

/// The daemon ends.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
