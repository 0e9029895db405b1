//! Every metric family, declared in one place. Labels are closed sets: no address of a peer, no MAC, no UUID, no text.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use callback_url::{Reason, Warning};
use exporter::ProcessMetrics;
use fib::{Asked, ChangeKind, Heard, Subject};
use prometheus::core::Collector;
use prometheus::proto::MetricType;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use text::labels;

use crate::advertise::{Decision, Family, Refusal};
use crate::ironic::{HeartbeatResult, LookupResult};
use crate::params::Mode;

/// Upper bounds in seconds, from a cached FIB answer to a busy machine.
const DECISION_BUCKETS: [f64; 10] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0];
/// Upper bounds in seconds, from loopback to IPA's request time-out.
const REQUEST_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0];

/// Upper bounds in seconds, from a refusal on loopback to the kernel's own time-out (tcp_syn_retries 6: 127 s).
const CONNECT_BUCKETS: [f64; 8] = [0.0001, 0.001, 0.01, 0.1, 1.0, 5.0, 30.0, 130.0];

labels! {
    /// Who spoke to Ironic.
    pub enum Sender {
        /// ironic-python-agent.
        Ipa = "ipa",
        /// The daemon itself.
        Sidecar = "sidecar",
    }
}

labels! {
    /// Why the daemon sent a heartbeat.
    pub enum Trigger {
        /// The first after the lookup.
        First = "first",
        /// Its time had come.
        Interval = "interval",
        /// The one before had failed.
        Retry = "retry",
        /// The address had changed.
        AddressChange = "address_change",
    }
}

labels! {
    /// Where a bad callback URL was seen.
    pub enum UrlSource {
        /// In a heartbeat of IPA's.
        Ipa = "ipa",
        /// In one that the daemon was about to send.
        Sidecar = "sidecar",
        /// In what Ironic has recorded.
        Ironic = "ironic",
    }
}

labels! {
    /// What was done with it.
    pub enum UrlAction {
        /// The host was put right.
        Repaired = "repaired",
        /// The request was not let through.
        Held = "held",
        /// It went on as it was.
        Forwarded = "forwarded",
        /// Nothing could be done.
        None = "none",
    }
}

labels! {
    /// What became of an IPA whose address is lost before its lookup: label `result` of `ipa_sidecar_ipa_restarts_total`.
    pub enum RestartResult {
        /// It starts again.
        Restarted = "restarted": "it starts again with the new address",
        /// Nobody could tell whether a lookup has left it.
        NotAttached = "not_attached": "nothing saw its requests since its start, and a lookup may have left",
        /// The same.
        EventsLost = "events_lost": "some of its requests were not seen, and a lookup may have left",
        /// A restart would cost the token.
        LookupSeen = "lookup_seen": "its lookup has left, and a restart would lose the token",
        /// The same.
        Listening = "listening": "it listens on its port, so it has its token, and a restart would lose the token",
        /// Nobody would start it again.
        NoUnit = "no_unit": "no systemd unit of ironic-python-agent is known: name it with --ipa.restart-unit",
        /// It could not be stopped, ended or started again.
        Failed = "failed": "the restart failed",
    }
}

/// The families; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Families>);

impl Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

/// See the help texts in `Families::new`, which are the documentation of each.
#[derive(Debug)]
pub struct Families {
    registry: Registry,
    process: ProcessMetrics,
    described: Vec<Description>,
    mode_info: GaugeVec,
    advertise_address_info: GaugeVec,
    advertise_address_valid: IntGauge,
    advertise_address_changes: IntCounter,
    advertise_address_last_change: Gauge,
    advertise_refusals: IntCounterVec,
    advertise_decision: Histogram,
    lookup_attempts: IntCounterVec,
    lookup_duration: Histogram,
    heartbeats: IntCounterVec,
    heartbeats_sent: IntCounterVec,
    heartbeat_duration: Histogram,
    heartbeat_last_accepted: Gauge,
    heartbeat_first_accepted: Gauge,
    heartbeat_interval: Gauge,
    exchanges_seen: IntCounterVec,
    bad_agent_url: IntCounterVec,
    bad_agent_url_reasons: IntCounterVec,
    agent_url_warnings: IntCounterVec,
    agent_url_pinned: IntGauge,
    agent_url_stale: IntGauge,
    netlink_messages: [IntCounter; ChangeKind::ALL.len()],
    pub netlink_overruns: IntCounter,
    netlink_decode_errors: IntCounter,
    /// By subject: answered, and not.
    netlink_queries: [[IntCounter; 2]; Subject::ALL.len()],
    ipa_up: IntGauge,
    passed_by_info: IntGaugeVec,
    dropin_writes: IntCounterVec,
    ipa_restarts: IntCounterVec,
    reports_sent: IntCounterVec,
    callback_connections: IntCounter,
    callback_refused: IntCounter,
    callback_last_connection: Gauge,
    connect_failures: IntCounterVec,
    connect_failure_duration: Histogram,
    probe_attached: IntGaugeVec,
    probe_path_info: GaugeVec,
    probe_unavailable_info: GaugeVec,
    probe_events_lost: IntCounter,
}

