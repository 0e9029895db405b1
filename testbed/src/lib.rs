//! What the tests and the demo stand on: network namespaces that vanish with their owner, a stand-in Ironic that can
//! show every fault, and a real Ironic.
#![allow(clippy::disallowed_methods)] // The testbed may run subprocesses; the daemon may not.

pub mod http;
pub mod ironic;
pub mod netns;
pub mod stand_in;

/// Whether this process may make namespaces.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
