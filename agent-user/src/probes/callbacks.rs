//! The conductor's call-back: a connection from another machine to the advertised address and port. It proves that this
//! address can be reached from its peer; whether the peer is the conductor, nobody here knows.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use callback_url::Host;
use tokio::sync::watch;

use super::state::ProbesState;
use crate::metrics::Metrics;
use crate::recent::Moment;
use crate::watch::Published;

/// Counts connections to the advertised address and port that come from outside.
#[derive(Debug, Clone)]
pub struct Callbacks {
    decisions: watch::Receiver<Arc<Published>>,
    metrics: Metrics,
    state: watch::Sender<ProbesState>,
}

impl Callbacks {
    /// Nothing has come yet.
    pub fn new(
        decisions: watch::Receiver<Arc<Published>>,
        metrics: Metrics,
        state: watch::Sender<ProbesState>,
    ) -> Self {
        Self { decisions, metrics, state }
    }

    /// Whether this is the advertised address. One of the operator's that is not assigned here leads to any of this
    /// machine's.
    fn is_advertised(&self, local: SocketAddr) -> bool {
        let published = Arc::clone(&self.decisions.borrow());
        match &published.decision.address {
            Some(Host::Ip(ip)) if published.local.assigned.contains(ip) => {
                ip.to_canonical() == local.ip().to_canonical()
            }
            _ => true,
        }
    }

    /// One was established.
    pub fn established(&self, local: SocketAddr, peer: SocketAddr) {
        if !self.is_advertised(local) || !is_from_outside(local, peer) {
            return;
        }
        self.metrics.callback_connection();
        let mut first = false;
        self.state.send_modify(|ProbesState { callback, .. }| {
            first = callback.connections == 0;
            callback.connections += 1;
            (callback.last_connection, callback.last_connection_peer) = (Some(Moment::now()), Some(peer));
        });
        if first {
            tracing::info!(%peer, %local, "the first connection from outside has reached the advertised address");
        } else {
            tracing::debug!(%peer, %local, "a connection from outside has reached the advertised address");
        }
    }

    /// One was refused, because nothing listens.
    pub fn refused(&self, local: SocketAddr, peer: SocketAddr) {
        if !self.is_advertised(local) || !is_from_outside(local, peer) {
            return;
        }
        self.metrics.callback_refused();
        let mut first = false;
        self.state.send_modify(|ProbesState { callback, .. }| {
            first = callback.refused == 0;
            callback.refused += 1;
            (callback.last_refused, callback.last_refused_peer) = (Some(Moment::now()), Some(peer));
        });
        if first {
            tracing::warn!(%peer, %local, "a connection from outside to the advertised address was refused: nothing listens");
        }
    }
}

/// Whether the peer is another machine: not loopback, not this address, and none that can be bound here.
fn is_from_outside(local: SocketAddr, peer: SocketAddr) -> bool {
    let ip = peer.ip();
    !ip.is_loopback() && ip != local.ip() && !is_here(ip)
}

/// Whether an address is assigned in this network namespace.
pub(super) fn is_here(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advertising(address: &str, assigned: &[&str]) -> watch::Receiver<Arc<Published>> {
        let mut published = Published::new(crate::advertise::Decision::not_asked(), 1);
        published.decision.address = Host::parse(address);
        let assigned = assigned.iter().map(|ip| ip.parse().unwrap()).collect();
        published.local = Arc::new(callback_url::Local { assigned, ..callback_url::Local::default() });
        watch::channel(Arc::new(published)).1
    }

    #[test]
    fn behind_nat_each_address_counts() {
        let (state, seen) = watch::channel(ProbesState::default());
        let decisions = advertising("203.0.113.9", &["192.0.2.1"]);
        let callbacks = Callbacks::new(decisions, Metrics::new().unwrap(), state);
        callbacks.established("192.0.2.1:9999".parse().unwrap(), "192.0.2.7:5000".parse().unwrap());
        assert_eq!(seen.borrow().callback.connections, 1);
    }

    #[test]
    fn only_other_machines_count() {
        let metrics = Metrics::new().unwrap();
        let (state, seen) = watch::channel(ProbesState::default());
        let callbacks =
            Callbacks::new(advertising("192.0.2.1", &["192.0.2.1", "192.0.2.2"]), metrics.clone(), state);
        let local = "192.0.2.1:9999".parse().unwrap();
        for peer in ["127.0.0.1:5000", "[::1]:5000", "192.0.2.1:5000"] {
            callbacks.established(local, peer.parse().unwrap());
            callbacks.refused(local, peer.parse().unwrap());
        }
        assert_eq!(seen.borrow().callback.last_connection, None);
        let outside = "192.0.2.7:5000".parse().unwrap(); // RFC 5737: assigned nowhere.
        callbacks.established(local, outside);
        callbacks.refused(local, outside);
        callbacks.refused(local, outside);
        // Another address of this machine says nothing about the advertised one.
        callbacks.established("192.0.2.2:9999".parse().unwrap(), outside);
        let seen = seen.borrow().callback.clone();
        assert_eq!((seen.connections, seen.refused), (1, 2));
        assert_eq!(seen.last_connection_peer, Some(outside));
        let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
        assert!(text.contains("ipa_sidecar_callback_connections_total 1\n"), "{text}");
        assert!(text.contains("ipa_sidecar_callback_refused_total 2\n"), "{text}");
    }
}
