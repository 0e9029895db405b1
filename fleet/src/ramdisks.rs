//! What the relay and the reports need to know of the nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A node as far as the relay and the reports need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramdisk {
    /// The node.
    pub uuid: String,
    /// The address in its `agent_url`, where that is one.
    pub claimed: Option<IpAddr>,
    /// The address that it should have there, where that is known.
    pub suggested: Option<IpAddr>,
}

/// The nodes of the last good poll, by UUID. Shared, replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ramdisks {
    nodes: BTreeMap<String, Ramdisk>,
}

impl Ramdisks {
    /// The node, where it is known.
    pub fn get(&self, uuid: &str) -> Option<&Ramdisk> {
        self.nodes.get(uuid)
    }

    /// Whether the node is known.
    pub fn is_known(&self, uuid: &str) -> bool {
        self.nodes.contains_key(uuid)
    }
}

impl FromIterator<Ramdisk> for Ramdisks {
    fn from_iter<T: IntoIterator<Item = Ramdisk>>(nodes: T) -> Self {
        Self { nodes: nodes.into_iter().map(|node| (node.uuid.clone(), node)).collect() }
    }
}
