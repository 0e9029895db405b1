//! Every metric family, declared in one place. Labels are closed sets, but for the nodes in trouble, of which at most 200
//! show.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use callback_url::{Reason, Verdict};
use exporter::ProcessMetrics;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use text::labels;

use crate::api::ApiError;
use crate::failure::Class;
use crate::relay::RelayResult;
use crate::report::ReportsResult;
use crate::states;
use crate::subject::Failure;

use super::Kind;
use super::fleet::{Fleet, Why};
use super::kept::Heard;
use super::refusal::Refusal;
use super::trouble::{self, Trouble};

/// Upper bounds in seconds, from an Ironic with few nodes to the time for one request.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// The most nodes in trouble that show.
const TROUBLES: usize = 200;
/// What stands for the reason where the URL is good, or not known.
pub const NO_REASON: &str = "none";
const PREFIX: &str = "ipa_fleet";

labels! {
    /// What the agent URLs are.
    pub enum UrlVerdict {
        /// It can work.
        Good = "good",
        /// It cannot.
        Bad = "bad",
        /// There is none: the ramdisk has not called back.
        None = "none",
    }
}

labels! {
    /// How the targets of `/sd` are reached.
    pub enum Via {
        /// By their own addresses.
        Direct = "direct",
        /// Through the relay.
        Relay = "relay",
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

/// See the help texts, which are the documentation of each.
#[derive(Debug)]
pub struct Families {
    registry: Registry,
    process: ProcessMetrics,
    ironic_up: IntGauge,
    blind: IntGaugeVec,
    poll_duration: HistogramVec,
    poll_failures: IntCounterVec,
    last_poll: GaugeVec,
    visible_nodes: IntGauge,
    nodes: IntGaugeVec,
    agent_urls: IntGaugeVec,
    bad_agent_url_nodes: IntGaugeVec,
    waiting_nodes: IntGaugeVec,
    oldest_wait: GaugeVec,
    failures: IntCounterVec,
    sd_targets: IntGaugeVec,
    relay_requests: IntCounterVec,
    reports: IntCounterVec,
    node_trouble_info: IntGaugeVec,
    node_trouble_omitted: IntGauge,
}

impl Metrics {
    /// Registers every family, with the closed label sets at 0.
    ///
    /// # Errors
    /// Where two families have one name: a mistake of this file, which every test of it would show.
    pub fn new() -> Result<Self, prometheus::Error> {
        let families = Families::new()?;
        families.initialise();
        Ok(Self(Arc::new(families)))
    }
}

impl Families {
    #[rustfmt::skip] // One line a family: the table of the metrics.
    fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
        let make = Maker(&registry);
        make.gauges("build_info", "Always 1; the label says what was built.", &["version"])?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let families = Self {
            ironic_up: make.gauge("ironic_up", "Whether Ironic answered the last poll.")?,
            blind: make.gauges("blind", "Whether something may be hidden from this program, by the cause.", &["why"])?,
            poll_duration: make.histograms("poll_duration_seconds", "How long a look at Ironic took.", &["kind"])?,
            poll_failures: make.counters("poll_failures_total", "Requests to Ironic or Keystone that failed, by reason.", &["reason"])?,
            last_poll: make.seconds("last_poll_timestamp_seconds", "When the last look at Ironic succeeded, as Unix time; 0 before the first.", &["kind"])?,
            visible_nodes: make.gauge("visible_nodes", "Nodes that Ironic shows; 0 while it is away.")?,
            nodes: make.gauges("nodes", "Nodes by provision state; absent while blind.", &["provision_state"])?,
            agent_urls: make.gauges("agent_urls", "Nodes with a ramdisk, or that wait for one, by what their agent URL is; absent while blind.", &["verdict"])?,
            bad_agent_url_nodes: make.gauges("bad_agent_url_nodes", "Nodes whose agent URL cannot work, by the first reason; absent while blind.", &["reason"])?,
            waiting_nodes: make.gauges("waiting_nodes", "Nodes in a state with a ramdisk, by whether it was heard; absent while blind.", &["provision_state", "heard"])?,
            oldest_wait: make.seconds("oldest_wait_seconds", "The longest time that a node has waited for a ramdisk that was never heard; absent while blind.", &["provision_state"])?,
            failures: make.counters("failures_total", "Failures of nodes since the start, each once: their class, and the first reason why the agent URL is bad.", &["class", "reason"])?,
            sd_targets: make.gauges("sd_targets", "Targets of the last answer of /sd; 0 where there was none.", &["via"])?,
            relay_requests: make.counters("relay_requests_total", "Requests to the relay, by result.", &["result"])?,
            reports: make.counters("reports_total", "Reports of sidecars, by result.", &["result"])?,
            node_trouble_info: make.gauges("node_trouble_info", "Always 1; nodes in trouble, at most 200.", &["node_uuid", "name", "class", "reason"])?,
            node_trouble_omitted: make.gauge("node_trouble_omitted", "Nodes in trouble that do not show in ipa_fleet_node_trouble_info.")?,
            registry: registry.clone(),
            process: ProcessMetrics::new()?,
        };
        Ok(families)
    }

    /// A counter that appears with its first event hides that event from `rate()`.
    fn initialise(&self) {
        for refusal in Refusal::NAMES {
            self.poll_failures.with_label_values(&[refusal]);
        }
        for class in Class::NAMES {
            for reason in Reason::NAMES.iter().chain([&NO_REASON]) {
                self.failures.with_label_values(&[class, *reason]);
            }
        }
        for kind in Kind::NAMES {
            self.poll_duration.with_label_values(&[kind]);
            self.last_poll.with_label_values(&[kind]);
        }
        for result in RelayResult::NAMES {
            self.relay_requests.with_label_values(&[result]);
        }
        for result in ReportsResult::NAMES {
            self.reports.with_label_values(&[result]);
        }
        for via in Via::NAMES {
            self.sd_targets.with_label_values(&[via]);
        }
    }

    /// Ironic was asked with success, and it took so long.
    pub fn polled(&self, kind: Kind, took: Duration) {
        self.poll_duration.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_poll.with_label_values(&[kind.as_str()]).set(now.as_secs_f64());
    }

    /// Counts an answer that did not come.
    pub fn refused(&self, error: &ApiError) {
        self.poll_failures.with_label_values(&[Refusal::of(error).as_str()]).inc();
    }

    /// Counts a failure of a node.
    pub fn failure(&self, failure: &Failure) {
        let reason = failure.reasons.first().map_or(NO_REASON, |reason| reason.as_str());
        self.failures.with_label_values(&[failure.class.as_str(), reason]).inc();
    }

    /// Counts a request to the relay.
    pub fn relayed(&self, result: RelayResult) {
        self.relay_requests.with_label_values(&[result.as_str()]).inc();
    }

    /// Counts a report.
    pub fn reported(&self, result: ReportsResult) {
        self.reports.with_label_values(&[result.as_str()]).inc();
    }

    /// Shows how many targets an answer had.
    pub fn targets(&self, via: Via, count: usize) {
        self.sd_targets.with_label_values(&[via.as_str()]).set(whole(count));
    }

    /// Shows the fleet. While this program is blind nothing of it shows: old numbers would pass for health.
    pub fn show(&self, fleet: &Fleet) {
        let is = |why: Why| fleet.blind.iter().any(|blind| blind.why == why);
        for why in Why::ALL {
            self.blind.with_label_values(&[why.as_str()]).set(is(why).into());
        }
        let is_up = !is(Why::IronicAway) && !is(Why::Starting);
        self.ironic_up.set(is_up.into());
        self.visible_nodes.set(if is_up { whole(fleet.states.len()) } else { 0 });
        for family in [&self.nodes, &self.agent_urls, &self.bad_agent_url_nodes, &self.waiting_nodes] {
            family.reset();
        }
        self.oldest_wait.reset();
        self.node_trouble_info.reset();
        self.node_trouble_omitted.set(0);
        if !fleet.is_blind() {
            self.show_nodes(fleet);
            self.show_troubles(&trouble::of(fleet));
        }
    }

    fn show_nodes(&self, fleet: &Fleet) {
        for state in states::labels() {
            self.nodes.with_label_values(&[state]).set(0);
        }
        for state in fleet.states.values() {
            self.nodes.with_label_values(&[state]).inc();
        }
        for verdict in UrlVerdict::NAMES {
            self.agent_urls.with_label_values(&[verdict]).set(0);
        }
        for reason in Reason::NAMES {
            self.bad_agent_url_nodes.with_label_values(&[reason]).set(0);
        }
        for state in states::LIVE {
            for heard in Heard::NAMES {
                self.waiting_nodes.with_label_values(&[state.name, heard]).set(0);
            }
            self.oldest_wait.with_label_values(&[state.name]).set(0.0);
        }
        let now = fleet.now;
        for node in fleet.live() {
            let verdict = match (node.verdict(), node.reasons.first()) {
                (None, _) => UrlVerdict::None,
                (Some(Verdict::Good), _) => UrlVerdict::Good,
                (Some(Verdict::Bad), reason) => {
                    let reason = reason.map_or(NO_REASON, |reason| reason.as_str());
                    self.bad_agent_url_nodes.with_label_values(&[reason]).inc();
                    UrlVerdict::Bad
                }
            };
            self.agent_urls.with_label_values(&[verdict.as_str()]).inc();
            let heard = node.heard(now);
            self.waiting_nodes.with_label_values(&[node.state, heard.as_str()]).inc();
            if let (Heard::Never, Some(at)) = (heard, node.changed_at) {
                let oldest = self.oldest_wait.with_label_values(&[node.state]);
                oldest.set(oldest.get().max(at.until(now).as_secs_f64()));
            }
        }
    }

    fn show_troubles(&self, troubles: &[Trouble]) {
        for trouble in troubles.iter().take(TROUBLES) {
            let name = trouble.node.name.as_deref().unwrap_or_default();
            let labels = [&trouble.node.uuid(), name, trouble.class(), trouble.reason()];
            self.node_trouble_info.with_label_values(&labels).set(1);
        }
        self.node_trouble_omitted.set(whole(troubles.len().saturating_sub(TROUBLES)));
    }

    /// `/metrics`: the text and its content type.
    ///
    /// # Errors
    /// Where the encoder fails.
    pub fn render(&self) -> Result<(Vec<u8>, String), prometheus::Error> {
        exporter::render(&self.registry, &self.process)
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Registers as it makes; keeps the table short.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::with_opts(Opts::new(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)?)
    }
}
