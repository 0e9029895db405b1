//! The addresses and ports of the API, as connections go to them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::ResolvedTarget;

/// So many are remembered.
const ENDPOINTS: usize = 32;

impl ResolvedTarget {
    /// Where connections to it go. A mapped address is one of IPv4.
    pub fn endpoints(&self) -> impl Iterator<Item = SocketAddr> {
        let addresses = self.addresses.iter().flatten();
        addresses.map(|ip| SocketAddr::new(ip.to_canonical(), self.url.port))
    }
}

/// The newest come first. Those of earlier answers stay: DNS may give some of them at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints(Vec<SocketAddr>);

impl Endpoints {
    /// Takes the newest.
    pub fn learn(&mut self, now: impl Iterator<Item = SocketAddr>) {
        let mut endpoints: Vec<_> = now.collect();
        endpoints.append(&mut self.0);
        let mut seen = BTreeSet::new();
        endpoints.retain(|endpoint| seen.insert(*endpoint));
        endpoints.truncate(ENDPOINTS);
        self.0 = endpoints;
    }

    /// All of them.
    pub fn as_slice(&self) -> &[SocketAddr] {
        &self.0
    }

    /// Whether a connection to there is one to the API.
    pub fn contains(&self, endpoint: SocketAddr) -> bool {
        self.0.contains(&SocketAddr::new(endpoint.ip().to_canonical(), endpoint.port()))
    }
}
