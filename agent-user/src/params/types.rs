//! The parameters as the rest of the daemon sees them: typed, with the layers already merged.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::api_url::{ApiUrl, Host, Scheme};
use crate::secret::Secret;

/// Which family the advertise address may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FamilyChoice {
    /// Either; the order of RFC 6724 decides.
    #[default]
    Auto,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// How much the daemon touches (see the README's table of modes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Watches and reports, writes nothing.
    #[default]
    Observe,
    /// Writes IPA's configuration drop-in.
    Configure,
    /// Drop-in and loopback guard.
    Guard,
    /// Speaks to Ironic itself, in the place of IPA.
    Agent,
}

impl Mode {
    /// Every mode, in the order of the README.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Configure, Self::Guard, Self::Agent];

    /// The name on the command line and in the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Configure => "configure",
            Self::Guard => "guard",
            Self::Agent => "agent",
        }
    }
}

/// Whether IPA is given a list of API URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApiUrlList {
    /// Where the installed IPA understands lists (9.11 and newer).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether the eBPF probe of connects is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProbeChoice {
    /// Where the kernel allows it.
    #[default]
    Auto,
    /// Wanted: readiness says so where it cannot be had.
    On,
    /// Not wanted.
    Off,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// An API version of Ironic, like 1.62.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Before the dot.
    pub major: u16,
    /// Behind the dot.
    pub minor: u16,
}

/// How Ironic is reached.
#[derive(Debug, Clone, Default)]
pub struct IronicParameters {
    /// API URLs in the order in which they are tried; empty where none was given or none is usable.
    pub api_urls: Vec<ApiUrl>,
    /// CA certificates (PEM) instead of the system's.
    pub cafile: Option<PathBuf>,
    /// Our client certificate (PEM).
    pub certfile: Option<PathBuf>,
    /// Its key (PEM).
    pub keyfile: Option<PathBuf>,
    /// Server certificates are not verified.
    pub insecure: bool,
    /// The time for one whole request.
    pub request_timeout: Duration,
    /// The API version to speak; `None`: what the server offers.
    pub api_version: Option<ApiVersion>,
    /// A token handed out by the operator: no lookup is needed to get one.
    pub agent_token: Option<Secret>,
    /// Sent as `X-OpenStack-Request-ID`.
    pub global_request_id: Option<String>,
    /// Seed-era driver name, used by the vendor_passthru API only.
    pub driver_name: Option<String>,
}

/// What is advertised.
#[derive(Debug, Clone)]
pub struct AdvertiseParameters {
    /// The operator's own choice of host: exempt from the checks of assignment and route.
    pub host: Option<Host>,
    /// Port of the agent.
    pub port: u16,
    /// Scheme of the callback URL.
    pub protocol: Scheme,
    /// Only this device's route and addresses count.
    pub interface: Option<String>,
    /// Family of the address.
    pub family: FamilyChoice,
    /// The longest time that IPA's start (and the guard's lookup gate) waits for an address.
    pub wait: Duration,
}

/// Timing of our own lookups.
#[derive(Debug, Clone)]
pub struct LookupParameters {
    /// After this long without success a lookup has failed; the agent then says so and goes on trying.
    pub timeout: Duration,
    /// The first pause between two attempts.
    pub interval: Duration,
}

/// Where and how IPA is configured.
#[derive(Debug, Clone)]
pub struct IpaParameters {
    /// The directory of the drop-in.
    pub config_dir: PathBuf,
    /// The systemd unit to restart where IPA started with another address.
    pub restart_unit: Option<String>,
    /// Whether IPA gets a URL list.
    pub api_url_list: ApiUrlList,
}

/// The guard.
#[derive(Debug, Clone)]
pub struct GuardParameters {
    /// Its loopback listener.
    pub listen_address: SocketAddr,
    /// Sends the first heartbeat where IPA's heartbeat thread has died.
    pub stand_in: bool,
}

/// Options of IPA that we read but do not act on: they tell what IPA itself will do.
#[derive(Debug, Clone)]
pub struct IpaSettings {
    /// `listen_host`: where IPA listens.
    pub listen_host: Host,
    /// `listen_port`: IPA's port; the advertised one must lead to it.
    pub listen_port: u16,
    /// `ip_lookup_attempts`: how often IPA asks for its address.
    pub ip_lookup_attempts: u32,
    /// `ip_lookup_sleep`: the pause between two attempts.
    pub ip_lookup_sleep: Duration,
}

/// Which sources were read, and the files that our own layers name.
#[derive(Debug, Clone)]
pub struct SourceParameters {
    /// Our own configuration file.
    pub config_file: Option<PathBuf>,
    /// The kernel command line.
    pub cmdline_path: PathBuf,
    /// Whether virtual media may be read.
    pub vmedia: bool,
    /// The file that the agent token was read from.
    pub agent_token_file: Option<PathBuf>,
}

/// Every parameter, merged from all layers.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// How much we touch.
    pub mode: Mode,
    /// Listener of metrics, page and state; `None`: the default, dual-stack where the machine has IPv6.
    pub web_listen_address: Option<SocketAddr>,
    /// exporter-toolkit's web configuration.
    pub web_config_file: Option<PathBuf>,
    /// How Ironic is reached.
    pub ironic: IronicParameters,
    /// What is advertised.
    pub advertise: AdvertiseParameters,
    /// Our own lookups.
    pub lookup: LookupParameters,
    /// IPA's configuration.
    pub ipa: IpaParameters,
    /// The guard.
    pub guard: GuardParameters,
    /// Agent mode heartbeats although nothing listens on the advertised port.
    pub agent_without_listener: bool,
    /// The eBPF probe.
    pub probe_connect: ProbeChoice,
    /// Filter of log lines: a level, or `module=level` pairs (`tracing_subscriber::filter::Targets`).
    pub log_level: String,
    /// Look of log lines.
    pub log_format: LogFormat,
    /// What IPA itself is told and we do not act on.
    pub ipa_settings: IpaSettings,
    /// Where the parameters were read.
    pub sources: SourceParameters,
}

impl Default for Parameters {
    /// The built-in defaults, as if no layer said anything. A test keeps them equal to the table's.
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            web_listen_address: None,
            web_config_file: None,
            ironic: IronicParameters {
                request_timeout: Duration::from_secs(30),
                ..IronicParameters::default()
            },
            advertise: AdvertiseParameters {
                host: None,
                port: 9999,
                protocol: Scheme::Http,
                interface: None,
                family: FamilyChoice::default(),
                wait: Duration::from_secs(300),
            },
            lookup: LookupParameters { timeout: Duration::from_secs(600), interval: Duration::from_secs(1) },
            ipa: IpaParameters {
                config_dir: PathBuf::from("/etc/ironic-python-agent.d"),
                restart_unit: None,
                api_url_list: ApiUrlList::default(),
            },
            guard: GuardParameters {
                listen_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6385)),
                stand_in: false,
            },
            agent_without_listener: false,
            probe_connect: ProbeChoice::default(),
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
            ipa_settings: IpaSettings {
                listen_host: Host::Ip(Ipv6Addr::UNSPECIFIED.into()),
                listen_port: 9999,
                ip_lookup_attempts: 6,
                ip_lookup_sleep: Duration::from_secs(10),
            },
            sources: SourceParameters {
                config_file: None,
                cmdline_path: PathBuf::from("/proc/cmdline"),
                vmedia: true,
                agent_token_file: None,
            },
        }
    }
}
