//! What the tests and the demo stand on: network namespaces that vanish with their owner, a stand-in Ironic that can
//! show every fault, a real Ironic, a real ironic-python-agent and one of the seed's time.
#![allow(clippy::disallowed_methods)] // The testbed may run subprocesses; the daemon may not.

pub mod cache;
pub mod chromium;
pub mod daemon;
pub mod debian;
pub mod dib;
pub mod grafana;
mod guardian;
pub mod guest;
pub mod http;
pub mod ipa;
pub mod ironic;
pub mod netns;
pub mod seed_ipa;
pub mod stand_in;
pub mod venv;

/// Whether this process may make namespaces.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a test that needs root can run. Where it cannot, that is said, and in CI it is a failure.
///
/// # Panics
/// Without root where the variable `CI` is set.
pub fn needs_root(test: &str) -> bool {
    if is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs root, and CI has it");
    eprintln!("SKIP: {test} needs root");
    false
}
