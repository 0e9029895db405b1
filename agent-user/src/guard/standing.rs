//! At the start: connections to Ironic that were made while no guard worked. IPA keeps one alive with every request, and
//! would pass the guard by on it. Where nothing is under way on it, it is ended: IPA's HTTP client then makes a new one.

use std::net::SocketAddr;
use std::time::Duration;

use callback_url::{ApiUrl, Host};
use fib::{RtnlError, Traffic, end_connection, standing};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::kept::{Kept, Repaired};

use super::redirect::Redirect;

/// A connection on which nothing has passed for this time is idle.
const QUIET: Duration = Duration::from_secs(1);
/// So long the start waits for a moment in which a connection is idle.
const LIMIT: Duration = Duration::from_secs(2);
/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Ends the idle ones, where this node's heartbeats were repaired. New connects are redirected from now on; they wait until
/// the guard serves. It needs CAP_NET_ADMIN, and no thread may be left with it: the questions have one of their own.
pub async fn end_idle(redirect: &Redirect, kept: &Kept, api_urls: &[ApiUrl]) {
    let endpoints = kept.read().repaired.map(|repaired| earlier(&repaired, api_urls)).unwrap_or_default();
    if endpoints.is_empty() {
        return;
    }
    redirect.set_endpoints(&endpoints);
    let started = Instant::now();
    loop {
        redirect.stamp();
        let endpoints = endpoints.clone();
        let busy = match on_own_thread(move || end_those(&endpoints)).await {
            Some(Ok(busy)) => busy,
            Some(Err(error)) => {
                tracing::warn!(%error, "could not end standing connections to Ironic: IPA may bypass the guard on one");
                return;
            }
            None => return,
        };
        if busy == 0 {
            return;
        }
        if started.elapsed() >= LIMIT {
            tracing::info!(busy, "connections to Ironic that are in use bypass the guard until they end");
            return;
        }
        sleep(LOOK).await;
    }
}

/// Ends those that are idle; gives how many are not.
fn end_those(endpoints: &[SocketAddr]) -> Result<usize, RtnlError> {
    let mut busy = 0;
    for connection in standing(endpoints)? {
        if !is_idle(&connection.traffic) {
            busy += 1;
        } else if end_connection(&connection)? {
            let (local, peer) = (connection.local, connection.peer);
            tracing::info!(%local, %peer, "ended an idle connection that bypassed the guard");
        }
    }
    Ok(busy)
}

/// Whether nothing is under way: all is read and acknowledged, and what came last was an answer. Of one tick of the kernel
/// both may be: a new connection's first request is sent in the tick in which it is made. A download that pauses for a
/// second between two pieces looks like an idle connection.
fn is_idle(traffic: &Traffic) -> bool {
    traffic.queued == 0 && traffic.received < traffic.sent && traffic.received >= QUIET
}

/// What an earlier run has redirected and still belongs to these URLs: names are not resolved yet at the start.
pub(super) fn earlier(repaired: &Repaired, api_urls: &[ApiUrl]) -> Vec<SocketAddr> {
    let belongs = |endpoint: &SocketAddr, url: &ApiUrl| {
        let same_host = match &url.host {
            Host::Ip(ip) => ip.to_canonical() == endpoint.ip(),
            Host::Name(_) => true,
        };
        same_host && url.port == endpoint.port()
    };
    let endpoints = repaired.endpoints.iter().copied();
    endpoints.filter(|endpoint| api_urls.iter().any(|url| belongs(endpoint, url))).collect()
}

/// Asks the kernel on a thread that ends with the question; `None` where there is no thread.
async fn on_own_thread<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    let asked = std::thread::Builder::new().spawn(move || drop(answer.send(question())));
    if let Err(error) = asked {
        tracing::warn!(%error, "could not list standing connections to Ironic");
        return None;
    }
    answered.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_answered_and_is_quiet_is_idle() {
        let traffic = |queued, sent, received| Traffic {
            queued,
            sent: Duration::from_millis(sent),
            received: Duration::from_millis(received),
        };
        for (traffic, expected, why) in [
            (traffic(0, 5004, 5000), true, "answered 5 s ago"),
            (traffic(0, 1004, 1000), true, "answered a second ago"),
            (traffic(0, 5000, 5000), false, "in one tick: the answer may be outstanding"),
            (traffic(0, 9000, 999), false, "the answer is still arriving"),
            (traffic(0, 5000, 9000), false, "the answer is outstanding"),
            (traffic(0, 504, 500), false, "the next request may follow"),
            (traffic(1, 5004, 5000), false, "something is not read or not acknowledged"),
        ] {
            assert_eq!(is_idle(&traffic), expected, "{why}");
        }
    }

    #[test]
    fn what_no_api_url_means_any_more_is_left_alone() {
        let endpoint = |text: &str| text.parse::<SocketAddr>().unwrap();
        let repaired = Repaired {
            node_uuid: String::new(),
            url: String::new(),
            instead_of: String::new(),
            endpoints: vec![endpoint("10.77.0.1:6385"), endpoint("[fd77::1]:6385"), endpoint("10.77.0.1:80")],
        };
        for (url, expected) in [
            ("http://10.77.0.1:6385", vec!["10.77.0.1:6385"]),
            ("http://[::ffff:10.77.0.1]:6385", vec!["10.77.0.1:6385"]),
            ("http://ironic:6385", vec!["10.77.0.1:6385", "[fd77::1]:6385"]),
            ("http://10.77.0.2:6385", vec![]),
            ("http://ironic:7000", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(endpoint).collect();
            assert_eq!(earlier(&repaired, &[ApiUrl::parse(url).unwrap()]), expected, "{url}");
        }
    }
}
