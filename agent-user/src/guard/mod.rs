//! The guard: IPA's connections to Ironic pass through it, and a heartbeat that is certain to fail is repaired in passing.
//!
//! One connection's way: [`redirect`] brings it, `listener` takes it, `relay` carries it to the address that was dialled,
//! [`crate::http1`] (pure) finds the requests in its bytes, [`policy`] (pure) says what to do with a heartbeat, `heartbeat` does
//! it. Whatever fails here, new connections go to Ironic directly.

mod heartbeat;
mod listener;
mod pause;
pub mod policy;
pub mod redirect;
mod relay;
mod standing;
mod state;

pub use standing::end_idle;
pub use state::GuardState;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callback_url::{ApiUrl, Host, Scheme};
use tokio::sync::watch;

use crate::exchange::Exchanges;
use crate::ipa::keeper::DropinState;
use crate::kept::Kept;
use crate::params::{GuardParameters, Parameters, RedirectChoice};
use crate::pin::Pin;
use crate::probes::{Reason, Unavailable};
use crate::registrar::Registrar;
use crate::watch::{Endpoints, Published, ResolvedTarget};

use pause::Pause;
use redirect::Redirect;

/// So many lost addresses are remembered; no node has more.
const ADDRESSES: usize = 1024;

/// Takes the guard's own URL out of the API URLs. IPA's configuration files may name it, where an operator redirected IPA by
/// hand: requests that are relayed there would come back without end.
pub fn leave_itself_out(parameters: &mut Parameters) {
    let listen = parameters.guard.listen_address;
    parameters.ironic.api_urls.retain(|url| {
        let is_own = is_guard(url, listen);
        if is_own {
            tracing::warn!(%url, "an API URL is the guard's own, not Ironic's: ignored");
        }
        !is_own
    });
}

fn is_guard(url: &ApiUrl, listen: SocketAddr) -> bool {
    let same_host = match &url.host {
        Host::Ip(ip) => *ip == listen.ip(),
        Host::Name(name) => name == "localhost",
    };
    same_host && url.port == listen.port()
}

/// Why there can be no guard with these parameters, before the kernel is asked.
///
/// # Errors
/// The reason.
pub fn possible(guard: &GuardParameters, api_urls: &[ApiUrl]) -> Result<(), Unavailable> {
    if guard.redirect == RedirectChoice::Off {
        return Err(Unavailable::new(Reason::SwitchedOff, "--guard.redirect=off"));
    }
    match api_urls.iter().find(|url| url.scheme == Scheme::Https) {
        Some(url) => {
            let words = format!("{url} is https: the guard could neither see nor repair what passes");
            Err(Unavailable::new(Reason::Https, words))
        }
        None => Ok(()),
    }
}

/// Shared by all connections.
#[derive(Debug)]
pub struct Guard {
    redirect: Redirect,
    /// The advertised port.
    port: u16,
    registrar: Registrar,
    /// How long IPA waits for an answer.
    patience: Duration,
    surroundings: Surroundings,
    memory: Mutex<Memory>,
    pause: Pause,
    stopping: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
    state: watch::Sender<GuardState>,
}

/// What the guard hears of, and where it records.
#[derive(Debug)]
pub struct Surroundings {
    /// What was decided, what Ironic holds, and where heartbeats are recorded.
    pub registrar: Registrar,
    pub targets: watch::Receiver<Vec<ResolvedTarget>>,
    pub dropin: watch::Receiver<DropinState>,
    /// What outlives the daemon.
    pub kept: Kept,
}

/// What was learned.
#[derive(Debug, Default)]
struct Memory {
    /// Addresses that were assigned here, or that the drop-in gave.
    were_ours: BTreeSet<IpAddr>,
    /// Ironic has refused a repaired URL, and has accepted none since.
    holds_another: bool,
    endpoints: Endpoints,
}

impl Guard {
    /// Reads what concerns it from the parameters. What it shows of itself appears in `state`.
    pub fn new(
        redirect: Redirect,
        parameters: &Parameters,
        surroundings: Surroundings,
        state: watch::Sender<GuardState>,
    ) -> Arc<Self> {
        let guard = Arc::new(Self {
            redirect,
            port: parameters.advertise.port,
            registrar: surroundings.registrar.clone(),
            patience: parameters.ironic.request_timeout,
            surroundings,
            memory: Mutex::default(),
            pause: Pause::default(),
            stopping: watch::Sender::new(false),
            stopped: watch::Sender::new(false),
            state,
        });
        guard.remember(&parameters.ironic.api_urls);
        guard
    }

