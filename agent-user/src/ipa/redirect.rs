//! The API URL that leads IPA through the guard: written into the drop-in, read back out of each request.

use std::net::SocketAddr;

use callback_url::{ApiUrl, Host};

/// The first segment of the API URL that our drop-in gives to IPA: what follows is the address that the same drop-in
/// makes it advertise. So each request says which drop-in its sender started with.
const STARTED_WITH: &str = "/advertise/";

/// The API URL that IPA is given for the guard that listens there.
pub fn guard_url(listen: SocketAddr, address: &Host) -> String {
    format!("http://{listen}{STARTED_WITH}{}", address.bare())
}

/// Whether an API URL leads to the guard that listens on this address.
pub fn is_guard(url: &ApiUrl, listen: SocketAddr) -> bool {
    let same_host = match &url.host {
        Host::Ip(ip) => *ip == listen.ip(),
        Host::Name(name) => name == "localhost" && listen.ip().is_loopback(),
    };
    same_host && url.port == listen.port()
}

/// Splits the path of a request to the guard: the address that the sender's drop-in had, if it came by our drop-in's
/// URL, and the path for Ironic.
pub fn split_path(path: &str) -> (Option<Host>, &str) {
    let Some(rest) = path.strip_prefix(STARTED_WITH) else {
        return (None, path);
    };
    let (address, rest) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    match Host::parse(address) {
        Some(host) => (Some(host), rest),
        None => (None, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_url_is_known() {
        let listen = "127.0.0.1:6385".parse().unwrap();
        for (url, expected) in [
            ("http://127.0.0.1:6385", true),
            ("http://127.0.0.1:6385/advertise/10.0.0.1", true),
            ("http://localhost:6385/", true),
            ("http://127.0.0.1:6386", false),
            ("http://127.0.0.2:6385", false),
            ("http://10.77.0.1:6385", false),
            ("http://ironic:6385", false),
        ] {
            assert_eq!(is_guard(&ApiUrl::parse(url).unwrap(), listen), expected, "{url}");
        }
    }

    #[test]
    fn a_path_tells_the_drop_in() {
        let address = Host::parse("fd77::2").unwrap();
        let url = guard_url("127.0.0.1:6385".parse().unwrap(), &address);
        assert_eq!(url, "http://127.0.0.1:6385/advertise/fd77::2");
        assert_eq!(split_path("/advertise/fd77::2/v1/lookup"), (Some(address.clone()), "/v1/lookup"));
        assert_eq!(split_path("/advertise/fd77::2"), (Some(address.clone()), "/"));
        assert_eq!(split_path("/advertise/fd77::2/"), (Some(address), "/"));
        assert_eq!(split_path("/v1/lookup"), (None, "/v1/lookup"));
        assert_eq!(split_path("/advertise//v1/lookup"), (None, "/advertise//v1/lookup"));
    }
}
