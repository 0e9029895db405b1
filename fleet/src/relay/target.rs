//! Whom the relay may ask. Pure.

use std::net::IpAddr;

use text::labels;

use crate::cidr::Cidrs;
use crate::place::is_forbidden;
use crate::ramdisks::Ramdisks;

labels! {
    /// What became of a request: label `result` of `ipa_fleet_relay_requests_total`.
    pub enum RelayResult {
        /// The metrics of the node were passed on.
        Ok = "ok": "the metrics of the node",
        /// There is no relay.
        Off = "off": "the relay is off: --relay.allow names no network",
        /// It names no node by its UUID.
        BadRequest = "bad_request": "ask with ?node=UUID",
        /// Ironic has no such node.
        UnknownNode = "unknown_node": "no such node",
        /// Its agent_url has no address, and none is suggested.
        NoAddress = "no_address": "the address of this node is not known",
        /// Its address is loopback, link-local, multicast, unspecified, or this machine's own.
        ForbiddenAddress = "forbidden_address": "loopback, link-local, multicast and own addresses are never asked",
        /// Its address is in none of the networks.
        NotAllowed = "not_allowed": "the address of this node is in no network of --relay.allow",
        /// This node is asked already, or too many are.
        Busy = "busy": "this node is being asked already, or 64 others are",
        /// There was no connection, or it broke.
        Unreachable = "unreachable": "the sidecar of this node cannot be reached",
        /// It did not answer in time.
        Timeout = "timeout": "the sidecar of this node did not answer in time",
        /// It answered with a redirect, which is not followed.
        Redirected = "redirected": "it answered with a redirect, which is not followed",
        /// It answered with another status than 200.
        Refused = "refused": "it answered with another status than 200",
        /// Its answer is larger than 1 MiB.
        TooLarge = "too_large": "its answer is larger than 1 MiB",
        /// Its answer is no text of metrics.
        NotMetrics = "not_metrics": "its answer is no text format of Prometheus",
    }
}

/// The address at which a node is asked, by its UUID. That of its `agent_url` goes before the one that should stand there.
/// `is_own`: whether an address is this machine's.
///
/// # Errors
/// Why it is not asked.
pub fn target(
    uuid: &str,
    ramdisks: &Ramdisks,
    allow: &Cidrs,
    is_own: impl Fn(IpAddr) -> bool,
) -> Result<IpAddr, RelayResult> {
    let node = ramdisks.get(uuid).ok_or(RelayResult::UnknownNode)?;
    let mut refusal = RelayResult::NoAddress;
    for address in [node.claimed, node.suggested].into_iter().flatten().map(|ip| ip.to_canonical()) {
        match () {
            () if is_forbidden(address) || is_own(address) => refusal = RelayResult::ForbiddenAddress,
            () if !allow.contain(address) => refusal = RelayResult::NotAllowed,
            () => return Ok(address),
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ramdisks::Ramdisk;

    const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";

    fn ask(claimed: Option<&str>, suggested: Option<&str>, allow: &str) -> Result<String, RelayResult> {
        let read = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let node = Ramdisk { uuid: NODE.to_owned(), claimed: read(claimed), suggested: read(suggested) };
        let own: IpAddr = "192.0.2.254".parse().unwrap();
        let ramdisks = [node].into_iter().collect();
        target(NODE, &ramdisks, &Cidrs::parse(allow).unwrap(), |ip| ip == own).map(|ip| ip.to_string())
    }

    const ALL: &str = "0.0.0.0/0,::/0";

    #[test]
    fn a_known_node_inside_the_networks_is_asked() {
        assert_eq!(ask(Some("192.0.2.1"), None, "192.0.2.0/24").as_deref(), Ok("192.0.2.1"));
        assert_eq!(ask(Some("::ffff:192.0.2.1"), None, "192.0.2.0/24").as_deref(), Ok("192.0.2.1"));
        assert_eq!(ask(None, Some("2001:db8::1"), "2001:db8::/32").as_deref(), Ok("2001:db8::1"));
        assert_eq!(ask(Some("127.0.0.1"), Some("192.0.2.1"), ALL).as_deref(), Ok("192.0.2.1"));
    }

    #[test]
    fn everything_else_is_refused() {
        let known = [].into_iter().collect();
        let unknown = target(NODE, &known, &Cidrs::parse(ALL).unwrap(), |_| false);
        assert_eq!(unknown, Err(RelayResult::UnknownNode));
        assert_eq!(ask(None, None, ALL), Err(RelayResult::NoAddress));
        for address in ["192.0.3.1", "::ffff:192.0.3.1", "2001:db8::1"] {
            assert_eq!(ask(Some(address), None, "192.0.2.0/24"), Err(RelayResult::NotAllowed), "{address}");
        }
        for address in [
            "127.0.0.1",
            "127.255.255.255",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "192.0.2.254",
            "::ffff:192.0.2.254",
            "::127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert_eq!(ask(Some(address), None, ALL), Err(RelayResult::ForbiddenAddress), "{address}");
        }
    }
}
