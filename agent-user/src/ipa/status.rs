//! Whether ironic-python-agent is alive on this machine: its process, and its `/v1/status`, which needs no token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api_client::http::get;
use api_client::{Connector, HttpError};
use callback_url::{ApiUrl, Host, Scheme};
use exporter::ClientTls;
use fib::listens;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::exchange::Seen;
use crate::kept::IpaId;
use crate::kernel_thread;
use crate::metrics::Metrics;
use crate::onlooker::Onlookers;
use crate::params::IpaSettings;
use crate::tick::Tick;
use crate::watch::Published;

use super::process;

/// On loopback an answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// It is asked so often at least while the daemon runs.
const POLL: Duration = Duration::from_secs(60);
/// It is asked so often at most, while something happens or a page is read.
const GAP: Duration = Duration::from_secs(10);

/// IPA, as far as its status URL and its process show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IpaState {
    /// It answers on its port.
    pub up: bool,
    /// The version that it gives.
    pub version: Option<String>,
    /// Its process, where one is found that was there before it answered as well.
    pub process: Option<IpaId>,
}

/// Asks an IPA on this machine.
pub struct IpaProbe {
    connector: Connector,
    /// Where it may answer.
    addresses: Vec<IpAddr>,
    port: u16,
    /// It answered by plain http last.
    is_plain: AtomicBool,
}

/// What IPA answers (ironic_python_agent/api/app.py, `api_status`).
#[derive(Deserialize)]
struct Answer {
    version: String,
    /// Not used, but a service without it is no IPA.
    #[allow(dead_code)]
    started_at: f64,
}

impl IpaProbe {
    /// Reads where IPA listens. A name as its `listen_host` leaves loopback.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn of(settings: &IpaSettings) -> Result<Self, HttpError> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = match settings.listen_host {
            Host::Ip(ip) if !ip.is_unspecified() => vec![ip],
            _ => loopback.to_vec(),
        };
        // IPA's certificate is made by itself, and nothing is sent to it: there is nothing to verify.
        let tls = ClientTls { wanted: true, insecure: true, cafile: None, certfile: None, keyfile: None };
        let connector = Connector::new(tls, TIMEOUT)?;
        Ok(Self { connector, addresses, port: settings.listen_port, is_plain: AtomicBool::new(false) })
    }

    /// The port on which it is asked.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, and whether it answers. A process that ends or begins meanwhile is none: nobody knows which one
    /// answered. `known` is the process as seen last; it stays where the processes cannot be looked through.
    pub async fn look(&self, known: Option<IpaId>) -> IpaState {
        let port = self.port;
        // One thread for both questions: waking another one is most of what a look costs.
        let found = kernel_thread::ask(move || (process::running(known), listens(None, port)));
        let (before, listening) = found.await.unwrap_or((known, Ok(true)));
        if matches!(listening, Ok(false)) {
            return IpaState { process: before, ..IpaState::default() };
        }
        let answer = self.answer().await;
        let after = kernel_thread::ask(move || process::running(before)).await.unwrap_or(before);
        IpaState { process: before.filter(|_| before == after), ..answer }
    }

    /// Whether it answers; where nothing listens, nobody is asked.
    pub async fn ask(&self) -> IpaState {
        let port = self.port;
        if matches!(kernel_thread::ask(move || listens(None, port)).await, Some(Ok(false))) {
            return IpaState::default();
        }
        self.answer().await
    }

    /// Asks by https or http, IPv4 and IPv6. The scheme that answered last goes first, at the start https: an IPA that serves
    /// TLS logs a traceback for every plain request.
    async fn answer(&self) -> IpaState {
        let order = match self.is_plain.load(Ordering::Relaxed) {
            false => [Scheme::Https, Scheme::Http],
            true => [Scheme::Http, Scheme::Https],
        };
        for scheme in order {
            // All at once: something that accepts and never answers costs one time-out, not two.
            let first = self.addresses.first().copied();
            let second = self.addresses.get(1).copied();
            let (one, other) = tokio::join!(self.version(scheme, first), self.version(scheme, second));
            if let Some(version) = one.or(other) {
                self.is_plain.store(scheme == Scheme::Http, Ordering::Relaxed);
                return IpaState { up: true, version: Some(version), process: None };
            }
        }
        IpaState::default()
    }

    async fn version(&self, scheme: Scheme, address: Option<IpAddr>) -> Option<String> {
        let address = address?;
        let url = url(scheme, address, self.port);
        let body = get(&self.connector, &url, address, "/v1/status", TIMEOUT).await.ok()?;
        serde_json::from_slice::<Answer>(&body).ok().map(|answer| answer.version)
    }
}

fn url(scheme: Scheme, address: IpAddr, port: u16) -> ApiUrl {
    ApiUrl { scheme, host: Host::Ip(address), port, prefix: String::new() }
}

/// What makes another look at IPA worthwhile.
#[derive(Debug)]
pub struct Reasons {
    /// A page, a scrape or a report is made.
    pub onlookers: Onlookers,
    /// Another address: whether IPA started with the one before matters now.
    pub decisions: watch::Receiver<Arc<Published>>,
    /// IPA was heard.
    pub exchanges: watch::Receiver<Seen>,
}

impl Reasons {
    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            () = self.onlookers.next() => {}
            Ok(()) = self.decisions.changed() => {}
            Ok(()) = self.exchanges.changed() => {}
        }
    }
}

/// Asks again and again, for the pages, `ipa_up` and the judgement of what IPA started with.
pub async fn follow(
    settings: IpaSettings,
    mut reasons: Reasons,
    state: watch::Sender<IpaState>,
    metrics: Metrics,
) {
    let Ok(probe) = IpaProbe::of(&settings).inspect_err(|error| tracing::warn!(%error, "cannot query IPA"))
    else {
        return;
    };
    let mut poll = Tick::every(POLL);
    loop {
        let begun = Instant::now();
        let known = state.borrow().process;
        let ipa = probe.look(known).await;
        metrics.show_ipa(ipa.up);
        state.send_replace(ipa);
        tokio::select! {
            () = poll.next() => {}
            () = reasons.next() => sleep_until(begun + GAP).await,
        }
    }
}
