//! What an event means: counted, kept to look at, and logged.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use agent_ebpf::{Event, kind};
use tokio::sync::watch;

use super::callbacks::{self, Callbacks};
use super::join::Join;
use super::outcome;
use super::state::{ConnectFailure, ProbesState, Target};
use crate::advertise::Family;
use crate::metrics::Metrics;
use crate::recent::Moment;
use crate::watch::ResolvedTarget;

/// The log takes so many failed connects in one window; the others are counted.
const LINES: u32 = 5;
const WINDOW: Duration = Duration::from_secs(10);

/// Takes the events in.
#[derive(Debug)]
pub struct Recorder {
    join: Join,
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    callbacks: Callbacks,
    metrics: Metrics,
    state: watch::Sender<ProbesState>,
    lost: u64,
    lines: Lines,
}

impl Recorder {
    /// `targets` are the API's addresses.
    pub fn new(
        join: Join,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        callbacks: Callbacks,
        metrics: Metrics,
        state: watch::Sender<ProbesState>,
    ) -> Self {
        Self { join, targets, callbacks, metrics, state, lost: 0, lines: Lines::default() }
    }

    /// How many events were lost until now.
    pub fn lost(&mut self, all: u64) {
        if let Some(more) = all.checked_sub(self.lost).filter(|more| *more > 0) {
            self.lost = all;
            self.metrics.probe_events_lost(more);
            self.state.send_modify(|state| state.events_lost = all);
            tracing::warn!(more, all, "events of the probes were lost: too many at once");
        }
    }

    /// Takes one event.
    pub fn record(&mut self, event: &Event) {
        // Without BTF the programs cannot tell namespaces apart; the address does, as far as it goes.
        let untold = event.network_namespace == 0 && event.local_port != 0;
        if untold && !callbacks::is_here(local(event).ip()) {
            return;
        }
        match event.kind {
            kind::CALLBACK_ESTABLISHED => self.callbacks.established(local(event), peer(event)),
            kind::CALLBACK_REFUSED => self.callbacks.refused(local(event), peer(event)),
            _ => {
                for failure in self.join.push(*event) {
                    self.failure(&failure);
                }
            }
        }
    }

    /// How often the kernel has skipped a program until now: what it would have reported is unknown.
    pub fn skipped(&self, runs: u64) {
        let more =
            self.state.send_if_modified(|state| std::mem::replace(&mut state.runs_skipped, runs) != runs);
        if more {
            tracing::debug!(runs, "the kernel has skipped runs of the probes");
        }
    }

    /// To be called after a drain.
    pub fn flush(&mut self) {
        if self.join.is_waiting() {
            for failure in self.join.overdue(monotonic_nanoseconds()) {
                self.failure(&failure);
            }
        }
    }

    /// To be called at the end: nothing more comes.
    pub fn finish(&mut self) {
        for failure in self.join.rest() {
            self.failure(&failure);
        }
        self.lines.tell_suppressed();
    }

    /// Whether a failure waits for its error.
    pub fn is_waiting(&self) -> bool {
        self.join.is_waiting()
    }

    fn failure(&mut self, event: &Event) {
        let failure = ConnectFailure {
            at: Moment::now(),
            target: if self.is_api(peer(event)) { Target::Ironic } else { Target::Other },
            peer: peer(event),
            local: Some(local(event)).filter(|local| local.port() != 0),
            errno: outcome::label(event),
            errno_source: outcome::sureness_name(event),
            duration: Duration::from_nanos(event.ended.saturating_sub(event.started)),
            pid: event.process,
            comm: comm(event),
            uid: event.user,
            cgroup_id: event.cgroup,
            network_namespace: Some(event.network_namespace).filter(|inode| *inode != 0),
        };
        if failure.pid == std::process::id() && failure.target == Target::Other {
            return; // We look whether IPA is up.
        }
        let (target, family) = (failure.target.as_str(), Family::of(failure.peer.ip()));
        self.metrics.connect_failure(target, family, failure.errno, failure.duration);
        if self.lines.may_tell() {
            tell(&failure);
        }
        self.state.send_modify(|state| state.connect_failures.push(failure));
    }

    /// Whether that is an address of the API in use.
    fn is_api(&self, peer: SocketAddr) -> bool {
        self.targets.borrow().iter().any(|target| {
            let addresses = target.addresses.as_deref().unwrap_or_default();
            target.url.port == peer.port() && addresses.iter().any(|ip| ip.to_canonical() == peer.ip())
        })
    }
}

fn tell(failure: &ConnectFailure) {
    let ConnectFailure { comm, pid: process, uid: user, peer, errno, .. } = failure;
    let milliseconds = failure.duration.as_millis();
    if failure.target == Target::Ironic {
        tracing::warn!(?comm, process, user, %peer, errno, milliseconds, "a connect to the Ironic API failed");
    } else {
        tracing::info!(?comm, process, user, %peer, errno, milliseconds, "a connect failed");
    }
}

