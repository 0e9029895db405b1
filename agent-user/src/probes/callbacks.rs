//! The conductor's call-back: the only proof that the advertised address was right.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use tokio::sync::watch;

use super::state::ProbesState;
use crate::metrics::Metrics;
use crate::recent::Moment;

/// Counts connections to the advertised port that come from outside.
#[derive(Debug, Clone)]
pub struct Callbacks {
    metrics: Metrics,
    state: watch::Sender<ProbesState>,
}

impl Callbacks {
    /// Nothing has come yet.
    pub fn new(metrics: Metrics, state: watch::Sender<ProbesState>) -> Self {
        Self { metrics, state }
    }

    /// One was established.
    pub fn established(&self, local: SocketAddr, peer: SocketAddr) {
        if !is_from_outside(local, peer) {
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
            tracing::info!(%peer, %local, "the first connection from outside has reached the advertised port");
        } else {
            tracing::debug!(%peer, %local, "a connection from outside has reached the advertised port");
        }
    }

    /// One was refused, because nothing listens.
    pub fn refused(&self, local: SocketAddr, peer: SocketAddr) {
        if !is_from_outside(local, peer) {
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
            tracing::warn!(%peer, %local, "a connection from outside to the advertised port was refused: nothing listens");
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

    #[test]
    fn only_other_machines_count() {
        let metrics = Metrics::new().unwrap();
        let (state, seen) = watch::channel(ProbesState::default());
        let callbacks = Callbacks::new(metrics.clone(), state);
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
        let seen = seen.borrow().callback.clone();
        assert_eq!((seen.connections, seen.refused), (1, 2));
        assert_eq!(seen.last_connection_peer, Some(outside));
        let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
        assert!(text.contains("ipa_sidecar_callback_connections_total 1\n"), "{text}");
        assert!(text.contains("ipa_sidecar_callback_refused_total 2\n"), "{text}");
    }
}
