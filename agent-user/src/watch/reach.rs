//! Reached beats routed: where the API's addresses would be reached from different sources, bare TCP connects show which
//! of them Ironic answers. Not a byte is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use callback_url::ApiUrl;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::advertise::Decision;
use crate::params::Mode;

use super::Published;

/// An address of the API that is silent for so long did not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between the beginnings of two rounds.
const PACE: Duration = Duration::from_secs(30);
/// The decision follows an answer within a few milliseconds; it is waited for no longer than this.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// What Ironic was reached from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The source of the connection.
    pub source: IpAddr,
    /// The API URL that answered.
    pub url: ApiUrl,
}

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub struct ReachState {
    /// Stays until the address is lost.
    pub reached: Option<Reached>,
    /// Ironic has answered a request on it, which says more than an open connection.
    pub by_request: bool,
    /// Counts rounds and answers.
    pub round: u64,
}

/// The home of what Ironic was reached from; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reach {
    state: watch::Sender<ReachState>,
    connects: bool,
}

impl Reach {
    /// Connects are made in the modes that act on the decision; observe speaks to nobody.
    pub fn new(mode: Mode) -> Self {
        Self { state: watch::Sender::default(), connects: mode != Mode::Observe }
    }

    /// Where it appears: the decision depends on it.
    pub fn subscribe(&self) -> watch::Receiver<ReachState> {
        self.state.subscribe()
    }

    /// Whether a decision waits for the first round of connects.
    pub(super) fn is_awaited(&self, decision: &Decision) -> bool {
        self.connects && self.state.borrow().round == 0 && decision.is_open()
    }

    /// Ironic has answered a request of our own on this connection. The first one counts until its address is lost.
    pub fn answered(&self, decision: &Decision, url: &ApiUrl, remote: IpAddr, local: IpAddr) {
        let Some(source) = advertisable(decision, url, remote, local) else { return };
        self.state.send_if_modified(|state| {
            let is_news = !state.by_request || state.reached.is_none();
            if is_news {
                state.round += 1;
                (state.reached, state.by_request) = (Some(Reached { source, url: url.clone() }), true);
            }
            is_news
        });
    }

    /// Waits until the decision has taken the last answer into account.
    pub async fn settled(&self, decisions: &mut watch::Receiver<Arc<Published>>) {
        let round = self.state.borrow().round;
        let settled = decisions.wait_for(|published| published.reach_round >= round);
        let _ = tokio::time::timeout(SETTLES_WITHIN, settled).await;
    }

    /// Connects as long as the daemon runs: once when the sources differ, then at most every 30 s until Ironic answers
    /// or an address is pinned or committed.
    pub async fn run(self, mut decisions: watch::Receiver<Arc<Published>>) {
        if !self.connects {
            return;
        }
        let mut next = Instant::now();
        loop {
            let published = Arc::clone(&decisions.borrow_and_update());
            self.forget_a_lost_address(&published);
            let open = self.state.borrow().reached.is_none() && published.decision.is_open();
            if open && Instant::now() >= next {
                next = Instant::now() + PACE;
                let reached = connect(&published.decision).await;
                if let Some(Reached { source, url }) = &reached {
                    tracing::info!(%source, %url, "Ironic answers a connection from this address");
                }
                self.send(reached);
                continue;
            }
            tokio::select! {
                changed = decisions.changed() => if changed.is_err() { return },
                () = sleep_until(next), if open => {}
            }
        }
    }

    fn send(&self, reached: Option<Reached>) {
        self.state.send_modify(|state| {
            state.round += 1;
            state.reached = state.reached.take().or(reached);
        });
    }

    fn forget_a_lost_address(&self, published: &Published) {
        let Some(local) = published.known_local() else { return };
        self.state.send_if_modified(|state| {
            let here = |ip| local.assigned.contains(ip) || local.tentative.contains(ip);
            let lost = state.reached.as_ref().is_some_and(|reached| !here(&reached.source));
            if lost {
                (state.reached, state.by_request) = (None, false);
            }
            lost
        });
    }
}

/// Connects to every address at once. The first in the operator's order, and then in the decision's, that answers within
/// the time.
async fn connect(decision: &Decision) -> Option<Reached> {
    let deadline = Instant::now() + PATIENCE;
    let mut attempts = Vec::new();
    for endpoint in decision.endpoints() {
        for address in endpoint.addresses {
            let remote = SocketAddr::new(address, endpoint.url.port);
            attempts.push((endpoint.url.clone(), address, Attempt(tokio::spawn(local_end(remote)))));
        }
    }
    for (url, address, mut attempt) in attempts {
        let local = timeout_at(deadline, &mut attempt.0).await.ok().and_then(Result::ok).flatten();
        if let Some(source) = local.and_then(|local| advertisable(decision, &url, address, local)) {
            return Some(Reached { source, url });
        }
    }
    None
}

