//! The relay, for provisioning networks that Prometheus cannot reach: `GET /relay?node=UUID` gives the `/metrics` of that
//! node's sidecar.
//!
//! [`target`] (pure) says whom it may ask, `format` (pure) what is passed on, [`access`] how sidecars are reached. Whatever
//! a node claims, the path is fixed, no redirect is followed, and nothing but a text of metrics comes back.

mod access;
mod format;
mod target;

pub use access::SidecarAccess;
pub use target::RelayResult;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_client::http::{Deadline, exchange_up_to};
use api_client::{HttpError, Peer, is_uuid};
use exporter::{Answer, plain, typed};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::cidr::Cidrs;
use crate::place::is_own;
use crate::ramdisks::Ramdisks;
use crate::report::OnResult;

use target::target;

/// So many nodes are asked at once.
pub const AT_ONCE: usize = 64;
/// The largest answer.
const BODY_BYTES: usize = 1 << 20;
/// How long a scrape may take that does not say so; Prometheus' own default.
const SCRAPE_TIME: Duration = Duration::from_secs(10);
/// No scrape takes longer.
const LONGEST: Duration = Duration::from_secs(60);
/// Of the scraper's time this is left for this program's answer to reach it.
const MARGIN: Duration = Duration::from_millis(250);
/// Set by Prometheus (scrape/scrape.go): how long it will wait.
const SCRAPE_TIMEOUT: &str = "X-Prometheus-Scrape-Timeout-Seconds";
const ACCEPTED: &str = "text/plain;version=0.0.4";
const AGENT: &str = concat!("ipa-fleet/", env!("CARGO_PKG_VERSION"));

/// Asks sidecars for others.
pub struct Relay {
    access: SidecarAccess,
    allow: Cidrs,
    ramdisks: watch::Receiver<Arc<Ramdisks>>,
    asked: Mutex<HashSet<String>>,
    on_result: OnResult<RelayResult>,
}

/// A node that is being asked.
struct Asked<'a>(&'a Relay, &'a str);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked().remove(self.1);
    }
}

impl Relay {
    /// It may go to these networks; to none it is off.
    pub fn new(
        access: SidecarAccess,
        allow: Cidrs,
        ramdisks: watch::Receiver<Arc<Ramdisks>>,
        on_result: OnResult<RelayResult>,
    ) -> Self {
        Self { access, allow, ramdisks, asked: Mutex::default(), on_result }
    }

    /// Answers `GET /relay?node=UUID`.
    pub async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let got = self.relay(request.uri().query().unwrap_or_default(), request.headers()).await;
        (self.on_result)(got.as_ref().err().copied().unwrap_or(RelayResult::Ok));
        match got {
            Ok((content_type, body)) => typed(StatusCode::OK, content_type, body),
            Err(result) => plain(status(result), format!("{}\n", result.words())),
        }
    }

    async fn relay(&self, query: &str, headers: &HeaderMap) -> Result<(&'static str, Bytes), RelayResult> {
        if self.allow.is_empty() {
            return Err(RelayResult::Off);
        }
        let uuid = node(query).ok_or(RelayResult::BadRequest)?;
        let address = target(&uuid, &self.ramdisks.borrow(), &self.allow, is_own)?;
        let _asked = self.begin(&uuid).ok_or(RelayResult::Busy)?;
        let time = scrape_time(headers);
        timeout(time, self.fetch(address, time)).await.unwrap_or(Err(RelayResult::Timeout))
    }

    /// `None` where this node, or too many others, are asked.
    fn begin<'a>(&'a self, uuid: &'a str) -> Option<Asked<'a>> {
        let mut asked = self.asked();
        let may_begin = asked.len() < AT_ONCE && asked.insert(uuid.to_owned());
        may_begin.then(|| Asked(self, uuid)) // Not made before: its end would take the other one's place.
    }

    fn asked(&self) -> MutexGuard<'_, HashSet<String>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, address: IpAddr, time: Duration) -> Result<(&'static str, Bytes), RelayResult> {
        let url = self.access.url(address);
        let deadline = Deadline { at: Instant::now() + time, after: time };
        let mut request = Request::get("/metrics")
            .header(HOST, url.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, ACCEPTED)
            .header(CONNECTION, "close");
        if let Some(login) = &self.access.basic_auth {
            request = request.header(AUTHORIZATION, login);
        }
        let request = request.body(Full::default()).map_err(|_| RelayResult::Unreachable)?;
        let failed = |error: HttpError| {
            tracing::debug!(%error, "a sidecar does not answer the relay");
            result(&error)
        };
        let (stream, connection) =
            self.access.tls.within(time).connect(&url, address).await.map_err(failed)?;
        let peer = Peer { url: connection.url, address: connection.remote };
        let reply = exchange_up_to(stream, request, &peer, deadline, BODY_BYTES).await.map_err(failed)?;
        match reply.status.as_u16() {
            200 => {}
            300..400 => return Err(RelayResult::Redirected),
            _ => return Err(RelayResult::Refused),
        }
        let content_type = format::passed_on(&reply.headers).ok_or(RelayResult::NotMetrics)?;
        let body = reply.body.map_err(failed)?;
        match std::str::from_utf8(&body) {
            Ok(_) => Ok((content_type, body)),
            Err(_) => Err(RelayResult::NotMetrics),
        }
    }
}

