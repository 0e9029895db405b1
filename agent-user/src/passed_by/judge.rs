//! The rules. Pure: facts in, a cause out. What is unknown is never called passed by.

use std::time::Duration;

use callback_url::{Host, host};
use text::{foreign_text, printable};

use super::{PassedBy, Why};
use crate::ipa::place::{Override, Place, Reads};
use crate::params::Mode;

/// IPA's longest pause between two heartbeats, as a part of the time-out that Ironic gives
/// (ironic_python_agent/agent.py, `max_jitter_multiplier`).
const LONGEST_PAUSE: f64 = 0.6;
/// So much later a heartbeat may come.
const GRACE: Duration = Duration::from_secs(60);
/// The time-out of a default Ironic (ironic.conf.api, `ramdisk_heartbeat_timeout`).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// What is known at one moment.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the daemon does.
    pub mode: Mode,
    /// A process of IPA's is there, or it answers.
    pub runs: bool,
    /// For how long it has answered on its port.
    pub answers_for: Option<Duration>,
    /// How its exchanges with Ironic are seen; `None`: nobody looks.
    pub sight: Option<Sight>,
    /// What Ironic gave in the answer to a lookup; `None`: unknown.
    pub heartbeat_timeout: Option<Duration>,
    /// The host in the drop-in that is on disk.
    pub dropin: Option<Host>,
    /// The host in the drop-in that was there when this IPA started; `None`: it began before, or nobody knows.
    pub given: Option<Host>,
    /// IPA has this host from its own files or the kernel command line as well.
    pub known_elsewhere: bool,
    /// The place of the drop-in, judged by what this IPA reads; `None`: that is unknown.
    pub place: Option<Place>,
    /// What goes before every file.
    pub overridden: Option<Override>,
    /// The variable that takes its requests to Ironic to a proxy.
    pub proxy: Option<&'static str>,
}

/// How IPA's exchanges are seen, by the guard or by sight.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// For how long without a gap.
    pub for_so_long: Duration,
    /// Since before this IPA's process began: its lookup cannot have been missed.
    pub whole: bool,
    /// How long ago this IPA last spoke to Ironic, or tried to in vain.
    pub last: Option<Duration>,
    /// The callback URL in its last heartbeat, as Ironic got it.
    pub url: Option<String>,
}

/// Why IPA bypasses ipa-sidecar; `None`: it does not, or nobody knows.
pub fn judge(facts: &Facts) -> Option<Why> {
    if !facts.runs || facts.mode == Mode::Agent {
        return None;
    }
    facts.cause().or_else(|| facts.is_silent().then_some(Why::NothingSeen))
}

impl Facts {
    /// Why the daemon's host does not reach IPA, or IPA the guard. What Ironic got goes before what is to be expected.
    fn cause(&self) -> Option<Why> {
        let guards = self.mode == Mode::Guard;
        let sends_ours = self.sends_ours();
        if self.mode == Mode::Observe || self.dropin.is_none() || sends_ours == Some(true) {
            return None;
        }
        if guards && self.proxy.is_some() && self.sight.as_ref().is_some_and(|sight| sight.last.is_none()) {
            return Some(Why::Proxy);
        }
        // The guard is for an IPA that takes its address from nobody: there only what Ironic gets counts.
        if !guards || sends_ours == Some(false) {
            // Where it is the same host, it does not matter what its files say.
            if let Some(other) = &self.overridden {
                return (Host::parse(&other.host) != self.dropin).then_some(Why::Overridden);
            }
            let is_not_read = self.place.as_ref().is_some_and(|place| place.reads_it == Reads::No);
            if is_not_read && !self.known_elsewhere {
                return Some(Why::NotRead);
            }
        }
        (sends_ours == Some(false)).then_some(Why::OtherUrl)
    }

    /// Whether its heartbeats carry the host that the drop-in gave it. An IPA from before the drop-in need not.
    fn sends_ours(&self) -> Option<bool> {
        let sent = host(self.sight.as_ref()?.url.as_ref()?).map(canonical);
        let is = |ours: &Option<Host>| ours.is_some() && ours.clone().map(canonical) == sent;
        match is(&self.given) || is(&self.dropin) {
            true => Some(true),
            false => self.given.is_some().then_some(false),
        }
    }

    /// Whether nothing of it was seen for so long that something must have been missed.
    fn is_silent(&self) -> bool {
        let Some((sight, answers_for)) = self.sight.as_ref().zip(self.answers_for) else { return false };
        let quiet = sight.last.unwrap_or(Duration::MAX).min(sight.for_so_long).min(answers_for);
        let allowed = |timeout: Duration| timeout.mul_f64(LONGEST_PAUSE) + GRACE;
        match self.heartbeat_timeout {
            Some(timeout) => quiet > allowed(timeout),
            // Any pause between heartbeats is possible; but its lookup must have been seen.
            None => sight.whole && sight.last.is_none() && quiet > allowed(DEFAULT_TIMEOUT),
        }
    }

    /// What people read.
    pub fn describe(&self, why: Why) -> PassedBy {
        let words = why.words();
        let sentence = match (why, &self.overridden, &self.sight) {
            (Why::Overridden, Some(Override { by, host }), _) => format!(
                "{words}: {by} gives \"{}\"; remove that from what starts it, or give ipa-sidecar the same host with \
                 --advertise.host",
                printable(host)
            ),
            (Why::NotRead, ..) => format!(
                "{words}: {}; set --ipa.config-dir to a directory that it reads, or start it with --config-dir",
                self.place.as_ref().and_then(|place| place.why.as_deref()).unwrap_or_default()
            ),
            (Why::Proxy, ..) => format!(
                "{words}: {} (in small or capital letters) leads there; put the hosts of the API URLs into no_proxy of its unit",
                self.proxy.unwrap_or_default()
            ),
            (Why::OtherUrl, _, Some(sight)) => format!(
                "{words}: it sends {}, and the drop-in gave {}; look for advertise_host in its other configuration files",
                foreign_text(sight.url.as_deref().unwrap_or_default(), None),
                self.given.as_ref().map(Host::bare).unwrap_or_default()
            ),
            _ => format!(
                "{words}: does it use the API URLs that `ipa-sidecar params` shows, and is it on another connection than \
                 this daemon sees?"
            ),
        };
        PassedBy { why, sentence }
    }
}

fn canonical(host: Host) -> Host {
    match host {
        Host::Ip(ip) => Host::Ip(ip.to_canonical()),
        Host::Name(name) => Host::Name(name.to_ascii_lowercase()),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