/// A family as it is declared, whether it has samples yet or not.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its name without the prefix.
    pub name: String,
    /// Counter, gauge or histogram.
    pub kind: MetricType,
    /// The names of its labels, as declared.
    pub labels: Vec<String>,
    /// What it says.
    pub help: String,
}

impl Metrics {
    /// Registers every family, with the small label sets at 0.
    ///
    /// # Errors
    /// Where two families have one name: a mistake of this file, which every test of it would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        Families::new().map(|families| Self(Arc::new(families)))
    }
}

/// Registers as it makes; keeps the names of the families short in [`Families::new`].
struct Maker {
    registry: Registry,
    described: RefCell<Vec<Description>>,
}

impl Maker {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.describe(&collector);
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn describe(&self, collector: &impl Collector) {
        let families = collector.collect();
        let described = collector.desc().into_iter().filter_map(|description| {
            let family = families.iter().find(|family| family.name() == description.fq_name)?;
            Some(Description {
                name: description.fq_name.clone(),
                kind: family.get_field_type(),
                labels: description.variable_labels.clone(),
                help: description.help.clone(),
            })
        });
        self.described.borrow_mut().extend(described);
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::with_opts(Opts::new(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.register(Gauge::with_opts(Opts::new(name, help))?)
    }

    fn flag(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(Opts::new(name, help))?)
    }

    fn flags(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn info(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }
}

impl Families {
    #[rustfmt::skip] // One line a family: the table of the metrics.
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("ipa_sidecar".to_owned()), None)?;
        let make = Maker { registry: registry.clone(), described: RefCell::default() };
        let build_info = make.info("build_info", "Always 1; the labels say what was built.", &["version", "revision", "rustc"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION"), env!("BUILD_REVISION"), env!("BUILD_RUSTC")]).set(1.0);
        let mut families = Self {
            mode_info: make.info("mode_info", "Always 1; the label is the mode that the daemon runs in.", &["mode"])?,
            advertise_address_info: make.info("advertise_address_info", "Always 1; the advertise address and where it comes from.", &["address", "device", "family", "origin"])?,
            advertise_address_valid: make.flag("advertise_address_valid", "Whether the advertise address is assigned, up and routed now.")?,
            advertise_address_changes: make.counter("advertise_address_changes_total", "Changes of the advertise address, the first included.")?,
            advertise_address_last_change: make.gauge("advertise_address_last_change_timestamp_seconds", "When the advertise address changed last, as Unix time.")?,
            advertise_refusals: make.counters("advertise_refusals_total", "Candidates that were newly refused, by reason.", &["reason"])?,
            advertise_decision: make.histogram("advertise_decision_seconds", "From the first kernel event of a burst to the decision.", &DECISION_BUCKETS)?,
            lookup_attempts: make.counters("lookup_attempts_total", "Lookups at Ironic, by sender and result.", &["sender", "result"])?,
            lookup_duration: make.histogram("lookup_duration_seconds", "Duration of a lookup.", &REQUEST_BUCKETS)?,
            heartbeats: make.counters("heartbeats_total", "Heartbeats to Ironic, by sender and result.", &["sender", "result"])?,
            heartbeats_sent: make.counters("heartbeats_sent_total", "Heartbeats that the daemon itself sent, by trigger.", &["trigger"])?,
            heartbeat_duration: make.histogram("heartbeat_duration_seconds", "Duration of a heartbeat.", &REQUEST_BUCKETS)?,
            heartbeat_last_accepted: make.gauge("heartbeat_last_accepted_timestamp_seconds", "When Ironic last accepted a heartbeat, as Unix time; 0 before the first.")?,
            heartbeat_first_accepted: make.gauge("heartbeat_first_accepted_uptime_seconds", "From the kernel's start (CLOCK_BOOTTIME) to the first heartbeat that Ironic accepted; 0 before it.")?,
            heartbeat_interval: make.gauge("heartbeat_interval_seconds", "The heartbeat timeout that Ironic gave; 0 before the lookup.")?,
            exchanges_seen: make.counters("exchanges_seen_total", "Exchanges with Ironic, by who saw them; foreign ones are not IPA's for this node.", &["seen_by"])?,
            bad_agent_url: make.counters("bad_agent_url_total", "Bad callback URLs, by source and action.", &["source", "action"])?,
            bad_agent_url_reasons: make.counters("bad_agent_url_reasons_total", "Reasons of bad callback URLs; one URL can have several.", &["reason"])?,
            agent_url_warnings: make.counters("agent_url_warnings_total", "Doubts about callback URLs that may be right; they change nothing.", &["warning"])?,
            agent_url_pinned: make.flag("agent_url_pinned", "Whether Ironic holds a callback URL of this node, as far as the daemon knows.")?,
            agent_url_stale: make.flag("agent_url_stale", "Whether Ironic holds a callback URL that is no longer this node's.")?,
            netlink_messages: {
                let counters = make.counters("netlink_messages_total", "Multicast messages of the kernel, by subject.", &["type"])?;
                ChangeKind::ALL.map(|kind| counters.with_label_values(&[kind.as_str()]))
            },
            netlink_overruns: make.counter("netlink_overruns_total", "Times that the kernel dropped messages because the daemon's buffer was full; it then asks the kernel again.")?,
            netlink_decode_errors: make.counter("netlink_decode_errors_total", "Netlink messages, and parts of answers, that could not be read; a message makes the daemon ask again, a part is left out.")?,
            netlink_queries: {
                let counters = make.counters("netlink_queries_total", "Questions to the kernel, by subject and result.", &["query", "result"])?;
                Subject::ALL.map(|subject| [true, false].map(|answered| counters.with_label_values(&[subject.as_str(), result(answered)])))
            },
            ipa_up: make.flag("ipa_up", "Whether ironic-python-agent answers /v1/status on this machine.")?,
            passed_by_info: make.flags("passed_by_info", "Whether ironic-python-agent bypasses the daemon, by the cause.", &["why"])?,
            dropin_writes: make.counters("dropin_writes_total", "Writes of the configuration drop-in of ironic-python-agent.", &["result"])?,
            ipa_restarts: make.counters("ipa_restarts_total", "Agents whose address was lost before their lookup, by what the daemon did.", &["result"])?,
            reports_sent: make.counters("reports_sent_total", "Reports of this node's state to --report.url, by result.", &["result"])?,
            callback_connections: make.counter("callback_connections_total", "Connections from another machine to the advertised address and port: a call-back from there works.")?,
            callback_refused: make.counter("callback_refused_total", "Connections from other machines to the advertised port that were refused, because nothing listened.")?,
            callback_last_connection: make.gauge("callback_last_connection_timestamp_seconds", "When the last such connection came, as Unix time; 0 before the first.")?,
            connect_failures: make.counters("connect_failures_total", "TCP connects of this network namespace that failed, by target, family and errno.", &["target", "family", "errno"])?,
            connect_failure_duration: make.histogram("connect_failure_duration_seconds", "From the call of connect to its failure.", &CONNECT_BUCKETS)?,
            probe_attached: make.flags("probe_attached", "Whether an eBPF probe is attached.", &["probe"])?,
            probe_path_info: make.info("probe_path_info", "Always 1; how an eBPF probe is attached.", &["probe", "path"])?,
            probe_unavailable_info: make.info("probe_unavailable_info", "Always 1; why an eBPF probe is not attached.", &["probe", "reason"])?,
            probe_events_lost: make.counter("probe_events_lost_total", "Events of the probes that were lost because too many came at once.")?,
            registry,
            process: ProcessMetrics::new()?,
            described: Vec::new(),
        };
        make.describe(&families.process);
        families.described = make.described.into_inner();
        families.initialise();
        Ok(families)
    }

    /// A counter that appears with its first event hides that event from `rate()`: small sets begin at 0.
    fn initialise(&self) {
        for sender in Sender::ALL.map(Sender::as_str) {
            for result in LookupResult::ALL {
                self.lookup_attempts.with_label_values(&[sender, result.as_str()]);
            }
            for result in HeartbeatResult::ALL {
                self.heartbeats.with_label_values(&[sender, result.as_str()]);
            }
        }
        for trigger in Trigger::ALL {
            self.heartbeats_sent.with_label_values(&[trigger.as_str()]);
        }
        for source in UrlSource::ALL.map(UrlSource::as_str) {
            for action in UrlAction::ALL.map(UrlAction::as_str) {
                self.bad_agent_url.with_label_values(&[source, action]);
            }
        }
        // The alert on what Ironic holds subtracts it. Were it missing after a restart, the alert would fire for a stale pin.
        self.bad_agent_url_reasons.with_label_values(&[Reason::PinnedStale.as_str()]);
        for warning in Warning::NAMES {
            self.agent_url_warnings.with_label_values(&[warning]);
        }
        for refusal in Refusal::ALL {
            self.advertise_refusals.with_label_values(&[refusal.as_str()]);
        }
        for result in RestartResult::NAMES {
            self.ipa_restarts.with_label_values(&[result]);
        }
        for result in ["ok", "error"] {
            self.dropin_writes.with_label_values(&[result]);
        }
    }

    /// Says in which mode the daemon runs.
    pub fn set_mode(&self, mode: Mode) {
        self.mode_info.reset();
        self.mode_info.with_label_values(&[mode.as_str()]).set(1.0);
    }

    /// Shows a decision; `changed` where the address is another than before.
    pub fn show_decision(&self, decision: &Decision, changed: bool) {
        self.advertise_address_valid.set(decision.valid.into());
        self.advertise_address_info.reset();
        if let (Some(address), Some(origin)) = (&decision.address, decision.origin) {
            let device = decision.device.as_deref().unwrap_or_default();
            let family = decision.family.map(|family| family.as_str()).unwrap_or_default();
            let labels =
                [address.to_string(), device.to_owned(), family.to_owned(), origin.as_str().to_owned()];
            self.advertise_address_info.with_label_values(&labels).set(1.0);
        }
        if changed {
            self.advertise_address_changes.inc();
            self.advertise_address_last_change.set(unix_seconds());
        }
    }

    /// Counts a candidate that was refused, or that no candidate was there.
    pub fn refusal(&self, refusal: Refusal) {
        self.advertise_refusals.with_label_values(&[refusal.as_str()]).inc();
    }

    /// Counts what a reading of the multicast socket heard.
    pub fn netlink_heard(&self, heard: &Heard) {
        for (counter, (_, count)) in self.netlink_messages.iter().zip(heard.messages()) {
            counter.inc_by(count);
        }
        self.netlink_overruns.inc_by(heard.overruns);
        self.netlink_decode_errors.inc_by(heard.undecodable);
    }

    /// Counts questions to the kernel.
    pub fn netlink_asked(&self, asked: &Asked) {
        self.netlink_decode_errors.inc_by(asked.unreadable);
        for ([ok, error], (_, answered, failed)) in self.netlink_queries.iter().zip(asked.counts()) {
            ok.inc_by(answered);
            error.inc_by(failed);
        }
    }

    /// Begins to count who saw exchanges.
    pub fn begin_exchanges_seen(&self, names: &[&str]) {
        for name in names {
            self.exchanges_seen.with_label_values(&[name]);
        }
    }

    /// Counts an exchange with Ironic.
    pub fn exchange_seen(&self, seen_by: &str) {
        self.exchanges_seen.with_label_values(&[seen_by]).inc();
    }

    /// Counts a lookup.
    pub fn lookup(&self, sender: Sender, result: LookupResult, duration: Duration) {
        self.lookup_attempts.with_label_values(&[sender.as_str(), result.as_str()]).inc();
        self.lookup_duration.observe(duration.as_secs_f64());
    }

    /// Counts a heartbeat.
    pub fn heartbeat(&self, sender: Sender, result: HeartbeatResult, duration: Duration) {
        self.heartbeats.with_label_values(&[sender.as_str(), result.as_str()]).inc();
        self.heartbeat_duration.observe(duration.as_secs_f64());
    }

    /// Shows when Ironic accepted a heartbeat: now. `first`: never before.
    pub fn heartbeat_accepted(&self, first: bool) {
        self.heartbeat_last_accepted.set(unix_seconds());
        if first {
            self.heartbeat_first_accepted.set(uptime_seconds());
        }
    }

    /// Shows the heartbeat timeout that Ironic gave.
    pub fn show_heartbeat_timeout(&self, timeout: Duration) {
        self.heartbeat_interval.set(timeout.as_secs_f64());
    }

    /// Shows whether Ironic holds a callback URL of this node.
    pub fn show_pinned(&self, pinned: bool) {
        self.agent_url_pinned.set(pinned.into());
    }

    /// Shows whether Ironic holds a callback URL that is no longer the daemon's.
    pub fn show_stale(&self, stale: bool) {
        self.agent_url_stale.set(stale.into());
    }

    /// Shows whether ironic-python-agent answers.
    pub fn show_ipa(&self, up: bool) {
        self.ipa_up.set(up.into());
    }

    /// Why IPA bypasses ipa-sidecar, where it does; the others of `all` are 0.
    pub fn show_passed_by(&self, all: &[&str], why: Option<&str>) {
        for one in all {
            self.passed_by_info.with_label_values(&[*one]).set(i64::from(why == Some(*one)));
        }
    }

    /// Counts a decision that took so long.
    pub fn decision(&self, duration: Duration) {
        self.advertise_decision.observe(duration.as_secs_f64());
    }

    /// Counts a heartbeat of its own before it is sent.
    pub fn heartbeat_sent(&self, trigger: Trigger) {
        self.heartbeats_sent.with_label_values(&[trigger.as_str()]).inc();
    }

    /// Counts a bad callback URL, once, and each of its reasons.
    pub fn bad_agent_url(&self, source: UrlSource, action: UrlAction, reasons: &[Reason]) {
        self.bad_agent_url.with_label_values(&[source.as_str(), action.as_str()]).inc();
        for reason in reasons {
            self.bad_agent_url_reasons.with_label_values(&[reason.as_str()]).inc();
        }
    }

    /// Counts each thing that is doubtful about a callback URL.
    pub fn agent_url_warnings(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.agent_url_warnings.with_label_values(&[warning.as_str()]).inc();
        }
    }

    /// Counts a write of the drop-in.
    pub fn dropin_write(&self, ok: bool) {
        self.dropin_writes.with_label_values(&[result(ok)]).inc();
    }

    /// Counts what became of an IPA whose address was lost before its lookup.
    pub fn ipa_restart(&self, result: RestartResult) {
        self.ipa_restarts.with_label_values(&[result.as_str()]).inc();
    }

    /// Begins to count what becomes of reports.
    pub fn begin_reports_sent(&self, names: &[&str]) {
        for name in names {
            self.reports_sent.with_label_values(&[name]);
        }
    }

    /// Counts a report.
    pub fn report_sent(&self, result: &str) {
        self.reports_sent.with_label_values(&[result]).inc();
    }

    /// Counts a connection from outside to the advertised port.
    pub fn callback_connection(&self) {
        self.callback_connections.inc();
        self.callback_last_connection.set(unix_seconds());
    }

    /// Counts one that was refused.
    pub fn callback_refused(&self) {
        self.callback_refused.inc();
    }

    /// Counts events of the probes that were lost.
    pub fn probe_events_lost(&self, events: u64) {
        self.probe_events_lost.inc_by(events);
    }

    /// Counts a failed connect.
    pub fn connect_failure(&self, target: &str, family: Family, errno: &str, duration: Duration) {
        self.connect_failures.with_label_values(&[target, family.as_str(), errno]).inc();
        self.connect_failure_duration.observe(duration.as_secs_f64());
    }

    /// Begins the usual failures of connects at 0: only where they are seen, so that no 0 claims that all is well.
    pub fn begin_connect_failures(&self, target: &str) {
        for family in Family::NAMES {
            for errno in ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "abandoned"] {
                self.connect_failures.with_label_values(&[target, family, errno]);
            }
        }
    }

    /// Shows whether a probe is attached: how, or the reason why not. `earlier`: the reason that this replaces.
    pub fn show_probe(&self, probe: &str, outcome: Result<&str, &str>, earlier: Option<&str>) {
        if let Some(earlier) = earlier {
            // An error: it was another one.
            let _ = self.probe_unavailable_info.remove_label_values(&[probe, earlier]);
        }
        self.probe_attached.with_label_values(&[probe]).set(outcome.is_ok().into());
        let (info, label) = match outcome {
            Ok(path) => (&self.probe_path_info, path),
            Err(reason) => (&self.probe_unavailable_info, reason),
        };
        info.with_label_values(&[probe, label]).set(1.0);
    }

    /// Every family as it is declared.
    pub fn described(&self) -> &[Description] {
        &self.described
    }

    /// The exposition in text format 0.0.4, and its content type.
    ///
    /// # Errors
    /// Where a family cannot be written.
    pub fn render(&self) -> Result<(Vec<u8>, String), prometheus::Error> {
        exporter::render(&self.registry, &self.process)
    }
}

fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "error" }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Since the kernel's start, suspended time included: no step of the wall clock changes it.
fn uptime_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
