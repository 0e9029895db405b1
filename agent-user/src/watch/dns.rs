//! API names become addresses, in Rust: a static binary cannot load the C library's resolver modules. An address
//! literal never asks DNS.
//!
//! The two families are asked apart: a name server that fails for one of them takes nothing from the other.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use callback_url::{ApiUrl, Host};
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tokio::time::timeout;

use super::ResolvedTarget;

/// For one family of a name, all servers and tries included.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long the second family is waited for, once the first has an address: the C library gives a server 5 s.
const SECOND_FAMILY: Duration = Duration::from_secs(3);
/// Of one question to one server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a family of a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// A server says that there are none.
    Denied(String),
    /// Nobody could say.
    Unknown(String),
}

pub type Family = Result<Vec<IpAddr>, Lack>;

/// The answers of one round for one name: IPv4, IPv6.
pub type Answers = [Family; 2];

/// DNS as `/etc/resolv.conf` and `/etc/hosts` say, and what it answered last.
#[derive(Default)]
pub struct Resolver {
    /// Made on first use, so that literals need no resolv.conf.
    dns: Option<Dns>,
    known: HashMap<String, [Vec<IpAddr>; 2]>,
}

/// A resolver, and the list of search domains.
#[derive(Clone)]
struct Dns {
    resolver: TokioResolver,
    search: Vec<Name>,
    ndots: usize,
}

/// One round of answers.
pub struct Resolved {
    /// For each URL.
    pub targets: Vec<ResolvedTarget>,
    /// A name has no address at all.
    pub failed: bool,
    /// A family could not be asked about.
    pub half_failed: bool,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Reads resolv.conf anew: it has changed. The addresses that are known stay.
    pub fn reset(&mut self) {
        self.dns = None;
    }

    /// The addresses of each URL's host.
    pub async fn resolve(&mut self, urls: &[ApiUrl]) -> Resolved {
        let mut round =
            Resolved { targets: Vec::with_capacity(urls.len()), failed: false, half_failed: false };
        for url in urls {
            let addresses = match &url.host {
                Host::Ip(ip) => Ok(vec![*ip]),
                Host::Name(name) => {
                    let answers = self.ask(name).await;
                    let lacks = answers.iter().any(|family| matches!(family, Err(Lack::Unknown(_))));
                    round.half_failed |= lacks;
                    if lacks {
                        self.dns = None; // The next try looks at resolv.conf again.
                    }
                    settle(name, answers, self.known.entry(name.clone()).or_default())
                }
            };
            round.failed |= addresses.is_err();
            round.targets.push(ResolvedTarget { url: url.clone(), addresses });
        }
        round
    }

    async fn ask(&mut self, name: &str) -> Answers {
        if let Some(found) = in_hosts_file(name) {
            return found;
        }
        let dns = match &self.dns {
            Some(dns) => dns.clone(),
            None => match open() {
                Ok(dns) => self.dns.insert(dns).clone(),
                Err(unusable) => return [Err(Lack::Unknown(unusable.clone())), Err(Lack::Unknown(unusable))],
            },
        };
        let inet = std::pin::pin!(dns.family(name, RecordType::A));
        let inet6 = std::pin::pin!(dns.family(name, RecordType::AAAA));
        both(inet, inet6).await
    }
}

/// Waits for both; for the second only a while where the first has addresses.
async fn both<F, G>(mut inet: std::pin::Pin<&mut F>, mut inet6: std::pin::Pin<&mut G>) -> Answers
where
    F: Future<Output = Family>,
    G: Future<Output = Family>,
{
    let patience = |first: &Family| if first.is_ok() { SECOND_FAMILY } else { PATIENCE };
    let late = || Err(Lack::Unknown("no answer in time".to_owned()));
    tokio::select! {
        first = &mut inet => {
            let second = timeout(patience(&first), inet6).await.unwrap_or_else(|_| late());
            [first, second]
        }
        first = &mut inet6 => {
            let second = timeout(patience(&first), inet).await.unwrap_or_else(|_| late());
            [second, first]
        }
    }
}

