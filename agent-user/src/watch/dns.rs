//! The addresses of the API URLs' hosts, and what stays known of them while a name server fails. An address literal never
//! asks DNS.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use ::names::{Answers, HOSTS, Lack, RESOLV_CONF, Sources};
use callback_url::{ApiUrl, Host};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ResolvedTarget;

/// The longest time that an answer is good; glibc asks each time.
const GOOD: Duration = Duration::from_secs(300);

/// What is known of each name.
#[derive(Debug, Default)]
pub struct Resolver {
    known: HashMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: [Vec<IpAddr>; 2],
    /// Until then DNS is not asked again: its time to live.
    good_until: Option<Instant>,
}

/// One round of answers.
#[derive(Debug)]
pub struct Resolved {
    /// For each URL.
    pub targets: Vec<ResolvedTarget>,
    /// A name has no address at all.
    pub failed: bool,
    /// A family could not be asked about.
    pub half_failed: bool,
}

impl Resolver {
    /// resolv.conf has changed: DNS is asked anew. The addresses that are known stay.
    pub fn reset(&mut self) {
        self.known.values_mut().for_each(|known| known.good_until = None);
    }

    /// The addresses of each URL's host. All names are asked for at the same time.
    pub async fn resolve(&mut self, urls: &[ApiUrl]) -> Resolved {
        let names = urls.iter().filter_map(|url| match &url.host {
            Host::Name(name) => Some(name.clone()),
            Host::Ip(_) => None,
        });
        let (found, half_failed) = self.ask_all(names.collect()).await;
        let targets = urls.iter().map(|url| {
            let addresses = match &url.host {
                Host::Ip(ip) => Ok(vec![*ip]),
                Host::Name(name) => {
                    found.get(name).cloned().unwrap_or_else(|| Err(format!("{name} does not resolve")))
                }
            };
            ResolvedTarget { url: url.clone(), addresses }
        });
        let targets: Vec<_> = targets.collect();
        Resolved { failed: targets.iter().any(|target| target.addresses.is_err()), targets, half_failed }
    }

    /// The addresses of each name, and whether a family could not be asked for.
    async fn ask_all(
        &mut self,
        names: HashSet<String>,
    ) -> (HashMap<String, Result<Vec<IpAddr>, String>>, bool) {
        let mut found = HashMap::new();
        if names.is_empty() {
            return (found, false);
        }
        let sources = Sources::new(&read(HOSTS), &read(RESOLV_CONF));
        let mut half_failed = false;
        let mut asked = JoinSet::new();
        for name in names {
            let known = self.known.entry(name.clone()).or_default();
            if let Some(answers) = sources.in_hosts_file(&name) {
                known.good_until = None;
                found.insert(name.clone(), settle(&name, answers, &mut known.addresses));
            } else if known.good_until.is_some_and(|until| Instant::now() < until) {
                found.insert(name, Ok(known.addresses.concat()));
            } else {
                let sources = sources.clone();
                asked.spawn(async move {
                    let (answers, good) = sources.ask_dns(&name).await;
                    (name, answers, good)
                });
            }
        }
        while let Some(done) = asked.join_next().await {
            let Ok((name, answers, good)) = done else { continue };
            let lacks = answers.iter().any(|family| matches!(family, Err(Lack::Unknown(_))));
            half_failed |= lacks;
            let known = self.known.entry(name.clone()).or_default();
            known.good_until = (!lacks).then(|| Instant::now() + good.min(GOOD));
            found.insert(name.clone(), settle(&name, answers, &mut known.addresses));
        }
        (found, half_failed)
    }
}

/// A file that cannot be read counts as empty, as for the C library.
fn read(path: &str) -> Vec<u8> {
    exporter::read_file(path.as_ref())
        .inspect_err(|error| tracing::debug!(%error, path, "the file counts as empty"))
        .unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use ::names::Family;

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

    #[tokio::test]
    async fn a_literal_needs_no_dns() {
        let mut resolver = Resolver::default();
        let urls = [ApiUrl::parse("http://[fd00::1]:6385").unwrap()];
        let resolved = resolver.resolve(&urls).await;
        assert_eq!(resolved.targets[0].addresses, Ok(vec!["fd00::1".parse().unwrap()]));
        assert!(!resolved.failed && !resolved.half_failed && resolver.known.is_empty());
    }
}
