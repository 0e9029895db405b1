//! The guard between a client that speaks as IPA does and a stand-in Ironic: what is redirected, what is repaired, and that
//! nobody is worse off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

#[cfg(feature = "ebpf")]
mod bytes;
#[cfg(feature = "ebpf")]
mod ends;
#[cfg(feature = "ebpf")]
mod heartbeat;
#[cfg(feature = "ebpf")]
mod hung;
mod off;
#[cfg(feature = "ebpf")]
mod passed_by;
#[cfg(feature = "ebpf")]
mod raw;
#[cfg(feature = "ebpf")]
mod redirect;
#[cfg(feature = "ebpf")]
mod refused;
#[cfg(feature = "ebpf")]
mod report;
#[cfg(feature = "ebpf")]
mod slots;
#[cfg(feature = "ebpf")]
mod standing;

#[cfg(feature = "ebpf")]
pub use on::*;

/// With a redirect.
#[cfg(feature = "ebpf")]
mod on {
    pub use std::time::Duration;

    pub use testbed::daemon::Daemon;
    use testbed::ironic::VERSION_HEADER;
    pub use testbed::root_test;
    pub use testbed::site::*;
    pub use testbed::stand_in::{Behaviour, Fault, Path, StandIn};

    pub use super::raw::Raw;

    /// A callback URL as the agent of the seed made it.
    pub const SEED_URL: &str = "http://10.77.0.5 uid 0:9999";

    /// A site with a stand-in Ironic and a guard that redirects.
    pub struct Lab {
        pub daemon: Daemon,
        pub ironic: StandIn,
        pub site: Site,
    }

    impl std::ops::Deref for Lab {
        type Target = Site;

        fn deref(&self) -> &Site {
            &self.site
        }
    }

    impl Lab {
        pub fn new(flags: &[&str]) -> Self {
            Self::with(node_with_mac(), flags)
        }

        pub fn with(behaviour: Behaviour, flags: &[&str]) -> Self {
            Self::on(Site::new(), behaviour, flags)
        }

        pub fn on(site: Site, behaviour: Behaviour, flags: &[&str]) -> Self {
            let ironic = site.ironic(behaviour);
            let daemon = site.guard(flags);
            wait_drop_in(&daemon, FIRST, SOON);
            wait_redirect(&daemon);
            Self { daemon, ironic, site }
        }

        /// IPA has looked its node up, and has its token.
        pub fn asked() -> (Self, String) {
            let lab = Self::new(&[]);
            let token = token(&lab.lookup());
            (lab, token)
        }

        pub fn metric(&self, sample: &str) -> f64 {
            metric(&self.daemon, sample)
        }

        /// What IPA sent that came through.
        pub fn beats(&self, result: &str) -> f64 {
            self.metric(&format!("heartbeats_total{{result=\"{result}\",sender=\"ipa\"}}"))
        }

        pub fn bad(&self, action: &str) -> f64 {
            self.metric(&format!("bad_agent_url_total{{action=\"{action}\",source=\"ipa\"}}"))
        }

        /// A connection to Ironic, byte by byte.
        pub fn raw(&self) -> Raw {
            Raw::connect(&self.node, API)
        }

        /// One that has sent this.
        pub fn sent(&self, request: impl AsRef<[u8]>) -> Raw {
            let mut raw = self.raw();
            raw.send(request);
            raw
        }
    }

    /// A request without a body.
    pub fn get(target: &str) -> String {
        format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    pub fn lookup() -> String {
        format!("GET /v1/lookup?addresses={MAC} HTTP/1.1\r\nHost: x\r\n{VERSION_HEADER}: 1.62\r\n\r\n")
    }

    /// A heartbeat with this URL.
    pub fn beat(url: &str, token: &str) -> String {
        let body =
            format!(r#"{{"agent_version" : "13.0.0",  "callback_url": "{url}", "agent_token": "{token}" }}"#);
        format!(
            "POST /v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\nx-Odd-CASE:  y\r\n{VERSION_HEADER}: 1.68\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
