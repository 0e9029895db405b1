//! From a name to its addresses, along the search list of resolv.conf as glibc goes (`resolv/res_query.c`). Both families are
//! asked for one name of the list at a time, apart from each other: what they say together ends the search.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use hickory_proto::rr::RecordType;
use tokio::time::timeout;

use super::message::{Question, Said};
use super::resolv_conf::Config;
use super::wire::{self, Trouble};
use super::{Answers, Family, Lack};

/// One name of the list gets at least so long, all servers and tries included; and the time of one round over the servers.
/// The daemon asks again anyway.
const PATIENCE: Duration = Duration::from_secs(10);

type Reply = Result<Said, Trouble>;

/// The names to ask for, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    first: Option<String>,
    search: Vec<String>,
    last: Option<String>,
}

impl Plan {
    fn of(name: &str, config: &Config) -> Self {
        let as_is = Some(name.to_owned());
        if name.ends_with('.') {
            return Self { first: as_is, ..Self::default() };
        }
        let dots = name.matches('.').count();
        let domains: Vec<_> = config.search.iter().map(|domain| domain.trim_matches('.')).collect();
        let within =
            |domain: &&str| if domain.is_empty() { name.to_owned() } else { format!("{name}.{domain}") };
        let search = domains.iter().map(within).collect();
        if dots >= config.ndots {
            return Self { first: as_is, search, last: None };
        }
        let has_root = domains.iter().any(|domain| domain.is_empty());
        let is_asked = !has_root && (dots > 0 || domains.is_empty() || !config.no_tld);
        Self { first: None, search, last: as_is.filter(|_| is_asked) }
    }
}

/// Asks; with how long the answer is good.
pub async fn walk(name: &str, config: &Config) -> (Answers, Duration) {
    let Plan { first, search, last } = Plan::of(name, config);
    let mut troubles = [None, None];
    let mut has_name = false;
    let names = first.iter().map(|name| (name, false));
    let names =
        names.chain(search.iter().map(|name| (name, true))).chain(last.iter().map(|name| (name, false)));
    let mut is_over = false;
    for (name, searched) in names {
        if is_over && searched {
            continue;
        }
        let replies = ask_both(name, config).await;
        if replies.iter().any(ends) {
            let good = replies.iter().filter_map(good).min().unwrap_or_default();
            return (replies.map(family), good);
        }
        let denied = replies.iter().any(|reply| matches!(reply, Ok(Said::NoName | Said::NoAddress { .. })));
        let failed = replies.iter().any(|reply| matches!(reply, Err(trouble) if trouble.servfail));
        is_over |= searched && !denied && !failed;
        has_name |= replies.iter().any(|reply| matches!(reply, Ok(Said::NoAddress { .. })));
        for (trouble, reply) in troubles.iter_mut().zip(replies) {
            *trouble = trouble.take().or_else(|| lack(reply));
        }
    }
    let denied = if has_name { NO_ADDRESS } else { NO_NAME };
    (troubles.map(|trouble| Err(trouble.unwrap_or_else(|| Lack::Denied(denied.to_owned())))), Duration::ZERO)
}

const NO_NAME: &str = "the name server knows no such name";
const NO_ADDRESS: &str = "the name server knows no address of that name";

/// With addresses, or other records of the name, the search is over.
fn ends(reply: &Reply) -> bool {
    matches!(reply, Ok(Said::Addresses(..) | Said::NoAddress { other_records: true }))
}

fn good(reply: &Reply) -> Option<Duration> {
    match reply {
        Ok(Said::Addresses(_, good)) => Some(*good),
        _ => None,
    }
}

fn family(reply: Reply) -> Family {
    match reply {
        Ok(Said::Addresses(ips, _)) => Ok(ips),
        reply => Err(lack(reply).unwrap_or_else(|| Lack::Denied(NO_ADDRESS.to_owned()))),
    }
}

/// Why nobody knows; nothing where a server denies.
fn lack(reply: Reply) -> Option<Lack> {
    match reply {
        Ok(Said::Code(code)) => Some(Lack::Unknown(format!("the name server says RCODE {code}"))),
        Ok(_) => None,
        Err(trouble) => Some(Lack::Unknown(trouble.text)),
    }
}

/// IPv4 and IPv6 at the same time; for the second only a while where the first has addresses.
async fn ask_both(name: &str, config: &Config) -> [Reply; 2] {
    let ask = async |family| match Question::new(name, family, config.edns) {
        Some(_) if family == RecordType::AAAA && config.no_inet6 => {
            Ok(Said::NoAddress { other_records: false })
        }
        Some(question) => wire::ask(config, &question).await,
        None => Ok(Said::NoName), // Too long.
    };
    both(pin!(ask(RecordType::A)), pin!(ask(RecordType::AAAA)), config).await
}

async fn both<F, G>(mut inet: Pin<&mut F>, mut inet6: Pin<&mut G>, config: &Config) -> [Reply; 2]
where
    F: Future<Output = Reply>,
    G: Future<Output = Reply>,
{
    let round = (0..config.servers.len()).map(|place| config.patience(place)).sum();
    let whole = PATIENCE.max(round);
    let patience =
        |first: &Reply| if matches!(first, Ok(Said::Addresses(..))) { config.timeout } else { whole };
    let late = || Err(Trouble { text: "no name server answers in time".to_owned(), servfail: false });
    let asked = async {
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
    };
    timeout(whole + config.timeout, asked).await.unwrap_or_else(|_| [late(), late()])
}

/// The addresses of `/etc/hosts`: no family is asked for elsewhere then.
pub fn from_file([inet, inet6]: [Vec<IpAddr>; 2]) -> Answers {
    let family = |mut ips: Vec<IpAddr>| -> Family {
        ips.sort_unstable();
        ips.dedup();
        if ips.is_empty() { Err(Lack::Denied("/etc/hosts has none".to_owned())) } else { Ok(ips) }
    };
    [family(inet), family(inet6)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_in_the_order_of_glibc() {
        for (name, text, expected) in [
            ("a", "", vec!["a"]),
            ("a", "search x y", vec!["a.x", "a.y", "a"]),
            ("a.b", "search x y", vec!["a.b", "a.b.x", "a.b.y"]),
            ("a.b", "search x\noptions ndots:2", vec!["a.b.x", "a.b"]),
            ("a", "search x\noptions ndots:0", vec!["a", "a.x"]),
            ("a.", "search x", vec!["a."]),
            ("a", "search x .", vec!["a.x", "a"]),
            ("a", "search .x. y.", vec!["a.x", "a.y", "a"]),
            ("a", "search x\noptions no-tld-query", vec!["a.x"]),
            ("a", "options no-tld-query", vec!["a"]),
        ] {
            let plan = Plan::of(name, &Config::read(text.as_bytes(), "node"));
            let names: Vec<_> = plan.first.into_iter().chain(plan.search).chain(plan.last).collect();
            assert_eq!(names, expected, "{name} {text:?}");
        }
    }
}
