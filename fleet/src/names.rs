//! Names become addresses, in Rust: a static binary cannot load the C library's resolver modules.

use std::net::IpAddr;
use std::time::Duration;

use callback_url::Host;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

/// Of one question to one server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The addresses of a host, as /etc/hosts and /etc/resolv.conf have them. A literal asks nobody.
///
/// # Errors
/// Why there is none.
pub async fn addresses(host: &Host) -> Result<Vec<IpAddr>, String> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name,
    };
    let problem = |error: &dyn std::fmt::Display| format!("{name} does not resolve: {error}");
    let mut builder = TokioResolver::builder_tokio().map_err(|error| problem(&error))?;
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.options_mut().timeout = SERVER_TIMEOUT;
    let resolver = builder.build().map_err(|error| problem(&error))?;
    let found = resolver.lookup_ip(name.as_str()).await.map_err(|error| problem(&error))?;
    let addresses: Vec<_> = found.iter().collect();
    if addresses.is_empty() { Err(problem(&"it has no address")) } else { Ok(addresses) }
}
