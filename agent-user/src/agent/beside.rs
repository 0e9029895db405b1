//! Whether an ironic-python-agent is on this machine, or is going to be: its own lookup would take its token, and it
//! would hang for good.

use std::time::Duration;

use api_client::HttpError;
use tokio::time::sleep;

use crate::image::unit;
use crate::ipa::process;
use crate::ipa::status::IpaProbe;
use crate::kernel_thread;
use crate::params::{IpaSettings, Mode, Parameters};

use super::{Agent, AgentPhase};

/// How long an IPA that is here is left alone before the next look.
const PAUSE: Duration = Duration::from_secs(5);

/// What to do where an IPA is here.
const ADVICE: &str = "a lookup of ipa-sidecar would take its token, and it would hang: use mode observe or configure, disable or mask its \
                      unit, or hand the token out and give --agent.beside-ipa";

/// Whether the operator wants the daemon beside an IPA: its token has to be handed out, so that no own lookup can take it.
pub fn works_beside_ipa(parameters: &Parameters) -> bool {
    parameters.agent.beside_ipa && parameters.ironic.agent_token.is_some()
}

/// Looks for it.
pub struct Neighbour(IpaProbe);

impl Neighbour {
    /// Reads where IPA listens.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(settings: &IpaSettings) -> Result<Self, HttpError> {
        IpaProbe::of(settings).map(Self)
    }

    /// A sentence for people where one is here, or where that cannot be found out.
    pub async fn look(&self) -> Option<String> {
        if let Some(why) = Self::look_ahead().await {
            return Some(why);
        }
        let port = self.0.port();
        self.0.ask().await.up.then(|| format!("an ironic-python-agent answers on port {port}; {ADVICE}"))
    }

    /// The same for an IPA that may still want the token: inside its lookup it has a process and no port, and before its
    /// start it has a unit. One that answers on its port has the token.
    async fn look_ahead() -> Option<String> {
        let look = || (process::are_visible(), process::running(None), unit::installed());
        let why = match kernel_thread::ask(look).await {
            None => "whether an ironic-python-agent runs cannot be found out in time".to_owned(),
            Some((_, Some(ipa), _)) => format!("an ironic-python-agent runs as process {}", ipa.pid),
            Some((_, None, Some(unit))) => format!("the unit {unit} is installed and not disabled"),
            Some((false, None, None)) => "the processes of this machine cannot be seen in /proc".to_owned(),
            Some((true, None, None)) => return None,
        };
        Some(format!("{why}; {ADVICE}"))
    }
}

/// When it is looked for an IPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before anything is sent to Ironic.
    First,
    /// Right before the lookup.
    BeforeLookup,
}

impl Agent {
    /// Looks for an IPA. Where one is here the daemon acts as observe: it reports that, waits a little, and gives true.
    pub(super) async fn leaves_it_to_ipa(&self, moment: Moment) -> bool {
        let Some(neighbour) = &self.neighbour else {
            return false;
        };
        let why = match moment {
            Moment::First => neighbour.look().await,
            Moment::BeforeLookup => Neighbour::look_ahead().await,
        };
        let before = self.state.borrow().beside.clone();
        match (&before, &why) {
            (None, Some(why)) => tracing::warn!("acting as observe: {why}"),
            (Some(_), None) => tracing::info!("ironic-python-agent has gone"),
            _ => {}
        }
        let is_here = why.is_some();
        if before != why {
            self.metrics.set_mode(if is_here { Mode::Observe } else { Mode::Agent });
            self.state.send_modify(|state| state.beside = why);
        }
        if is_here {
            self.phase(AgentPhase::BesideIpa);
            sleep(PAUSE).await;
        }
        is_here
    }
}
