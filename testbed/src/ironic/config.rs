//! The configuration file of a small Ironic: one process pair, sqlite, no message bus, hardware that is only played.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use super::{Auth, Installation, Options};

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
    let (strategy, auth_files, middleware) = match &options.auth {
        Auth::Nobody => ("noauth", String::new(), String::new()),
        Auth::HttpBasic { .. } => {
            ("http_basic", format!("\nhttp_basic_auth_user_file = {directory}/htpasswd"), String::new())
        }
        Auth::Keystone { url, password, .. } => ("keystone", String::new(), keystone(url, password)),
    };
    format!(
        "[DEFAULT]
auth_strategy = {strategy}{auth_files}
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
sync_power_state_interval = {power_sync}

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
{middleware}",
        heartbeat_timeout = options.heartbeat_timeout,
        power_sync = options.power_sync,
        fast_track = options.fast_track,
        require_tls = options.require_tls,
    )
}

/// How keystonemiddleware verifies the tokens of those who ask.
fn keystone(url: &str, password: &str) -> String {
    format!(
        "
[keystone_authtoken]
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
username = admin
password = {password}
project_name = admin
user_domain_id = default
project_domain_id = default
"
    )
}

/// Writes the file with the one user of http_basic, whose password is kept as bcrypt makes it.
pub(super) fn write_user(
    installation: &Installation,
    file: &Path,
    user: &str,
    password: &str,
) -> io::Result<()> {
    let hash = "import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())";
    let output = Command::new(installation.python()).args(["-c", hash, password]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::write(file, format!("{user}:{}", String::from_utf8_lossy(&output.stdout)))
}