impl Dns {
    /// The addresses of one family: of the first name of the search list that has some.
    async fn family(&self, name: &str, family: RecordType) -> Family {
        let asked = async {
            let mut lack = Lack::Denied("the name server knows no such name".to_owned());
            for name in self.names(name).map_err(Lack::Unknown)? {
                match self.resolver.lookup(name, family).await {
                    Ok(answer) => {
                        let ips = answer.answers().iter().filter_map(|record| record.data.ip_addr());
                        let mut ips: Vec<_> = ips.collect();
                        ips.sort_unstable();
                        if !ips.is_empty() {
                            return Ok(ips);
                        }
                    }
                    Err(error) if error.is_nx_domain() => {}
                    Err(error) if error.is_no_records_found() => {
                        if matches!(lack, Lack::Denied(_)) {
                            let words = "the name server knows no address of that name";
                            lack = Lack::Denied(words.to_owned());
                        }
                    }
                    // Whatever the other names of the list say, this one may have an address.
                    Err(error) => lack = Lack::Unknown(error.to_string()),
                }
            }
            Err(lack)
        };
        let late = || Err(Lack::Unknown(format!("no answer within {} s", PATIENCE.as_secs())));
        timeout(PATIENCE, asked).await.unwrap_or_else(|_elapsed| late())
    }

    /// The names to ask for, in the order of resolv.conf(5).
    fn names(&self, name: &str) -> Result<Vec<Name>, String> {
        let mut plain = Name::from_str_relaxed(name).map_err(|error| error.to_string())?;
        let is_whole = name.ends_with('.');
        plain.set_fqdn(true);
        let mut names: Vec<_> = match is_whole {
            true => Vec::new(),
            false => self.search.iter().filter_map(|domain| plain_in(name, domain)).collect(),
        };
        let first = is_whole || name.matches('.').count() >= self.ndots;
        names.insert(if first { 0 } else { names.len() }, plain);
        Ok(names)
    }
}

fn plain_in(name: &str, domain: &Name) -> Option<Name> {
    let mut whole = Name::from_str_relaxed(name).ok()?.append_domain(domain).ok()?;
    whole.set_fqdn(true);
    Some(whole)
}

/// What a round means for a name, and what is known of it from now on. A family whose question fails keeps its
/// addresses; one that is denied loses them. Where nothing would be left everything stays: a name server that is
/// away or new for a moment does not take the address from the node.
pub fn settle(name: &str, answers: Answers, known: &mut [Vec<IpAddr>; 2]) -> Result<Vec<IpAddr>, String> {
    let mut fresh = known.clone();
    for (family, answer) in fresh.iter_mut().zip(&answers) {
        match answer {
            Ok(addresses) => family.clone_from(addresses),
            Err(Lack::Denied(_)) => family.clear(),
            Err(Lack::Unknown(error)) if !family.is_empty() => {
                tracing::warn!(error, name, "keeping the addresses that the API had before");
            }
            Err(Lack::Unknown(_)) => {}
        }
    }
    if fresh.iter().all(Vec::is_empty) && known.iter().any(|family| !family.is_empty()) {
        tracing::warn!(
            name,
            "the name has no address any more: keeping the addresses that the API had before"
        );
        fresh.clone_from(known);
    }
    known.clone_from(&fresh);
    let all = fresh.concat();
    if !all.is_empty() {
        return Ok(all);
    }
    let [inet, inet6] = answers.map(Result::err);
    let unknown = [&inet, &inet6].into_iter().flatten().find(|lack| matches!(lack, Lack::Unknown(_)));
    match unknown.or(inet.as_ref()) {
        Some(Lack::Unknown(error) | Lack::Denied(error)) => Err(format!("{name} does not resolve: {error}")),
        None => Err(format!("{name} does not resolve")),
    }
}

/// Where /etc/hosts has the name, DNS is not asked, not for the other family either: as the C library does
/// (nsswitch.conf(5), `files dns`).
fn in_hosts_file(name: &str) -> Option<Answers> {
    let hosts = Hosts::from_system().ok()?;
    let name = Name::from_str_relaxed(name).ok()?;
    let family = |family| -> Family {
        let found = hosts.lookup_static_host(&Query::query(name.clone(), family));
        let ips = found.iter().flat_map(|found| found.answers()).filter_map(|record| record.data.ip_addr());
        let mut ips: Vec<_> = ips.collect();
        ips.sort_unstable();
        if ips.is_empty() { Err(Lack::Denied("/etc/hosts has none".to_owned())) } else { Ok(ips) }
    };
    let found = [family(RecordType::A), family(RecordType::AAAA)];
    found.iter().any(Result::is_ok).then_some(found)
}

