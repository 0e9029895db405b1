//! Which node claims which address: an address that two ramdisks claim belongs to neither. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::fleet::Fleet;
use super::kept::Kept;

/// A ramdisk that was not heard for so long may be gone, and its address another node's.
const YOUNG: Duration = Duration::from_secs(900);

/// How many running ramdisks claim an address.
#[derive(Debug, Default)]
pub struct Claims(HashMap<IpAddr, usize>);

impl Claims {
    /// Of this fleet.
    pub fn of(fleet: &Fleet) -> Self {
        let mut claims = HashMap::new();
        let running = fleet.live().filter(|node| is_running(node, fleet));
        for address in running.filter_map(|node| address(node)) {
            *claims.entry(address).or_default() += 1;
        }
        Self(claims)
    }

    /// Whether another node claims this one's address as well.
    pub fn are_shared(&self, node: &Kept) -> bool {
        node.is_live()
            && address(node).and_then(|address| self.0.get(&address)).is_some_and(|claimants| *claimants > 1)
    }
}

/// Whether a ramdisk runs on a node now, as far as Ironic knows, or the node itself has said.
pub fn is_running(node: &Kept, fleet: &Fleet) -> bool {
    let is_young = node.last_heartbeat.is_some_and(|at| at.until(fleet.now) < YOUNG);
    node.is_live() && node.powered_on && (is_young || fleet.reported.contains(&node.key))
}

/// The address of a node's ramdisk: that of its URL, else the one that was meant. Names are not resolved.
pub fn address(node: &Kept) -> Option<IpAddr> {
    node.claimed().or_else(|| node.suggested())
}
