//! The guard between a client that speaks as IPA does and a stand-in Ironic: gate, repair, hold, silence, bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod bytes;
mod gate;
mod heartbeat;
mod hostile;
mod http;
mod latency;
mod observed;
mod raw;
mod read_back;
mod repair;
mod restart;
mod signals;
mod silence;
mod systemd;
mod upstream;

use std::time::Duration;

use raw::Raw;
use testbed::daemon::Daemon;
use testbed::ironic::VERSION_HEADER;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, Fault, Path, StandIn};

/// IPA's time-out in the tests of silence, and when the guard must have gone silent.
const TIMEOUT_FLAG: &str = "--ironic.request-timeout=2s";
const SILENT_WITHIN: Duration = Duration::from_millis(1950);
/// A callback URL as the agent of the seed made it.
const SEED_URL: &str = "http://10.77.0.5 uid 0:9999";

/// A site with a stand-in Ironic and a running daemon.
struct Lab {
    daemon: Daemon,
    ironic: StandIn,
    site: Site,
}

impl std::ops::Deref for Lab {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Lab {
    /// With its drop-in written.
    fn new(flags: &[&str]) -> Self {
        Self::with(node_with_mac(), flags)
    }

    fn with(behaviour: Behaviour, flags: &[&str]) -> Self {
        let site = Site::new();
        let ironic = site.ironic(behaviour);
        let daemon = site.guard(flags);
        wait_drop_in(&daemon, FIRST, SOON);
        Self { daemon, ironic, site }
    }

    /// IPA has looked its node up, and has its token.
    fn asked(flags: &[&str]) -> (Self, String) {
        let lab = Self::new(flags);
        let token = lab.token();
        (lab, token)
    }

    /// IPA's first lookup; gives the token.
    fn token(&self) -> String {
        token(&self.lookup(PREFIX))
    }

    fn metric(&self, sample: &str) -> f64 {
        metric(&self.daemon, sample)
    }

    /// What IPA sent that came through: `sender="ipa"`.
    fn beats(&self, result: &str) -> f64 {
        self.metric(&format!("heartbeats_total{{result=\"{result}\",sender=\"ipa\"}}"))
    }

    fn lookups(&self, sender: &str, result: &str) -> f64 {
        self.metric(&format!("lookup_attempts_total{{result=\"{result}\",sender=\"{sender}\"}}"))
    }

    fn bad(&self, source: &str, action: &str) -> f64 {
        self.metric(&format!("bad_agent_url_total{{action=\"{action}\",source=\"{source}\"}}"))
    }
}

/// A connection to the guard of a site, byte by byte.
trait ToGuard {
    fn raw(&self) -> Raw;

    /// One that has sent this.
    fn sent(&self, request: impl AsRef<[u8]>) -> Raw {
        let mut raw = self.raw();
        raw.send(request);
        raw
    }
}

impl ToGuard for Site {
    fn raw(&self) -> Raw {
        Raw::connect(&self.node, GUARD)
    }
}

/// A request without a body.
fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// IPA's first request.
fn discovery() -> String {
    get(&format!("{PREFIX}/"))
}

fn lookup() -> String {
    get(&format!("{PREFIX}/v1/lookup?addresses={MAC}"))
}

/// The head of a heartbeat, without its end.
fn beat_head() -> String {
    format!("POST {PREFIX}/v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\n{VERSION_HEADER}: 1.68\r\n")
}

fn beat(body: &str) -> String {
    format!("{}Content-Length: {}\r\n\r\n{body}", beat_head(), body.len())
}

fn beat_body(token: &str) -> String {
    format!(r#"{{"callback_url": "{FIRST_URL}", "agent_token": "{token}", "agent_version": "13.0.0"}}"#)
}
