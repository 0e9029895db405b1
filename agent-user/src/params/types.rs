//! The parameters as the rest of the daemon sees them: typed, with the layers already merged.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use api_client::ApiVersion;
use callback_url::{ApiUrl, Host, Scheme};
pub use settings::LogFormat;
use text::{Secret, labels};

labels! {
    /// Which family the advertise address may have.
    pub enum FamilyChoice {
        /// Either; the order of RFC 6724 decides.
        Auto = "auto",
        /// IPv4 only.
        Inet = "inet",
        /// IPv6 only.
        Inet6 = "inet6",
    }
}

labels! {
    /// How much the daemon touches (see the README's table of modes).
    pub enum Mode {
        /// Watches and reports, writes nothing.
        Observe = "observe",
        /// Writes IPA's configuration drop-in.
        Configure = "configure",
        /// Drop-in, and IPA's connections to Ironic pass through the daemon.
        Guard = "guard",
        /// Speaks to Ironic itself, in the place of IPA.
        Agent = "agent",
    }
}

labels! {
    /// Whether IPA's connects are led through the guard.
    pub enum RedirectChoice {
        /// Where the kernel allows it.
        Auto = "auto",
        /// Never: the guard is off.
        Off = "off",
    }
}

labels! {
    /// Whether the eBPF probe of connects is wanted.
    pub enum ProbeChoice {
        /// Where the kernel allows it.
        Auto = "auto",
        /// Wanted: readiness says so where it cannot be had.
        On = "on",
        /// Not wanted.
        Off = "off",
    }
}

/// How Ironic is reached.
#[derive(Debug, Clone, Default)]
pub struct IronicParameters {
    /// API URLs in the order in which they are tried; empty where none was given or none is usable.
    pub api_urls: Vec<ApiUrl>,
    /// CA certificates (PEM) instead of the system's.
    pub cafile: Option<PathBuf>,
    /// The daemon's client certificate (PEM).
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
    /// The scheme is only what IPA is going to use as far as its image tells: a URL that Ironic holds may have the other.
    pub protocol_is_expected: bool,
    /// Only this device's route and addresses count.
    pub interface: Option<String>,
    /// Family of the address.
    pub family: FamilyChoice,
    /// The longest time that IPA's start waits for an address.
    pub wait: Duration,
}

/// Timing of its own lookups.
#[derive(Debug, Clone)]
pub struct LookupParameters {
    /// After this long without success a lookup has failed; the agent then says so and goes on trying.
    pub timeout: Duration,
    /// The first pause between two attempts.
    pub interval: Duration,
}

/// Which unit is restarted where IPA's address is lost before its lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestartUnit {
    /// The one that IPA runs in, or that is installed.
    Auto,
    /// None: IPA is not restarted.
    Off,
    /// This one.
    Named(String),
}

/// Where and how IPA is configured.
#[derive(Debug, Clone)]
pub struct IpaParameters {
    /// The directory of the drop-in.
    pub config_dir: PathBuf,
    /// What is restarted where its address is lost before its lookup.
    pub restart_unit: RestartUnit,
}

/// The guard.
#[derive(Debug, Clone)]
pub struct GuardParameters {
    /// Its loopback listener.
    pub listen_address: SocketAddr,
    /// Whether connects are redirected to it.
    pub redirect: RedirectChoice,
}

/// Mode agent.
#[derive(Debug, Clone, Default)]
pub struct AgentParameters {
    /// Heartbeats although nothing listens on the advertised port.
    pub without_listener: bool,
    /// Works beside an IPA too, where the token was handed out.
    pub beside_ipa: bool,
    /// The certificate (PEM) of what listens on the advertised port, for Ironic.
    pub verify_ca: Option<PathBuf>,
}

/// Where the node's last words go.
#[derive(Debug, Clone, Default)]
pub struct ReportParameters {
    /// The receiver; `None`: no report is sent.
    pub url: Option<ApiUrl>,
    /// CA certificates (PEM) for its certificate, instead of the system's.
    pub cafile: Option<PathBuf>,
    /// The file with the secret that it wants.
    pub token_file: Option<PathBuf>,
}

/// Options of IPA that the daemon reads but does not act on: they show what IPA itself will do.
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
    /// `enable_auto_tls`: it makes its certificate itself and serves https.
    pub enable_auto_tls: bool,
    /// `listen_tls`: it is given its certificate.
    pub listen_tls: bool,
    /// `enable_vlan_interfaces`: the VLAN devices that it makes before it looks for Ironic.
    pub enable_vlan_interfaces: Option<String>,
}

impl IpaSettings {
    /// Whether IPA makes the network itself, so that there may be none before it starts.
    pub fn makes_network(&self) -> bool {
        self.enable_vlan_interfaces.as_ref().is_some_and(|devices| !devices.is_empty())
    }
}

/// Which sources were read, and the files that the daemon's own layers name.
#[derive(Debug, Clone)]
pub struct SourceParameters {
    /// The daemon's own configuration file.
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
    /// How much the daemon touches.
    pub mode: Mode,
    /// Listener of metrics, page and state; `None`: the default, dual-stack where the machine has IPv6.
    pub web_listen_address: Option<SocketAddr>,
    /// exporter-toolkit's web configuration.
    pub web_config_file: Option<PathBuf>,
    /// How Ironic is reached.
    pub ironic: IronicParameters,
    /// What is advertised.
    pub advertise: AdvertiseParameters,
    /// The daemon's own lookups.
    pub lookup: LookupParameters,
    /// IPA's configuration.
    pub ipa: IpaParameters,
    /// The guard.
    pub guard: GuardParameters,
    /// Mode agent.
    pub agent: AgentParameters,
    /// The eBPF probe.
    pub probe_connect: ProbeChoice,
    /// Where the node's last words go.
    pub report: ReportParameters,
    /// Filter of log lines: a level, or `module=level` pairs (`tracing_subscriber::filter::Targets`).
    pub log_level: String,
    /// Look of log lines.
    pub log_format: LogFormat,
    /// What is set for IPA itself, and the daemon only compares.
    pub ipa_settings: IpaSettings,
    /// Where the parameters were read.
    pub sources: SourceParameters,
}

impl Parameters {
    /// Nothing is set yet: the defaults stand in the table of parameters.
    pub(super) fn unset() -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            mode: Mode::Observe,
            web_listen_address: None,
            web_config_file: None,
            ironic: IronicParameters::default(),
            advertise: AdvertiseParameters {
                host: None,
                port: 0,
                protocol: Scheme::Http,
                protocol_is_expected: false,
                interface: None,
                family: FamilyChoice::Auto,
                wait: Duration::ZERO,
            },
            lookup: LookupParameters { timeout: Duration::ZERO, interval: Duration::ZERO },
            ipa: IpaParameters { config_dir: PathBuf::new(), restart_unit: RestartUnit::Auto },
            guard: GuardParameters { listen_address: nowhere, redirect: RedirectChoice::Auto },
            agent: AgentParameters::default(),
            probe_connect: ProbeChoice::Auto,
            report: ReportParameters::default(),
            log_level: String::new(),
            log_format: LogFormat::Text,
            ipa_settings: IpaSettings {
                listen_host: Host::Ip(nowhere.ip()),
                listen_port: 0,
                ip_lookup_attempts: 0,
                ip_lookup_sleep: Duration::ZERO,
                enable_auto_tls: true,
                listen_tls: false,
                enable_vlan_interfaces: None,
            },
            sources: SourceParameters {
                config_file: None,
                cmdline_path: PathBuf::new(),
                vmedia: false,
                agent_token_file: None,
            },
        }
    }
}