/// The node of `node=UUID`; other parameters are of no matter.
fn node(query: &str) -> Option<String> {
    let mut named = query.split('&').filter_map(|pair| pair.strip_prefix("node="));
    let uuid = named.next().filter(|uuid| is_uuid(uuid) && named.next().is_none())?;
    Some(uuid.to_ascii_lowercase())
}

/// As the scraper says, less what this program's answer needs to reach it.
fn scrape_time(headers: &HeaderMap) -> Duration {
    let said = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok()?.parse().ok());
    let said = said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = said.filter(|time| !time.is_zero()).unwrap_or(SCRAPE_TIME).min(LONGEST);
    time.saturating_sub(MARGIN).max(time / 2)
}

fn result(error: &HttpError) -> RelayResult {
    match error {
        HttpError::Timeout { .. } => RelayResult::Timeout,
        HttpError::TooLarge { .. } => RelayResult::TooLarge,
        HttpError::NotHttp { .. } => RelayResult::NotMetrics,
        _ => RelayResult::Unreachable,
    }
}

fn status(result: RelayResult) -> StatusCode {
    match result {
        RelayResult::Ok => StatusCode::OK,
        RelayResult::BadRequest => StatusCode::BAD_REQUEST,
        RelayResult::Off | RelayResult::ForbiddenAddress | RelayResult::NotAllowed => StatusCode::FORBIDDEN,
        RelayResult::UnknownNode | RelayResult::NoAddress => StatusCode::NOT_FOUND,
        RelayResult::Busy => StatusCode::SERVICE_UNAVAILABLE,
        RelayResult::Timeout => StatusCode::GATEWAY_TIMEOUT,
        RelayResult::Unreachable
        | RelayResult::Redirected
        | RelayResult::Refused
        | RelayResult::TooLarge
        | RelayResult::NotMetrics => StatusCode::BAD_GATEWAY,
    }
}

#[cfg(test)]
mod tests {
    use callback_url::Scheme;
    use exporter::ClientTls;

    use super::*;
    use crate::ramdisks::Ramdisk;

    const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";

    fn relay(allow: Cidrs, claimed: &str) -> Relay {
        let tls = ClientTls { wanted: false, cafile: None, certfile: None, keyfile: None, insecure: false };
        let access = SidecarAccess::new((Scheme::Http, 10099), tls, None).ok().unwrap();
        let node = Ramdisk { uuid: NODE.to_owned(), claimed: claimed.parse().ok(), suggested: None };
        let (sender, ramdisks) = watch::channel(Arc::new([node].into_iter().collect()));
        drop(sender);
        Relay::new(access, allow, ramdisks, Arc::new(|_| ()))
    }

    async fn ask(relay: &Relay, query: &str) -> u16 {
        let request = Request::get(format!("/relay{query}")).body(()).unwrap();
        relay.answer(&request).await.status().as_u16()
    }

    #[tokio::test]
    async fn off_by_default_and_never_to_this_machine() {
        let node = format!("?node={NODE}");
        assert_eq!(ask(&relay(Cidrs::default(), "192.0.2.1"), &node).await, 403);
        let all = Cidrs::parse("0.0.0.0/0,::/0").unwrap();
        assert_eq!(ask(&relay(all.clone(), "127.0.0.1"), &node).await, 403);
        assert_eq!(ask(&relay(all, "192.0.2.1"), "?node=00000000-0000-0000-0000-000000000000").await, 404);
    }

    #[tokio::test]
    async fn a_node_is_named_by_its_uuid_and_once() {
        let relay = relay(Cidrs::parse("198.51.100.0/24").unwrap(), "192.0.2.1");
        for query in ["", "?", "?node=", "?node=node-1", "?node=http://192.0.2.9/", "?uuid=x", "?node=%2e%2e"]
        {
            assert_eq!(ask(&relay, query).await, 400, "{query}");
        }
        assert_eq!(ask(&relay, &format!("?node={NODE}&node={NODE}")).await, 400);
        assert_eq!(ask(&relay, &format!("?x=1&node={}", NODE.to_uppercase())).await, 403);
    }

    #[test]
    fn one_at_a_time_for_a_node_and_64_in_all() {
        let relay = relay(Cidrs::default(), "192.0.2.1");
        let names: Vec<_> = (0..AT_ONCE).map(|name| name.to_string()).collect();
        let first = relay.begin("0");
        assert!(first.is_some() && relay.begin("0").is_none());
        let rest: Vec<_> = names.iter().skip(1).map(|name| relay.begin(name)).collect();
        assert!(rest.iter().all(Option::is_some) && relay.begin("one more").is_none());
        drop(first);
        assert!(relay.begin("one more").is_some());
        drop(rest);
        assert!(relay.asked().is_empty());
    }

    #[test]
    fn the_scrapers_time_counts() {
        let of = |text: &str| {
            scrape_time(&[(SCRAPE_TIMEOUT.parse().unwrap(), text.parse().unwrap())].into_iter().collect())
        };
        for (text, milliseconds) in [
            ("5", 4750),
            ("0.2", 100),
            ("1.5", 1250),
            ("1e9", 59_750),
            ("x", 9750),
            ("-1", 9750),
            ("NaN", 9750),
            ("0", 9750),
        ] {
            assert_eq!(of(text), Duration::from_millis(milliseconds), "{text}");
        }
        assert_eq!(scrape_time(&HeaderMap::new()), Duration::from_millis(9750));
    }
}
