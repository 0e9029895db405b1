//! API names become addresses, in Rust: a static binary cannot load the C library's resolver modules. An address
//! literal never asks DNS.

use std::net::IpAddr;
use std::time::Duration;

use callback_url::{ApiUrl, Host};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::ResolvedTarget;

/// One name, all servers and tries included.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of one question to one server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// The pauses before a failed name is asked again; the last one repeats.
const RETRIES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(5)];
/// Names are asked again so often; within their time to live that costs no packet.
const REFRESH: Duration = Duration::from_secs(30);

/// DNS as `/etc/resolv.conf` and `/etc/hosts` say.
#[derive(Default)]
pub struct Resolver {
    /// Made on first use, so that literals need no resolv.conf.
    dns: Option<TokioResolver>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Forgets everything: resolv.conf has changed.
    pub fn reset(&mut self) {
        self.dns = None;
    }

    /// The addresses of each URL's host.
    pub async fn resolve(&mut self, urls: &[ApiUrl]) -> Vec<ResolvedTarget> {
        let mut targets = Vec::with_capacity(urls.len());
        for url in urls {
            let addresses = match &url.host {
                Host::Ip(ip) => Ok(vec![*ip]),
                Host::Name(name) => self.name(name).await,
            };
            targets.push(ResolvedTarget { url: url.clone(), addresses });
        }
        targets
    }

    async fn name(&mut self, name: &str) -> Result<Vec<IpAddr>, String> {
        let (dns, unusable) = match &self.dns {
            Some(dns) => (dns.clone(), None),
            None => match open() {
                Ok(dns) => (self.dns.insert(dns).clone(), None),
                Err(unusable) => (hosts_only()?, Some(unusable)),
            },
        };
        let error = match timeout(PATIENCE, dns.lookup_ip(name)).await {
            Ok(Ok(answer)) => return Ok(answer.iter().collect()),
            Ok(Err(error)) if error.is_nx_domain() => "the name server knows no such name".to_owned(),
            Ok(Err(error)) if error.is_no_records_found() => {
                "the name server knows no address of that name".to_owned()
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        // /etc/hosts is read when a resolver is made: the next try reads it again.
        self.dns = None;
        Err(unusable.unwrap_or_else(|| format!("{name} does not resolve: {error}")))
    }
}

/// What /etc/hosts says, where resolv.conf is missing or names no server: the C library looks there first, too.
fn hosts_only() -> Result<TokioResolver, String> {
    TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        .build()
        .map_err(|error| format!("/etc/hosts cannot be used: {error}"))
}

fn open() -> Result<TokioResolver, String> {
    let readable = |error| format!("/etc/resolv.conf cannot be used: {error}");
    let mut builder = TokioResolver::builder_tokio().map_err(readable)?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = SERVER_TIMEOUT;
    builder.build().map_err(readable)
}

/// Keeps the API's names resolved.
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
            let fresh = self.resolver.resolve(&self.urls).await;
            let failed = fresh.iter().any(|target| target.addresses.is_err());
            self.resolved.send_if_modified(|known| merge(known, fresh));
            let pause = match failed {
                false => REFRESH,
                true => RETRIES.get(failures).or(RETRIES.last()).copied().unwrap_or(REFRESH),
            };
            failures = if failed { failures + 1 } else { 0 };
            tokio::select! {
                () = sleep(pause) => {}
                Ok(()) = resolv_conf.changed() => {
                    self.resolver.reset();
                    failures = 0;
                }
            }
        }
    }
}

/// Takes over what is new. A name that was resolved before keeps its addresses while DNS fails: a name server that is
/// away for a moment does not take the address from the node.
fn merge(known: &mut [ResolvedTarget], fresh: Vec<ResolvedTarget>) -> bool {
    let mut changed = false;
    for (known, mut fresh) in known.iter_mut().zip(fresh) {
        if let Ok(addresses) = &mut fresh.addresses {
            addresses.sort_unstable();
        }
        match (&known.addresses, &fresh.addresses) {
            (Ok(_), Err(error)) => tracing::warn!(%error, "keeping the addresses that the API had before"),
            (one, other) if one == other => {}
            _ => {
                *known = fresh;
                changed = true;
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(addresses: Result<Vec<&str>, &str>) -> ResolvedTarget {
        ResolvedTarget {
            url: ApiUrl::parse("http://ironic.example:6385").unwrap(),
            addresses: addresses
                .map(|all| all.iter().map(|ip| ip.parse().unwrap()).collect())
                .map_err(str::to_owned),
        }
    }

    #[test]
    fn a_failure_keeps_what_was_known_and_order_is_no_change() {
        let mut known = [target(Err("not yet"))];
        assert!(merge(&mut known, vec![target(Ok(vec!["10.0.0.2", "10.0.0.1"]))]));
        assert!(!merge(&mut known, vec![target(Ok(vec!["10.0.0.1", "10.0.0.2"]))]));
        assert!(!merge(&mut known, vec![target(Err("SERVFAIL"))]));
        assert!(known[0].addresses.is_ok());
        assert!(merge(&mut known, vec![target(Ok(vec!["10.0.0.3"]))]));
    }

    #[tokio::test]
    async fn a_literal_needs_no_dns() {
        let mut resolver = Resolver::default();
        let urls = [ApiUrl::parse("http://[fd00::1]:6385").unwrap()];
        let resolved = resolver.resolve(&urls).await;
        assert_eq!(resolved[0].addresses, Ok(vec!["fd00::1".parse().unwrap()]));
        assert!(resolver.dns.is_none());
    }
}
