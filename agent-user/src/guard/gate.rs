//! The lookup gate's other side: what is said while it holds, and the restart of IPA.

use std::sync::Arc;

use callback_url::{Host, Warning};
use tokio::sync::mpsc;

use crate::ipa::restart::restart_unit;
use crate::ironic::Connection;

use super::Guard;
use super::memory::RestartState;

/// The addresses for which IPA is to be restarted; one at a time is enough.
pub struct Restarts {
    /// Where the guard asks.
    pub sender: mpsc::Sender<Host>,
    receiver: mpsc::Receiver<Host>,
    unit: String,
}

impl Restarts {
    /// For this systemd unit.
    pub fn of(unit: String) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self { sender, receiver, unit }
    }

    /// Restarts when asked, for ever.
    pub async fn run(mut self, guard: Arc<Guard>) {
        while let Some(address) = self.receiver.recv().await {
            {
                let mut memory = guard.memory();
                if memory.token_may_be_spent() {
                    memory.restart = RestartState::Idle;
                    continue; // It would be lost.
                }
            }
            tracing::warn!(unit = self.unit, %address, "restarting ironic-python-agent, so that it starts with this address");
            let outcome = restart_unit(&self.unit).await;
            let mut memory = guard.memory();
            match outcome {
                Ok(()) => {
                    memory.restart = RestartState::Idle;
                    memory.restarted_with = Some(address.clone());
                    drop(memory);
                    guard.event(format!("{} restarted with {address}", self.unit));
                }
                Err(error) => {
                    memory.restart = RestartState::Failed;
                    drop(memory);
                    tracing::error!(%error, unit = self.unit, "ironic-python-agent could not be restarted: somebody has to");
                    guard.event(format!("{} could not be restarted: {error}", self.unit));
                }
            }
        }
    }
}

impl Guard {
    /// A lookup is held: says so, and has IPA restarted where that is what is missing.
    pub(super) fn gate_holds(&self, why: &str, restart: bool) {
        if self.show(|state| &mut state.gate, Some(why.to_owned())) {
            tracing::warn!("holding IPA's lookup: {why}");
            self.event(format!("lookup held: {why}"));
        }
        let address = self.decision().address;
        if let (true, Some(restarts), Some(address)) = (restart, &self.restarts, address) {
            self.memory().restart = RestartState::Running;
            if restarts.try_send(address).is_err() {
                self.memory().restart = RestartState::Idle; // It is busy; the next lookup asks again.
            }
        }
    }

    /// No lookup is held any longer.
    pub(super) fn gate_opens(&self) {
        self.show(|state| &mut state.gate, None);
    }

    /// The kernel's own choice of a source for a connection to Ironic, compared with the decision.
    pub(super) fn witness(&self, connection: &Connection) {
        let decision = self.decision();
        let source = connection.local.ip().to_canonical();
        let Some(Host::Ip(decided)) = decision.address else {
            return;
        };
        let expected = !self.operator_host && decision.origin != Some(crate::advertise::Origin::Pinned);
        if !expected || source == decided || source.is_ipv4() != decided.is_ipv4() {
            return;
        }
        let words =
            format!("the connection to {} came from {source}, and {decided} is advertised", connection.url);
        if self.show(|state| &mut state.witness, Some(words.clone())) {
            tracing::error!("{words}");
            self.exchanges().warn(&[Warning::RouteMismatch]);
        }
    }
}
