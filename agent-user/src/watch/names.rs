//! Keeps the API's names resolved.

use std::time::Duration;

use callback_url::{ApiUrl, Host};
use tokio::sync::watch;
use tokio::time::sleep;

use super::ResolvedTarget;
use super::dns::{Resolved, Resolver};
use crate::tick::Tick;

/// The pauses before a failed name is asked again; the last one repeats while it has no address at all.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(5)];
/// Names are asked again so often; within their time to live that costs no packet.
const REFRESH: Duration = Duration::from_secs(30);

/// The API URLs with the addresses of their hosts.
#[derive(Debug)]
pub struct Names {
    urls: Vec<ApiUrl>,
    resolver: Resolver,
    resolved: watch::Sender<Vec<ResolvedTarget>>,
}

impl Names {
    /// Address literals are there at once; names are not until [`Names::run`] has asked.
    pub fn new(urls: Vec<ApiUrl>) -> Self {
        let first = urls.iter().map(|url| ResolvedTarget {
            url: url.clone(),
            addresses: match &url.host {
                Host::Ip(ip) => Ok(vec![*ip]),
                Host::Name(name) => Err(format!("{name} is not resolved yet")),
            },
        });
        let resolved = watch::Sender::new(first.collect());
        Self { urls, resolver: Resolver::default(), resolved }
    }

    /// Where the addresses appear.
    pub fn subscribe(&self) -> watch::Receiver<Vec<ResolvedTarget>> {
        self.resolved.subscribe()
    }

    /// Resolves: at the start, again after a failure, when resolv.conf changes, and every 30 s. Ends at once where
    /// there is no name to resolve.
    pub async fn run(mut self, mut resolv_conf: watch::Receiver<u64>) {
        if self.urls.iter().all(|url| matches!(url.host, Host::Ip(_))) {
            return;
        }
        let mut failures = 0;
        loop {
            let round = self.resolver.resolve(&self.urls).await;
            let pause = pause(&round, failures);
            failures = if round.failed || round.half_failed { failures + 1 } else { 0 };
            self.resolved.send_if_modified(|known| {
                let changed = *known != round.targets;
                *known = round.targets;
                changed
            });
            tokio::select! {
                () = sleep(pause), if pause < REFRESH => {}
                // A new one: a ring during a long resolution is none.
                () = async { Tick::every(REFRESH).next().await } => {}
                Ok(()) = resolv_conf.changed() => {
                    self.resolver.reset();
                    failures = 0;
                }
            }
        }
    }
}

fn pause(round: &Resolved, failures: usize) -> Duration {
    let retry = RETRIES.get(failures).copied();
    match (round.failed, round.half_failed) {
        (true, _) => retry.or(RETRIES.last().copied()).unwrap_or(REFRESH),
        (false, true) => retry.unwrap_or(REFRESH),
        (false, false) => REFRESH,
    }
}