/// The other side of an event, an IPv4 address as such.
fn peer(event: &Event) -> SocketAddr {
    address(event.peer_address, event.peer_port)
}

fn local(event: &Event) -> SocketAddr {
    address(event.local_address, event.local_port)
}

fn address(bytes: [u8; 16], port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical(), port)
}

/// The name up to its end, whatever bytes it is made of.
fn comm(event: &Event) -> String {
    let name = event.comm.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn monotonic_nanoseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default())
}

/// Bounds the log.
#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    reported: u32,
    suppressed: u64,
}

impl Lines {
    fn may_tell(&mut self) -> bool {
        if self.since.is_none_or(|since| since.elapsed() >= WINDOW) {
            self.tell_suppressed();
            (self.since, self.reported) = (Some(Instant::now()), 0);
        }
        self.reported += 1;
        let may = self.reported <= LINES;
        self.suppressed += u64::from(!may);
        may
    }

    fn tell_suppressed(&mut self) {
        if self.suppressed > 0 {
            tracing::info!(connects = self.suppressed, "more connects failed; not one line each");
            self.suppressed = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::advertise::Decision;
    use crate::watch::Published;
    use agent_ebpf::sureness;
    use callback_url::ApiUrl;

    fn recorder() -> (Recorder, Metrics, watch::Receiver<ProbesState>, watch::Sender<Vec<ResolvedTarget>>) {
        let target = ResolvedTarget {
            url: ApiUrl::parse("http://ironic.example:6385").unwrap(),
            addresses: Ok(vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]),
        };
        let (sender, targets) = watch::channel(vec![target]);
        let metrics = Metrics::new().unwrap();
        let (state, seen) = watch::channel(ProbesState::default());
        let callbacks = Callbacks::new(
            watch::channel(Arc::new(Published::new(Decision::not_asked(), 1))).1,
            metrics.clone(),
            state.clone(),
        );
        let recorder = Recorder::new(Join::new(false), targets, callbacks, metrics.clone(), state);
        (recorder, metrics, seen, sender)
    }

    fn failed(peer: &str, port: u16) -> Event {
        let ip: Ipv6Addr = peer.parse().unwrap();
        Event {
            kind: kind::CONNECT_FAILED,
            errno: 111,
            sureness: sureness::SOCKET,
            peer_address: ip.octets(),
            peer_port: port,
            started: 1_000_000,
            ended: 3_000_000,
            comm: *b"ironic-\xff\0garbage",
            ..Event::default()
        }
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().unwrap().0).unwrap()
    }

    #[test]
    fn failures_are_classified_by_the_api_in_use() {
        let (mut recorder, metrics, seen, _targets) = recorder();
        for (peer, port) in [("::ffff:10.0.0.1", 6385), ("fd00::1", 6385), ("fd00::1", 80), ("fd00::2", 6385)]
        {
            recorder.record(&failed(peer, port));
        }
        let text = text(&metrics);
        let line = |target: &str, family: &str, count: u32| {
            format!(
                "ipa_sidecar_connect_failures_total{{errno=\"ECONNREFUSED\",family=\"{family}\",target=\"{target}\"}} {count}\n"
            )
        };
        assert!(text.contains(&line("ironic", "inet", 1)), "{text}");
        assert!(text.contains(&line("ironic", "inet6", 1)), "{text}");
        assert!(text.contains(&line("other", "inet6", 2)), "{text}");
        let kept: Vec<_> = seen.borrow().connect_failures.iter().cloned().collect();
        assert_eq!(kept.len(), 4);
        assert_eq!(kept[0].peer.to_string(), "10.0.0.1:6385");
        assert_eq!((kept[0].comm.as_str(), kept[0].duration), ("ironic-\u{fffd}", Duration::from_millis(2)));
    }

    #[test]
    fn our_own_connects_count_towards_the_api_only() {
        let (mut recorder, _metrics, seen, _targets) = recorder();
        for port in [6385, 9999] {
            recorder.record(&Event { process: std::process::id(), ..failed("fd00::1", port) });
        }
        let kept = seen.borrow().connect_failures.clone();
        assert_eq!(kept.iter().map(|failure| failure.peer.port()).collect::<Vec<_>>(), [6385]);
    }

    #[test]
    fn losses_are_counted_once() {
        let (mut recorder, metrics, seen, _targets) = recorder();
        for lost in [0, 7, 7, 9] {
            recorder.lost(lost);
        }
        assert!(text(&metrics).contains("ipa_sidecar_probe_events_lost_total 9\n"));
        assert_eq!(seen.borrow().events_lost, 9);
    }

    #[test]
    fn the_log_is_bounded() {
        let mut lines = Lines::default();
        assert_eq!((0..100).filter(|_| lines.may_tell()).count(), LINES as usize);
        assert_eq!(lines.suppressed, 95);
    }
}
