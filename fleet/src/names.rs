//! Names become addresses.

use std::net::IpAddr;

use ::names::{HOSTS, Lack, RESOLV_CONF, Sources};
use callback_url::Host;
use exporter::read_file;

/// The addresses of a host, as the C library finds them. A literal asks nobody.
///
/// # Errors
/// Why there is none.
pub async fn addresses(host: &Host) -> Result<Vec<IpAddr>, String> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name,
    };
    let read = |path: &str| read_file(path.as_ref()).unwrap_or_default();
    let sources = Sources::new(&read(HOSTS), &read(RESOLV_CONF));
    let [inet, inet6] = match sources.in_hosts_file(name) {
        Some(answers) => answers,
        None => sources.ask_dns(name).await.0,
    };
    match (inet, inet6) {
        (Err(Lack::Denied(_)), Err(lack)) | (Err(lack @ Lack::Unknown(_)), Err(_)) => {
            let (Lack::Denied(why) | Lack::Unknown(why)) = lack;
            Err(format!("{name} does not resolve: {why}"))
        }
        (inet, inet6) => Ok([inet.unwrap_or_default(), inet6.unwrap_or_default()].concat()),
    }
}
