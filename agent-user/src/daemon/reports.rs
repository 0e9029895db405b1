//! The node's last words: who makes them, and who sends them.

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exchange::Begun;
use crate::metrics::Metrics;
use crate::params::ReportParameters;
use crate::report::{Heard, LastWords, Receiver, ReportResult, ReportState, Reporter, show_wanted};
use crate::watch::Names;
use crate::web::Shown;

/// Where reports go, with its files read.
pub struct Wanted {
    receiver: Option<Receiver>,
    begun: watch::Receiver<Begun>,
}

impl Wanted {
    /// Reads the files while there are privileges. `begun`: heartbeats that go out.
    pub fn open(
        parameters: &ReportParameters,
        begun: watch::Receiver<Begun>,
        state: &watch::Sender<ReportState>,
        metrics: &Metrics,
    ) -> Self {
        metrics.begin_reports_sent(&ReportResult::NAMES);
        let receiver = match (Receiver::open(parameters), &parameters.url) {
            (Some(opened), Some(url)) => {
                show_wanted(state, url, opened.as_ref().err().cloned());
                opened.ok()
            }
            _ => None,
        };
        Self { receiver, begun }
    }

    /// Starts it; call it once the privileges are dropped. Gives what asks for the last report.
    pub fn start(
        self,
        shown: Shown,
        state: watch::Sender<ReportState>,
        resolv_conf: watch::Receiver<u64>,
        tasks: &mut JoinSet<()>,
    ) -> Option<LastWords> {
        let receiver = self.receiver?;
        let names = Names::new(vec![receiver.url().clone()]);
        let targets = names.subscribe();
        tasks.spawn(names.run(resolv_conf));
        let sources = &shown.sources;
        let heard = Heard {
            begun: self.begun,
            exchanges: sources.exchanges.clone(),
            probes: sources.probes.clone(),
            agent: sources.agent.clone(),
            sight: sources.sight.clone(),
            read_back: sources.read_back.clone(),
        };
        let metrics = shown.metrics.clone();
        let make = move |about: &_| shown.report(about);
        let (reporter, last_words) = Reporter::new(receiver, targets, heard, make, (state, metrics));
        tasks.spawn(reporter.run());
        Some(last_words)
    }
}