fn open() -> Result<Dns, String> {
    let unusable = |error: &dyn std::fmt::Display| format!("/etc/resolv.conf cannot be used: {error}");
    let text = exporter::read_file("/etc/resolv.conf".as_ref()).map_err(|error| unusable(&error))?;
    let (config, options) =
        system_conf::parse_resolv_conf(without_zones(&text)).map_err(|error| unusable(&error))?;
    let search = config.domain().into_iter().chain(config.search()).cloned().collect();
    let ndots = options.ndots;
    // The search list is walked here, so that a failure for one of its names is not taken for a denial.
    let plain = ResolverConfig::from_parts(None, Vec::new(), config.name_servers().to_vec());
    let mut builder = TokioResolver::builder_with_config(plain, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.options_mut().timeout = SERVER_TIMEOUT;
    let resolver = builder.build().map_err(|error| unusable(&error))?;
    Ok(Dns { resolver, search, ndots })
}

/// Without the zones of link-local name servers, which NetworkManager writes (`nameserver fe80::1%bond0.100`): not every
/// device name is taken there, and the zone is not used anyway. The route to fe80::/64 says which way.
fn without_zones(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(|line| match line.split_once('%') {
        Some((server, _zone)) if server.trim_start().starts_with("nameserver") => server,
        _ => line,
    });
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(all: &[&str]) -> Family {
        Ok(all.iter().map(|ip| ip.parse().unwrap()).collect())
    }

    fn unknown() -> Family {
        Err(Lack::Unknown("SERVFAIL".to_owned()))
    }

    fn denied() -> Family {
        Err(Lack::Denied("no such name".to_owned()))
    }

    /// What is known after these rounds.
    fn after(rounds: Vec<Answers>) -> Result<Vec<IpAddr>, String> {
        let mut known = Default::default();
        rounds.into_iter().map(|answers| settle("ironic.test", answers, &mut known)).last().unwrap()
    }

    #[test]
    fn one_family_s_failure_takes_nothing_from_the_other() {
        let (four, six) = ("10.0.0.1", "fd00::1");
        for (rounds, left) in [
            (vec![[ips(&[four]), unknown()]], vec![four]),
            (vec![[unknown(), ips(&[six])]], vec![six]),
            (vec![[ips(&[four]), ips(&[six])], [unknown(), ips(&[six])]], vec![four, six]),
            (vec![[ips(&[four]), ips(&[six])], [ips(&["10.0.0.2"]), unknown()]], vec!["10.0.0.2", six]),
            (vec![[ips(&[four]), ips(&[six])], [denied(), ips(&[six])]], vec![six]),
            (vec![[ips(&[four]), ips(&[six])], [ips(&[four]), denied()]], vec![four]),
            (vec![[ips(&[four]), ips(&[six])], [denied(), unknown()]], vec![six]),
            // Nothing would be left: everything stays.
            (vec![[ips(&[four]), denied()], [denied(), denied()]], vec![four]),
            (vec![[ips(&[four]), denied()], [unknown(), unknown()]], vec![four]),
        ] {
            assert_eq!(after(rounds.clone()), ips(&left).map_err(|_| String::new()), "{rounds:?}");
        }
        for none in [[denied(), unknown()], [unknown(), denied()]] {
            assert!(after(vec![none]).unwrap_err().contains("SERVFAIL"));
        }
        assert!(after(vec![[denied(), denied()]]).unwrap_err().contains("no such name"));
    }

    #[test]
    fn a_zone_breaks_no_line() {
        let text = b"search lab.example\nnameserver fe80::1%bond0.100\n nameserver 192.0.2.1\n# 100% sure\n";
        let (config, _) = system_conf::parse_resolv_conf(without_zones(text)).unwrap();
        let servers: Vec<_> = config.name_servers().iter().map(|server| server.ip.to_string()).collect();
        assert_eq!(servers, ["fe80::1", "192.0.2.1"]);
    }

    #[tokio::test]
    async fn a_literal_needs_no_dns() {
        let mut resolver = Resolver::default();
        let urls = [ApiUrl::parse("http://[fd00::1]:6385").unwrap()];
        let resolved = resolver.resolve(&urls).await;
        assert_eq!(resolved.targets[0].addresses, Ok(vec!["fd00::1".parse().unwrap()]));
        assert!(resolver.dns.is_none() && !resolved.failed && !resolved.half_failed);
    }
}
