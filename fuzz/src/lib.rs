//! What every input must hold to, one function per fuzz target. `agent-user/tests/commands/fuzz_corpus.rs` has the same
//! functions run over the corpus with every `cargo test`.

mod agent_url;
mod fleet;
mod heartbeat;
mod kernel;
mod parameters;
mod replies;
mod sight;
mod split;
mod web;

pub use agent_url::agent_url;
pub use fleet::{clouds_yaml, fleet_history, fleet_log, fleet_nodes};
pub use heartbeat::heartbeat;
pub use kernel::{netlink, probe_btf, probe_event, probe_format};
pub use parameters::{cmdline, ipa_config, superblock};
pub use replies::{ironic_error, ironic_lookup};
pub use sight::sight;
pub use split::split;
pub use web::web_config;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target with the name of its corpus.
pub const TARGETS: [(&str, Target); 18] = [
    ("agent_url", agent_url),
    ("clouds_yaml", clouds_yaml),
    ("cmdline", cmdline),
    ("fleet_history", fleet_history),
    ("fleet_log", fleet_log),
    ("fleet_nodes", fleet_nodes),
    ("heartbeat", heartbeat),
    ("ipa_config", ipa_config),
    ("ironic_error", ironic_error),
    ("ironic_lookup", ironic_lookup),
    ("netlink", netlink),
    ("probe_btf", probe_btf),
    ("probe_event", probe_event),
    ("probe_format", probe_format),
    ("sight", sight),
    ("split", split),
    ("superblock", superblock),
    ("web_config", web_config),
];
