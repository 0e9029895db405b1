//! Why a callback URL is bad, and what is doubtful about a good one: closed sets, and the labels of
//! `bad_agent_url_reasons_total` and `agent_url_warnings_total`.

use crate::labels::labels;

labels! {
    /// One thing that is wrong with a callback URL, in the order in which a URL is judged.
    pub enum Reason {
        /// Nothing at all.
        Empty = "empty": "the URL is empty",
        /// Not of the form `scheme://host:port`.
        Unparseable = "unparseable": "this is not a URL of the form http://ADDRESS:PORT",
        /// Neither http nor https.
        Scheme = "scheme": "the scheme is neither http nor https",
        /// `user@` or `user:password@`.
        UserInfo = "userinfo": "it carries a user name or password",
        /// A blank anywhere.
        Whitespace = "whitespace": "it contains a blank",
        /// `%20` and the like in the host.
        PercentEncodedHost = "percent_encoded_host": "the host is percent-encoded text, not an address",
        /// A control character anywhere.
        ControlCharacter = "control_character": "it contains a control character",
        /// `http://:9999`.
        HostMissing = "host_missing": "it has no host",
        /// `None`, `null`, `undefined`: a program printed the lack of an address.
        PlaceholderHost = "placeholder_host": "the host is a program's word for \"no address\"",
        /// Octal, hexadecimal, short or integer forms of IPv4.
        AmbiguousIpv4 = "ambiguous_ipv4": "the host is a number that programs read differently, not a dotted quad",
        /// A host with letters outside ASCII.
        NonAsciiHost = "non_ascii_host": "the host has characters outside ASCII",
        /// An IPv6 address without brackets.
        UnbracketedIpv6 = "unbracketed_ipv6": "the IPv6 address has no brackets",
        /// `fe80::1%eth0`.
        ZoneId = "zone_id": "the address names a device of this machine (zone), which means nothing elsewhere",
        /// `0.0.0.0`, `::`.
        Unspecified = "unspecified": "the address is the unspecified one",
        /// `127.0.0.0/8`, `::1`, `localhost`.
        Loopback = "loopback": "the conductor would connect to itself",
        /// `169.254.0.0/16`, `fe80::/10`.
        LinkLocal = "link_local": "a link-local address cannot be reached from elsewhere",
        /// `224.0.0.0/4`, `ff00::/8`.
        Multicast = "multicast": "the address is a multicast group",
        /// `255.255.255.255`.
        Broadcast = "broadcast": "the address is the broadcast address",
        /// No port.
        PortMissing = "port_missing": "it has no port",
        /// 0, over 65535, or no number.
        PortInvalid = "port_invalid": "the port is no number from 1 to 65535",
        /// Anything behind the port, a slash included.
        Path = "path": "it has a path; Ironic appends its own",
        /// `?...`.
        Query = "query": "it has a query",
        /// `#...`.
        Fragment = "fragment": "it has a fragment",
        /// http where Ironic wants TLS.
        NotTls = "not_tls": "Ironic requires https here",
        /// A name where the certificate needs an address.
        HostnameWithTls = "hostname_with_tls": "the certificate is made for an address, not for a name",
        /// The address is not this machine's.
        NotAssigned = "not_assigned": "the address is not assigned here",
        /// The address is not usable yet.
        Tentative = "tentative": "the address is still being checked for duplicates",
        /// The certificate is for another address.
        SanMismatch = "san_mismatch": "the certificate is for another address",
        /// 192.0.0.0/29, class E, and what is for documentation only.
        NotRoutable = "not_routable": "the address is from a range that no network routes",
        /// Ironic holds a URL that is no longer this node's.
        PinnedStale = "pinned_stale": "Ironic holds another URL and takes no new one before a power cycle",
    }
}

labels! {
    /// What is doubtful about a callback URL that may be right: never a reason to hold it or to change it.
    pub enum Warning {
        /// The kernel would use another source address.
        RouteMismatch = "route_mismatch": "the route to Ironic has another source address",
        /// The preferred lifetime of the address is over (RFC 4862).
        Deprecated = "deprecated": "the preferred lifetime of the address is over",
        /// A privacy address (RFC 8981).
        Temporary = "temporary": "the address is a privacy address, and another one will replace it",
    }
}
