//! Whether ironic-python-agent is alive on this machine: its `/v1/status`, which needs no token.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callback_url::{ApiUrl, Host, Scheme};
use fib::listens;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::ironic::{Connector, IronicError, get};
use crate::kernel_thread;
use crate::metrics::Metrics;
use crate::params::IronicParameters;

/// On loopback an answer that takes longer is none.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How often it is asked while the daemon runs.
const POLL: Duration = Duration::from_secs(10);

/// IPA, as far as its status URL shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct IpaState {
    pub up: bool,
    /// The version that it gives.
    pub version: Option<String>,
}

/// Asks an IPA on loopback.
pub struct IpaProbe {
    connector: Connector,
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
    /// `port` is the one that IPA listens on.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(port: u16) -> Result<Self, IronicError> {
        // IPA's certificate is made by itself, and nothing is sent to it: there is nothing to verify.
        let parameters = IronicParameters {
            insecure: true,
            api_urls: vec![url(Scheme::Https, Ipv4Addr::LOCALHOST.into(), port)],
            ..IronicParameters::default()
        };
        Ok(Self { connector: Connector::new(&parameters, TIMEOUT)?, port, is_plain: AtomicBool::new(false) })
    }

    /// Asks by https or http, IPv4 and IPv6; where nothing listens, nobody is asked. The scheme that answered last goes
    /// first, at the start https: an IPA that serves TLS logs a traceback for every plain request.
    pub async fn ask(&self) -> IpaState {
        let port = self.port;
        if matches!(kernel_thread::ask(move || listens(None, port)).await, Some(Ok(false))) {
            return IpaState::default();
        }
        let order = match self.is_plain.load(Ordering::Relaxed) {
            false => [Scheme::Https, Scheme::Http],
            true => [Scheme::Http, Scheme::Https],
        };
        for scheme in order {
            // Both at once: something that accepts and never answers costs one time-out, not two.
            let (v4, v6) = tokio::join!(
                self.version(scheme, IpAddr::V4(Ipv4Addr::LOCALHOST)),
                self.version(scheme, IpAddr::V6(Ipv6Addr::LOCALHOST)),
            );
            if let Some(version) = v4.or(v6) {
                self.is_plain.store(scheme == Scheme::Http, Ordering::Relaxed);
                return IpaState { up: true, version: Some(version) };
            }
        }
        IpaState::default()
    }

    async fn version(&self, scheme: Scheme, address: IpAddr) -> Option<String> {
        let url = url(scheme, address, self.port);
        let body = get(&self.connector, &url, address, "/v1/status", TIMEOUT).await.ok()?;
        serde_json::from_slice::<Answer>(&body).ok().map(|answer| answer.version)
    }
}

fn url(scheme: Scheme, address: IpAddr, port: u16) -> ApiUrl {
    ApiUrl { scheme, host: Host::Ip(address), port, prefix: String::new() }
}

/// Asks again and again, for the pages and `ipa_up`.
pub async fn follow(port: u16, state: watch::Sender<IpaState>, metrics: Metrics) {
    let Ok(probe) = IpaProbe::new(port).inspect_err(|error| tracing::warn!(%error, "IPA cannot be asked"))
    else {
        return;
    };
    loop {
        let ipa = probe.ask().await;
        metrics.show_ipa(ipa.up);
        state.send_replace(ipa);
        sleep(POLL).await;
    }
}
