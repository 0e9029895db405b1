//! The guard: a loopback proxy between IPA and Ironic that sees every lookup and heartbeat, repairs or holds a bad
//! callback URL before Ironic pins it, and is silent where Ironic is: IPA then goes on to Ironic itself.
//!
//! One request's way: `proxy` takes it, `request` says what it is, [`policy`] (pure) what to do with it,
//! `upstream` forwards it, `relay` carries the bodies, and `memory` keeps what was learned.

mod certificate;
mod gate;
mod heartbeat;
mod lookup;
mod memory;
pub mod policy;
mod proxy;
mod read_back;
mod relay;
mod request;
mod stand_in;
mod upstream;

pub use gate::Restarts;
pub use proxy::{GuardError, bind, serve};
pub use request::guard_url;
#[doc(hidden)] // For fuzzing.
pub use request::{Era, HeartbeatBody, Kind, classify, split_path};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::advertise::Decision;
use crate::api_url::Host;
use crate::callback::Callback;
use crate::ironic::Client;
use crate::metrics::Metrics;
use crate::params::Parameters;
use crate::status::Status;
use crate::watch::Published;

use memory::Memory;
use upstream::Patience;

/// Takes the guard's own URL out of the API URLs. IPA's configuration files may name it, where somebody redirected IPA by
/// hand: requests that are forwarded there would come back for ever.
pub fn leave_itself_out(parameters: &mut Parameters) {
    let listen = parameters.guard.listen_address;
    parameters.ironic.api_urls.retain(|url| {
        let is_own = request::is_guard(url, listen);
        if is_own {
            tracing::warn!(%url, "an API URL is the guard's own, and not Ironic's: left out");
        }
        !is_own
    });
}

/// Shared by all requests.
pub struct Guard {
    client: Client,
    wait: Duration,
    /// How long IPA may be kept waiting.
    budget: Duration,
    operator_host: bool,
    stand_in: bool,
    decisions: watch::Receiver<Arc<Published>>,
    callback: Callback,
    restarts: Option<mpsc::Sender<Host>>,
    memory: Mutex<Memory>,
    status: Status,
    metrics: Metrics,
}

impl Guard {
    /// Reads what concerns it from the parameters. `restarts` takes the address with which IPA is to be restarted;
    /// without it nobody can.
    pub fn new(
        client: Client,
        parameters: &Parameters,
        decisions: watch::Receiver<Arc<Published>>,
        callback: Callback,
        restarts: Option<mpsc::Sender<Host>>,
        status: Status,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            wait: parameters.advertise.wait,
            budget: upstream::budget(parameters.ironic.request_timeout),
            operator_host: parameters.advertise.host.is_some(),
            stand_in: parameters.guard.stand_in,
            decisions,
            callback,
            restarts,
            memory: Mutex::default(),
            status,
            metrics,
        })
    }

    /// The tasks beside the listener end with it.
    pub async fn stand_in(self: Arc<Self>, port: u16) {
        if self.stand_in {
            stand_in::run(self, port).await;
        }
    }

    fn decision(&self) -> Decision {
        self.decisions.borrow().decision.clone()
    }

    /// For one request that has come now.
    fn patience(&self) -> Patience {
        Patience::begin(self.budget)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked while it held the lock left whole values.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what Ironic holds, and lets the decision stay with it.
    fn pin(&self, url: Option<&str>) {
        {
            let mut memory = self.memory();
            memory.pin = url.map_or(policy::Pin::None, |url| policy::Pin::Held(url.to_owned()));
            memory.pin_is_known = true;
        }
        self.callback.pin(url);
    }

    /// A line for the log, the page and `/state`.
    fn event(&self, what: String) {
        tracing::info!("guard: {what}");
        self.status.update(|status| status.push_guard_event(what));
    }
}
