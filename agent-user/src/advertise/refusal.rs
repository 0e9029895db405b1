//! Why a candidate is not advertised: a closed set, the label of `advertise_refusals_total` and the `reason` in JSON.

use text::labels;

labels! {
    /// Why a candidate is refused.
    pub enum Refusal {
        /// 127.0.0.0/8, ::1 or their mapped forms: the conductor would reach itself.
        Loopback = "loopback",
        /// 169.254.0.0/16 or fe80::/10.
        LinkLocal = "link_local",
        /// 0.0.0.0/8 or ::.
        Unspecified = "unspecified",
        /// A multicast group (or the broadcast address).
        Multicast = "multicast",
        /// Duplicate address detection has not ended.
        Tentative = "tentative",
        /// Duplicate address detection found another owner.
        DadFailed = "dad_failed",
        /// No device here has the address.
        NotAssigned = "not_assigned",
        /// The outgoing device is not up.
        DeviceDown = "device_down",
        /// The outgoing device has no carrier.
        NoCarrier = "no_carrier",
        /// The kernel has no route.
        NoRoute = "no_route",
        /// The route says `unreachable`.
        Unreachable = "unreachable",
        /// The route or rule says `prohibit`.
        Prohibit = "prohibit",
        /// The route says `blackhole`.
        Blackhole = "blackhole",
        /// The kernel has a route, but not from this source.
        SourceRouteRefused = "source_route_refused",
        /// Not on the device that the operator named.
        WrongDevice = "wrong_device",
        /// The API's name has no address (of the wanted family).
        NameUnresolved = "name_unresolved",
        /// There is no API URL to ask about.
        NoApiUrl = "no_api_url",
    }
}
