//! Whether ironic-python-agent bypasses the daemon: it runs, and the daemon does not reach it, or what it does is not seen here.
//! Then the daemon is never ready, and page, metric and log name the cause.
//!
//! `judge` and `proxy` are pure; `follow` gathers the facts and publishes.

mod follow;
mod judge;
mod proxy;

pub use follow::{Heard, Setting, follow};

use serde::Serialize;
use text::labels;

labels! {
    /// Why IPA bypasses ipa-sidecar.
    pub enum Why {
        /// It answers on its port, so its lookup has passed; and neither that nor a heartbeat was seen.
        NothingSeen = "nothing_seen": "ironic-python-agent answers on its port, and nothing that it sends to Ironic is seen here",
        /// Its heartbeats carry another host than the drop-in gave it.
        OtherUrl = "other_url": "ironic-python-agent sends Ironic another address than the drop-in gave it",
        /// The drop-in is not among the files that it reads.
        NotRead = "not_read": "ironic-python-agent does not read the directory of the drop-in",
        /// Its environment or its arguments go before every file.
        Overridden = "overridden": "ironic-python-agent was started with another advertise_host, which overrides the drop-in",
        /// The guard redirects connects to Ironic, and a proxy gets them.
        Proxy = "proxy": "a proxy takes the requests of ironic-python-agent past the guard",
    }
}

/// That IPA bypasses ipa-sidecar, or did until it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedBy {
    /// The label of `passed_by_info`.
    pub why: Why,
    /// The same for people, with what to do.
    pub sentence: String,
}
