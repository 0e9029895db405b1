//! Whether the heartbeats of a repaired node are missing: then IPA's own URL may reach Ironic past the guard, and is refused.

use std::time::Duration;

use tokio::time::Instant;

use super::Guard;

/// IPA's longest pause: 0.6 (ironic_python_agent.agent, `max_jitter_multiplier`) of 300 s (ironic.conf.api,
/// `ramdisk_heartbeat_timeout`). The timeout that counts is not known here.
const LONGEST_PAUSE: Duration = Duration::from_secs(180);
/// So much later a heartbeat may come.
const GRACE: Duration = Duration::from_secs(60);

/// The heartbeats that came, whatever Ironic answered.
#[derive(Debug)]
pub struct Beats {
    last: Instant,
    /// The pause before the last one.
    pause: Duration,
}

impl Default for Beats {
    fn default() -> Self {
        Self { last: Instant::now(), pause: Duration::ZERO }
    }
}

/// How long the next heartbeat may take after this pause. IPA's longest pause is twice its shortest, so a larger timeout
/// than the default shows in the first pause.
fn allowed(pause: Duration) -> Duration {
    LONGEST_PAUSE.max(pause * 2) + GRACE
}

impl Beats {
    /// That they are missing by now.
    fn overdue(&self, now: Instant) -> Option<String> {
        let allowed = allowed(self.pause);
        (now.duration_since(self.last) > allowed).then(|| {
            format!(
                "IPA passes the guard by on a standing connection, or sends nothing: no heartbeat of this repaired node \
                 has come for {} s; restart ipa-sidecar, which ends such a connection",
                allowed.as_secs()
            )
        })
    }
}

impl Guard {
    /// A heartbeat came.
    pub(super) fn beat(&self) {
        let beats = &mut self.memory().beats;
        *beats = Beats { last: Instant::now(), pause: beats.last.elapsed() };
    }

    /// Shows it where they are missing, and logs it once.
    pub(super) fn look_for_beats(&self) {
        let depends = self.state.borrow().depends.is_some();
        let overdue = depends.then(|| self.memory().beats.overdue(Instant::now())).flatten();
        let is_news = self.show(|state| &mut state.passed_by, overdue.clone());
        if let (true, Some(words)) = (is_news, overdue) {
            tracing::error!("guard: {words}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_heartbeats_of_a_repaired_node_are_overdue() {
        for (pause, allowed) in [(0, 240), (90, 240), (180, 420), (2160, 4380)] {
            let last = Instant::now();
            let beats = Beats { last, pause: Duration::from_secs(pause) };
            assert_eq!(beats.overdue(last + Duration::from_secs(allowed)), None, "{pause}");
            let overdue = beats.overdue(last + Duration::from_secs(allowed + 1)).unwrap();
            assert!(overdue.contains("passes the guard by") && overdue.contains(&format!("{allowed} s")));
        }
    }
}