/// A connect that ends with whoever waits for it.
struct Attempt(JoinHandle<Option<IpAddr>>);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Our end of a connection; none where it is refused: a reset is no answer of Ironic's.
async fn local_end(remote: SocketAddr) -> Option<IpAddr> {
    let stream = TcpStream::connect(remote).await.ok()?;
    stream.local_addr().ok().map(|local| local.ip().to_canonical())
}

/// What may be advertised of a connection from `local`: that address, or where it is only a last resort, the better one
/// that the decision has for the same address of the API.
fn advertisable(decision: &Decision, url: &ApiUrl, remote: IpAddr, local: IpAddr) -> Option<IpAddr> {
    let local = local.to_canonical();
    let target = decision.trace.iter().find(|target| target.url == *url);
    let towards: Vec<_> = target
        .iter()
        .flat_map(|target| &target.resolved)
        .filter(|one| one.ip == remote.to_canonical())
        .collect();
    if !towards.iter().any(|one| one.source == Some(local)) {
        return Some(local); // The kernel chose otherwise by now: the decision judges it.
    }
    let accepted = |one: &&&crate::advertise::CandidateTrace| one.accepted;
    let exact = towards.iter().filter(accepted).find(|one| one.source == Some(local));
    exact.or_else(|| towards.iter().find(accepted)).and_then(|one| one.source)
}

#[cfg(test)]
mod tests {
    use callback_url::Host;

    use super::*;
    use crate::advertise::example::{candidate, decision};

    #[test]
    fn a_decision_waits_for_the_first_round_only() {
        let url = ApiUrl::parse("http://127.0.0.1:6385").unwrap();
        let candidates =
            vec![candidate("10.0.0.1", "10.0.0.2", true), candidate("10.1.0.1", "10.1.0.2", true)];
        let differing = decision(&url, candidates);
        let reach = Reach::new(Mode::Configure);
        assert!(reach.is_awaited(&differing));
        reach.send(None);
        assert!(!reach.is_awaited(&differing), "the first round is over");
        assert!(!Reach::new(Mode::Observe).is_awaited(&differing));
    }

    /// One that refuses, and one that answers on the second loopback address.
    #[tokio::test]
    async fn a_reset_is_no_answer_and_the_order_counts() {
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = ApiUrl::parse(&format!("http://ironic.test:{port}")).unwrap();
        let found = decision(
            &url,
            vec![candidate("127.0.0.1", "10.0.0.2", true), candidate("127.0.0.2", "127.0.0.1", true)],
        );
        assert!(matches!(url.host, Host::Name(_)));
        let source: IpAddr = "127.0.0.1".parse().unwrap();
        // The kernel's source towards 127.0.0.2 is 127.0.0.2 itself, which the decision does not know: it is judged there.
        let reached = connect(&found).await.unwrap();
        assert!(reached.source == source || reached.source == listener.local_addr().unwrap().ip());
        drop(listener);
        assert_eq!(connect(&found).await, None);
    }

    #[test]
    fn the_first_answer_to_a_request_stays_until_its_address_is_lost() {
        let url = ApiUrl::parse("http://10.0.0.1:6385").unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let found = decision(&url, Vec::new());
        let reach = Reach::new(Mode::Agent);
        let source = || reach.state.borrow().reached.as_ref().map(|reached| reached.source);
        reach.send(Some(Reached { source: ip("10.1.0.2"), url: url.clone() }));
        for answer in ["10.0.0.2", "10.2.0.2"] {
            reach.answered(&found, &url, ip("10.0.0.1"), ip(answer));
            assert_eq!(source(), Some(ip("10.0.0.2")));
        }
        let mut published = Published::new(found.clone(), 1);
        reach.forget_a_lost_address(&published);
        assert_eq!(source(), Some(ip("10.0.0.2")), "which addresses are here is not known");
        published.local =
            Arc::new(callback_url::Local { assigned: vec![ip("10.2.0.2")], ..Default::default() });
        reach.forget_a_lost_address(&published);
        assert_eq!(source(), None);
        reach.answered(&found, &url, ip("10.0.0.1"), ip("10.2.0.2"));
        assert_eq!(source(), Some(ip("10.2.0.2")));
    }

    #[test]
    fn a_last_resort_gives_way_to_the_lasting_address_beside_it() {
        let url = ApiUrl::parse("http://[fd00::1]:6385").unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let temporary = candidate("fd00::1", "fd00::77", false);
        let found = decision(&url, vec![temporary.clone(), candidate("fd00::1", "fd00::2", true)]);
        assert_eq!(advertisable(&found, &url, ip("fd00::1"), ip("fd00::77")), Some(ip("fd00::2")));
        assert_eq!(advertisable(&found, &url, ip("fd00::1"), ip("fd00::2")), Some(ip("fd00::2")));
        assert_eq!(advertisable(&found, &url, ip("fd00::1"), ip("fd00::5")), Some(ip("fd00::5")));
        let alone = decision(&url, vec![temporary]);
        assert_eq!(advertisable(&alone, &url, ip("fd00::1"), ip("fd00::77")), None);
    }
}
