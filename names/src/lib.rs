//! Host names become addresses as glibc's getaddrinfo finds them with `hosts: files dns`: first `/etc/hosts`, then DNS as
//! `/etc/resolv.conf` says. In Rust: a static binary cannot load the C library's resolver modules.
//!
//! The two families are asked apart: a name server that fails for one of them takes nothing from the other.

mod hosts;
mod message;
mod resolv_conf;
mod search;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use resolv_conf::Config;

/// The hosts file.
pub const HOSTS: &str = "/etc/hosts";
/// The resolver's configuration.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why a family of a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// A server says that there are none.
    Denied(String),
    /// Nobody could say.
    Unknown(String),
}

/// The addresses of one family.
pub type Family = Result<Vec<IpAddr>, Lack>;

/// What is found of one name: IPv4, IPv6.
pub type Answers = [Family; 2];

/// Where names are looked for; cheap to clone.
#[derive(Debug, Clone)]
pub struct Sources {
    hosts: Arc<[u8]>,
    config: Arc<Config>,
}

impl Sources {
    /// By the contents of both files; one that is missing counts as empty.
    pub fn new(hosts: &[u8], resolv_conf: &[u8]) -> Self {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { hosts: hosts.into(), config: Arc::new(Config::read(resolv_conf, &host_name)) }
    }

    /// What the hosts file has; `None` where it does not have the name, and DNS is to be asked.
    pub fn in_hosts_file(&self, name: &str) -> Option<Answers> {
        hosts::addresses(&self.hosts, name).map(search::from_file)
    }

    /// Asks DNS; with how long the answer is good.
    pub async fn ask_dns(&self, name: &str) -> (Answers, Duration) {
        search::walk(name, &self.config).await
    }
}
