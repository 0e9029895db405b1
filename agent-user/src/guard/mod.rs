//! The guard: a loopback proxy between IPA and Ironic that sees every lookup and heartbeat, repairs or holds a bad
//! callback URL before Ironic pins it, and is silent where Ironic is: IPA then goes on to Ironic itself.
//!
//! One request's way: `proxy` takes it, `request` says what it is, [`policy`] (pure) what to do with it,
//! `upstream` forwards it, `relay` carries the bodies, and `memory` keeps what was learned.

mod answer;
mod certificate;
mod gate;
mod heartbeat;
mod lookup;
mod memory;
mod patience;
pub mod policy;
mod proxy;
mod read_back;
mod relay;
mod request;
mod stand_in;
mod state;
mod upstream;

pub use gate::Restarts;
pub use proxy::{GuardError, bind, serve};
pub use request::{Era, HeartbeatBody, Kind, classify};
pub use state::GuardState;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callback_url::Host;
use tokio::sync::{mpsc, watch};

use crate::advertise::Decision;
use crate::exchange::Exchanges;
use crate::ipa::keeper::DropinState;
use crate::ipa::redirect::is_guard;
use crate::ironic::Client;
use crate::metrics::Metrics;
use crate::params::Parameters;
use crate::pin::Pin;
use crate::watch::Published;

use memory::Memory;
use patience::Patience;

/// Takes the guard's own URL out of the API URLs. IPA's configuration files may name it, where somebody redirected IPA by
/// hand: requests that are forwarded there would come back for ever.
pub fn leave_itself_out(parameters: &mut Parameters) {
    let listen = parameters.guard.listen_address;
    parameters.ironic.api_urls.retain(|url| {
        let is_own = is_guard(url, listen);
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
    surroundings: Surroundings,
    restarts: Option<mpsc::Sender<Host>>,
    memory: Mutex<Memory>,
    state: watch::Sender<GuardState>,
}

/// What the guard hears of, and where it records.
pub struct Surroundings {
    pub decisions: watch::Receiver<Arc<Published>>,
    pub dropin: watch::Receiver<DropinState>,
    /// What Ironic holds.
    pub pin: Pin,
    pub exchanges: Exchanges,
    pub metrics: Metrics,
}

impl Guard {
    /// Reads what concerns it from the parameters. `restarts` takes the address with which IPA is to be restarted;
    /// without it nobody can. What it shows of itself appears in `state`.
    pub fn new(
        client: Client,
        parameters: &Parameters,
        surroundings: Surroundings,
        restarts: Option<mpsc::Sender<Host>>,
        state: watch::Sender<GuardState>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            wait: parameters.advertise.wait,
            budget: upstream::budget(parameters.ironic.request_timeout),
            operator_host: parameters.advertise.host.is_some(),
            stand_in: parameters.guard.stand_in,
            surroundings,
            restarts,
            memory: Mutex::default(),
            state,
        })
    }

    /// The tasks beside the listener end with it.
    pub async fn stand_in(self: Arc<Self>, port: u16) {
        if self.stand_in {
            stand_in::run(self, port).await;
        }
    }

    fn decision(&self) -> Decision {
        self.surroundings.decisions.borrow().decision.clone()
    }

    fn pin(&self) -> &Pin {
        &self.surroundings.pin
    }

    fn exchanges(&self) -> &Exchanges {
        &self.surroundings.exchanges
    }

    /// For one request that has come now.
    fn patience(&self) -> Patience {
        Patience::begin(self.budget)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked while it held the lock left whole values.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line for the log, the page and `/state`.
    fn event(&self, what: String) {
        tracing::info!("guard: {what}");
        self.state.send_modify(|state| state.event(what));
    }

    /// Sets a sentence of the state; true where it is another than before.
    fn show(&self, field: fn(&mut GuardState) -> &mut Option<String>, sentence: Option<String>) -> bool {
        self.state.send_if_modified(|state| {
            let shown = field(state);
            let changed = *shown != sentence;
            *shown = sentence;
            changed
        })
    }
}