    /// Takes over what an earlier run has kept.
    fn remember(&self, api_urls: &[ApiUrl]) {
        let kept = self.surroundings.kept.read();
        if let Some(Host::Ip(ip)) = kept.dropin.map(|dropin| dropin.address) {
            self.memory().were_ours.insert(ip.to_canonical());
        }
        if let Some(repaired) = kept.repaired {
            // IPA still sends its own URL. Its address may be one that only the earlier run has seen here.
            if let Some(Host::Ip(ip)) = callback_url::host(&repaired.instead_of) {
                self.memory().were_ours.insert(ip.to_canonical());
            }
            self.memory().endpoints.learn(standing::earlier(&repaired, api_urls).into_iter());
            self.registrar.pin.accepted(&repaired.url);
            self.depends_on_us(&repaired.url);
        }
    }

    /// Follows what the rest of the daemon publishes, until it ends.
    pub async fn follow(self: Arc<Self>) {
        let mut decisions = self.registrar.decisions.clone();
        let mut targets = self.surroundings.targets.clone();
        let mut dropin = self.surroundings.dropin.clone();
        loop {
            self.learn(&decisions.borrow_and_update(), dropin.borrow_and_update().address.as_ref());
            self.redirect_to(&targets.borrow_and_update());
            // Without a name to resolve nobody publishes addresses any more.
            tokio::select! {
                Ok(()) = decisions.changed() => {}
                Ok(()) = targets.changed() => {}
                Ok(()) = dropin.changed() => {}
                else => return,
            }
        }
    }

    fn learn(&self, published: &Published, dropin: Option<&Host>) {
        let assigned = published.known_local().into_iter().flat_map(|local| &local.assigned).copied();
        let given = match dropin {
            Some(Host::Ip(ip)) => Some(*ip),
            _ => None,
        };
        let were_ours = &mut self.memory().were_ours;
        for ip in assigned.chain(given).map(|ip| ip.to_canonical()) {
            if were_ours.len() < ADDRESSES {
                were_ours.insert(ip);
            }
        }
    }

    /// Redirects connects to the API's addresses. Those of earlier answers stay: DNS may give some of them at a time.
    fn redirect_to(&self, targets: &[ResolvedTarget]) {
        let own = self.state.borrow().listening;
        // A link-local address is one only with a device, which the programs do not know.
        let is_link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let now = targets.iter().flat_map(ResolvedTarget::endpoints);
        let now = now.filter(|endpoint| Some(*endpoint) != own && !is_link_local(endpoint.ip()));
        let mut memory = self.memory();
        memory.endpoints.learn(now);
        self.redirect.set_endpoints(memory.endpoints.as_slice());
    }

    /// Ends the redirect at once; then waits until what is in flight has ended: a lookup after at most IPA's own time-out,
    /// all else after 2 s.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        // Nobody keeps it where the listener's task is gone.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Whoever panicked while it held the lock left whole values.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pin(&self) -> &Pin {
        &self.registrar.pin
    }

    fn exchanges(&self) -> &Exchanges {
        &self.registrar.exchanges
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_url_is_known() {
        let listen = "127.0.0.1:6385".parse().unwrap();
        for (url, expected) in [
            ("http://127.0.0.1:6385", true),
            ("http://localhost:6385/", true),
            ("http://127.0.0.1:6386", false),
            ("http://127.0.0.2:6385", false),
            ("http://10.77.0.1:6385", false),
            ("http://ironic:6385", false),
        ] {
            assert_eq!(is_guard(&ApiUrl::parse(url).unwrap(), listen), expected, "{url}");
        }
    }

    #[test]
    fn it_is_for_http_only() {
        let guard =
            |redirect| GuardParameters { listen_address: "127.0.0.1:6385".parse().unwrap(), redirect };
        let url = |text| ApiUrl::parse(text).unwrap();
        let http = [url("http://10.77.0.1:6385")];
        assert_eq!(possible(&guard(RedirectChoice::Auto), &http), Ok(()));
        let off = possible(&guard(RedirectChoice::Off), &http).unwrap_err();
        assert_eq!(off.reason, Reason::SwitchedOff);
        let mixed = [url("http://10.77.0.1:6385"), url("https://10.77.0.1:6385")];
        let https = possible(&guard(RedirectChoice::Auto), &mixed).unwrap_err();
        assert_eq!(https.reason, Reason::Https);
    }
}
