//! Agent mode: the daemon speaks for the node where there is no IPA, or where the operator gave out the token.
//!
//! [`Agent::run`] waits until there is no IPA (`beside`), looks the node up (`lookup`), then heartbeats (`heartbeat`) until
//! Ironic no longer takes the token, which a power cycle through its API causes; then it begins anew.

mod beside;
mod heartbeat;
mod lookup;
mod state;

pub use beside::{Neighbour, works_beside_ipa};
pub use state::{AgentPhase, AgentState};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callback_url::{Host, Scheme, Warning};
use fastrand::Rng;
use text::Secret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::advertise::{Decision, Origin};
use crate::exchange::Exchanges;
use crate::ironic::{Client, Connection, IronicError};
use crate::metrics::Metrics;
use crate::params::{LookupParameters, Parameters};
use crate::pin::Pin;
use crate::watch::{Published, Reach};

/// A change of address is answered no sooner than this after the last request of the same kind failed.
const AT_LEAST: Duration = Duration::from_secs(1);

/// What a lookup gave.
#[derive(Debug)]
struct Session {
    uuid: String,
    token: Option<Secret>,
    heartbeat_timeout: Duration,
}

/// Speaks to Ironic for this node.
pub struct Agent {
    client: Client,
    lookup: LookupParameters,
    given_token: Option<Secret>,
    /// Looks for an IPA; `None`: the daemon may work beside one.
    neighbour: Option<Neighbour>,
    without_listener: bool,
    verify_ca: Option<PathBuf>,
    port: u16,
    decisions: watch::Receiver<Arc<Published>>,
    reach: Reach,
    /// How the source of its own connections contradicts the decision.
    contradiction: Option<String>,
    pin: Pin,
    exchanges: Exchanges,
    metrics: Metrics,
    state: watch::Sender<AgentState>,
    /// The node, once looked up.
    node_uuid: Option<String>,
    rng: Rng,
}

impl Agent {
    /// Reads what concerns it from the parameters. What it shows of itself appears in `state`.
    ///
    /// # Errors
    /// Where TLS to an IPA cannot be set up.
    pub fn new(
        client: Client,
        parameters: &Parameters,
        (decisions, reach): (watch::Receiver<Arc<Published>>, Reach),
        (pin, exchanges, metrics): (Pin, Exchanges, Metrics),
        state: watch::Sender<AgentState>,
    ) -> Result<Self, IronicError> {
        let alone = !works_beside_ipa(parameters);
        let neighbour = alone.then(|| Neighbour::new(&parameters.ipa_settings)).transpose()?;
        Ok(Self {
            client,
            lookup: parameters.lookup.clone(),
            given_token: parameters.ironic.agent_token.clone(),
            neighbour,
            without_listener: parameters.agent.without_listener,
            verify_ca: parameters
                .agent
                .verify_ca
                .clone()
                .filter(|_| parameters.advertise.protocol == Scheme::Https),
            port: parameters.advertise.port,
            decisions,
            reach,
            contradiction: None,
            pin,
            exchanges,
            metrics,
            state,
            node_uuid: None,
            rng: Rng::new(),
        })
    }

    /// Looks up and heartbeats without end.
    pub async fn run(mut self) {
        loop {
            let session = self.look_up().await;
            self.send_heartbeats(session).await;
        }
    }

    /// Waits until there is a callback URL to speak for.
    async fn addressed(&mut self) -> Decision {
        loop {
            let published = Arc::clone(&self.decisions.borrow_and_update());
            if published.decision.callback_url.is_some() && !published.awaits_reach {
                return published.decision.clone();
            }
            self.phase(AgentPhase::AwaitingAddress);
            if self.decisions.changed().await.is_err() {
                return std::future::pending().await; // The daemon ends.
            }
        }
    }

    /// Sleeps, at most until the callback URL is another than `url`.
    async fn sleep_while_url_is(&mut self, url: Option<&str>, duration: Duration) {
        let end = Instant::now() + duration;
        tokio::select! {
            () = tokio::time::sleep_until(end) => {}
            () = url_changed(&mut self.decisions, url) => sleep(AT_LEAST.min(end.duration_since(Instant::now()))).await,
        }
    }

    /// Ironic has answered the daemon's request on this connection. The log says where the decision cannot follow its source: the
    /// conductor may not reach what is advertised.
    async fn witness(&mut self, connection: &Connection) {
        let before = self.decisions.borrow().decision.clone();
        let source = connection.local.ip().to_canonical();
        self.reach.answered(&before, &connection.url, connection.remote.ip(), source);
        self.reach.settled(&mut self.decisions).await;
        let decision = self.decisions.borrow().decision.clone();
        let by_kernel = matches!(decision.origin, Some(Origin::Route | Origin::Interface));
        let words = decision
            .address
            .filter(|address| by_kernel && *address != Host::Ip(source))
            .map(|address| format!("{} answers {source}, and {address} is advertised", connection.url));
        if self.contradiction != words {
            if let Some(words) = &words {
                tracing::error!("{words}");
                self.exchanges.warn(&[Warning::RouteMismatch]);
            }
            self.contradiction = words;
        }
    }

    fn phase(&self, phase: AgentPhase) {
        self.state.send_modify(|state| state.phase = phase);
    }

    /// Shows why the last request failed.
    fn failed(&self, why: String) {
        self.state.send_modify(|state| state.last_failure = Some(why));
    }
}

async fn url_changed(decisions: &mut watch::Receiver<Arc<Published>>, url: Option<&str>) {
    let differs = |published: &Arc<Published>| published.decision.callback_url.as_deref() != url;
    if decisions.wait_for(differs).await.is_err() {
        std::future::pending::<()>().await;
    }
}
