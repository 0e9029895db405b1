//! The configuration file of a small Ironic: one process pair, sqlite, no message bus, hardware that is only played.

use std::net::IpAddr;
use std::path::Path;

use super::Options;

/// Interfaces of `fake-hardware`; `direct` deploys through an agent, so heartbeats run Ironic's real code.
const INTERFACES: [(&str, &str); 13] = [
    ("bios", "no-bios"),
    ("boot", "fake"),
    ("console", "no-console"),
    ("deploy", "direct"),
    ("firmware", "no-firmware"),
    ("inspect", "no-inspect"),
    ("management", "fake"),
    ("network", "noop"),
    ("power", "fake"),
    ("raid", "no-raid"),
    ("rescue", "no-rescue"),
    ("storage", "noop"),
    ("vendor", "no-vendor"),
];

/// The text of `ironic.conf` for an Ironic that keeps everything in `directory`.
pub(super) fn text(options: &Options, port: u16, directory: &Path) -> String {
    let directory = directory.display();
    let (bind, url) = (options.bind, super::url(options.bind, port));
    let mut interfaces = String::new();
    for (kind, implementation) in INTERFACES {
        interfaces.push_str(&format!("enabled_{kind}_interfaces = {implementation}\n"));
    }
    // The address that the conductor tells to nodes; it must be IPv4, and nothing here uses it.
    let my_ip = match bind {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(_) => "127.0.0.1".to_owned(),
    };
    format!(
        "[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = testbed-conductor
my_ip = {my_ip}
debug = true
log_file = {directory}/ironic.log
state_path = {directory}/state
enabled_hardware_types = fake-hardware
{interfaces}
[api]
host_ip = {bind}
port = {port}
api_workers = 1
ramdisk_heartbeat_timeout = {heartbeat_timeout}

[database]
connection = sqlite:///{directory}/ironic.sqlite?timeout=30

[conductor]
automated_clean = true

[deploy]
fast_track = {fast_track}
http_root = {directory}/http
http_url = http://127.0.0.1:1

[agent]
require_tls = {require_tls}
certificates_path = {directory}/certificates

[dhcp]
dhcp_provider = none

[service_catalog]
auth_type = none
endpoint_override = {url}

[oslo_messaging_notifications]
driver = noop
",
        heartbeat_timeout = options.heartbeat_timeout,
        fast_track = options.fast_track,
        require_tls = options.require_tls,
    )
}
