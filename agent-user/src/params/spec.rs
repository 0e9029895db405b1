//! The one table of all parameters. Flags, variables, file keys, IPA's options, kernel parameters, defaults and help
//! all come from it.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use crate::image::place::DEFAULT_DIRECTORY;

use super::kind::Kind;
use super::types::{FamilyChoice, LogFormat, Mode, Parameters, ProbeChoice, RedirectChoice};
use super::value;

/// What every variable of the daemon begins with.
pub const ENVIRONMENT_PREFIX: &str = "IPA_SIDECAR_";

/// One parameter.
pub struct Parameter {
    /// The flag without its dashes, and the key in the daemon's configuration file.
    pub name: &'static str,
    /// The group in the help.
    pub heading: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// The option in the section `[DEFAULT]` of IPA's configuration files (`ironic_python_agent/config.py`).
    pub ipa_option: Option<&'static str>,
    /// Kernel parameters, the one of today first, then those of the first IPA releases.
    pub kernel_names: &'static [&'static str],
    /// Used where no layer says anything usable; `None`: unset.
    pub default: Option<&'static str>,
    pub secret: bool,
    /// Who may give it.
    pub(super) givers: Givers,
    /// How it is read.
    pub(super) kind: Kind,
}

/// Who may give a parameter, besides the foreign layers that its names say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Givers {
    /// Flag, environment and the daemon's file.
    Own,
    /// The same, but the flag belongs to `run` alone.
    OwnRunOnly,
    /// Flag and environment: the file cannot name itself.
    FlagAndEnvironment,
    /// Only IPA's layers: the daemon reads it, or must not have it on a command line.
    Foreign,
}

impl Parameter {
    /// Its variable, like `IPA_SIDECAR_IRONIC_API_URL`.
    pub fn environment_name(&self) -> String {
        let name = self.name.to_ascii_uppercase().replace(['.', '-'], "_");
        format!("{ENVIRONMENT_PREFIX}{name}")
    }

    /// The kernel parameter of today.
    pub fn kernel_name(&self) -> Option<&'static str> {
        self.kernel_names.first().copied()
    }
}

/// Whether a parameter has this as its kernel parameter.
pub fn is_kernel_name(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> =
        LazyLock::new(|| TABLE.iter().flat_map(|row| row.kernel_names).copied().collect());
    NAMES.contains(name)
}

/// Whether a parameter has this as its option of IPA's.
pub fn is_ipa_option(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> =
        LazyLock::new(|| TABLE.iter().filter_map(|row| row.ipa_option).collect());
    NAMES.contains(name)
}

/// What most rows have.
const PLAIN: Parameter = Parameter {
    name: "",
    heading: "",
    help: "",
    value_name: "VALUE",
    ipa_option: None,
    kernel_names: &[],
    default: None,
    secret: false,
    givers: Givers::Own,
    kind: Kind::Boolean(|p| &mut p.sources.vmedia),
};

const MODE: &str = "Mode";
const IRONIC: &str = "Ironic";
const ADVERTISE: &str = "Advertised address";
const LOOKUP: &str = "Lookup";
const IPA: &str = "IPA";
const GUARD: &str = "Guard";
const AGENT: &str = "Agent mode";
const PROBE: &str = "Probes";
const WEB: &str = "Web";
const REPORT: &str = "Last words";
const LOG: &str = "Log";
const SOURCES: &str = "Where parameters come from";

/// The port of ironic-python-agent (`listen_port`, `advertise_port` in ironic_python_agent/config.py).
const AGENT_PORT: &str = "9999";

const AT_LEAST_1_MS: Duration = Duration::from_millis(1);
/// Below this the daemon's lookups would be a storm.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// Every parameter, in the order of the help and of `params`.
pub static TABLE: &[Parameter] = &[
    Parameter {
        name: "mode",
        heading: MODE,
        help: "How much the daemon does: observe, configure, guard or agent",
        value_name: "MODE",
        default: Some("observe"),
        givers: Givers::OwnRunOnly,
        kind: Kind::Choice(&Mode::NAMES, |p, place| Mode::ALL.get(place).map(|one| p.mode = *one)),
        ..PLAIN
    },
    Parameter {
        name: "ironic.api-url",
        heading: IRONIC,
        help: "URLs of the Ironic API, in the order in which they are tried (comma list)",
        value_name: "URL,...",
        ipa_option: Some("api_url"),
        kernel_names: &["ipa-api-url", "ironic_api_url"],
        kind: Kind::ApiUrls(|p| &mut p.ironic.api_urls),
        ..PLAIN
    },
    Parameter {
        name: "ironic.cafile",
        heading: IRONIC,
        help: "CA certificates (PEM) for Ironic's certificate, instead of the system's",
        value_name: "FILE",
        ipa_option: Some("cafile"),
        kind: Kind::OptionalPath(|p| &mut p.ironic.cafile),
        ..PLAIN
    },
    Parameter {
        name: "ironic.certfile",
        heading: IRONIC,
        help: "Client certificate (PEM) to show to Ironic; needs --ironic.keyfile",
        value_name: "FILE",
        ipa_option: Some("certfile"),
        kind: Kind::OptionalPath(|p| &mut p.ironic.certfile),
        ..PLAIN
    },
    Parameter {
        name: "ironic.keyfile",
        heading: IRONIC,
        help: "Key (PEM) of the client certificate",
        value_name: "FILE",
        ipa_option: Some("keyfile"),
        kind: Kind::OptionalPath(|p| &mut p.ironic.keyfile),
        ..PLAIN
    },
    Parameter {
        name: "ironic.insecure",
        heading: IRONIC,
        help: "Do not verify Ironic's certificate",
        ipa_option: Some("insecure"),
        kernel_names: &["ipa-insecure"],
        default: Some("false"),
        kind: Kind::Boolean(|p| &mut p.ironic.insecure),
        ..PLAIN
    },
    Parameter {
        name: "ironic.request-timeout",
        heading: IRONIC,
        help: "The time for one whole request",
        value_name: "DURATION",
        ipa_option: Some("http_request_timeout"),
        kernel_names: &["ipa-http-request-timeout"],
        default: Some("30"),
        kind: Kind::Duration(AT_LEAST_1_MS, |p| &mut p.ironic.request_timeout),
        ..PLAIN
    },
    Parameter {
        name: "ironic.api-version",
        heading: IRONIC,
        help: "API version to speak, like 1.72; auto: what the server offers",
        value_name: "VERSION",
        ipa_option: Some("ironic_api_version"),
        kernel_names: &["ipa-ironic-api-version"],
        default: Some("auto"),
        kind: Kind::ApiVersion(|p| &mut p.ironic.api_version),
        ..PLAIN
    },
    Parameter {
        name: "ironic.agent-token-file",
        heading: IRONIC,
        help: "File with an agent token handed out by the operator; the token itself is never a flag",
        value_name: "FILE",
        kind: Kind::OptionalPath(|p| &mut p.sources.agent_token_file),
        ..PLAIN
    },
    Parameter {
        name: "ironic.agent-token",
        heading: IRONIC,
        help: "Agent token as IPA gets it, or as read from --ironic.agent-token-file",
        ipa_option: Some("agent_token"),
        kernel_names: &["ipa-agent-token"],
        secret: true,
        givers: Givers::Foreign,
        kind: Kind::Token(|p| &mut p.ironic.agent_token),
        ..PLAIN
    },
    Parameter {
        name: "ironic.global-request-id",
        heading: IRONIC,
        help: "Sent as X-OpenStack-Request-ID",
        value_name: "ID",
        ipa_option: Some("global_request_id"),
        kernel_names: &["ipa-global-request-id"],
        kind: Kind::Text(value::request_id, |p| &mut p.ironic.global_request_id),
        ..PLAIN
    },
    Parameter {
        name: "ironic.driver-name",
        heading: IRONIC,
        help: "Driver of the node, for the vendor_passthru API of the first Ironic releases only",
        value_name: "DRIVER",
        ipa_option: Some("driver_name"),
        kernel_names: &["ipa-driver-name"],
        kind: Kind::Text(value::driver_name, |p| &mut p.ironic.driver_name),
        ..PLAIN
    },
    Parameter {
        name: "advertise.host",
        heading: ADVERTISE,
        help: "Advertise this address or name, exempt from the checks of assignment and route",
        value_name: "HOST",
        ipa_option: Some("advertise_host"),
        kernel_names: &["ipa-advertise-host"],
        kind: Kind::AdvertiseHost(|p| &mut p.advertise.host),
        ..PLAIN
    },
    Parameter {
        name: "advertise.port",
        heading: ADVERTISE,
        help: "Port of the agent",
        value_name: "PORT",
        ipa_option: Some("advertise_port"),
        kernel_names: &["ipa-advertise-port"],
        default: Some(AGENT_PORT),
        kind: Kind::Port(|p| &mut p.advertise.port),
        ..PLAIN
    },
    Parameter {
        name: "advertise.protocol",
        heading: ADVERTISE,
        help: "Scheme of the callback URL: http or https",
        value_name: "SCHEME",
        ipa_option: Some("advertise_protocol"),
        kernel_names: &["ipa-advertise-protocol"],
        default: Some("http"),
        kind: Kind::Protocol(|p| &mut p.advertise.protocol),
        ..PLAIN
    },
    Parameter {
        name: "advertise.interface",
        heading: ADVERTISE,
        help: "Only the routes and addresses of this device count",
        value_name: "DEVICE",
        ipa_option: Some("network_interface"),
        kernel_names: &["ipa-network-interface"],
        kind: Kind::Text(value::interface, |p| &mut p.advertise.interface),
        ..PLAIN
    },
    Parameter {
        name: "advertise.family",
        heading: ADVERTISE,
        help: "Family of the address: auto, inet or inet6",
        value_name: "FAMILY",
        default: Some("auto"),
        kind: Kind::Choice(&FamilyChoice::NAMES, |p, place| {
            FamilyChoice::ALL.get(place).map(|one| p.advertise.family = *one)
        }),
        ..PLAIN
    },
    Parameter {
        name: "advertise.wait",
        heading: ADVERTISE,
        help: "The longest time that IPA's start waits for an address",
        value_name: "DURATION",
        default: Some("300"),
        kind: Kind::Duration(Duration::ZERO, |p| &mut p.advertise.wait),
        ..PLAIN
    },
    Parameter {
        name: "lookup.timeout",
        heading: LOOKUP,
        help: "After this long without success the lookup is reported as failed; the daemon keeps trying",
        value_name: "DURATION",
        ipa_option: Some("lookup_timeout"),
        kernel_names: &["ipa-lookup-timeout"],
        default: Some("600"),
        kind: Kind::Duration(Duration::ZERO, |p| &mut p.lookup.timeout),
        ..PLAIN
    },
    Parameter {
        name: "lookup.interval",
        heading: LOOKUP,
        help: "The first pause between two of the daemon's lookups",
        value_name: "DURATION",
        ipa_option: Some("lookup_interval"),
        kernel_names: &["ipa-lookup-interval"],
        default: Some("1"),
        kind: Kind::Duration(SHORTEST_INTERVAL, |p| &mut p.lookup.interval),
        ..PLAIN
    },
    Parameter {
        name: "ipa.config-dir",
        heading: IPA,
        help: "Directory of IPA's configuration drop-ins, instead of the one that IPA's unit or process shows",
        value_name: "DIRECTORY",
        default: Some(DEFAULT_DIRECTORY),
        kind: Kind::Path(|p| &mut p.ipa.config_dir),
        ..PLAIN
    },
    Parameter {
        name: "ipa.restart-unit",
        heading: IPA,
        help: "systemd service to restart where the address that IPA started with is lost before its lookup: auto, off or its \
               name",
        value_name: "UNIT",
        default: Some("auto"),
        kind: Kind::RestartUnit(|p| &mut p.ipa.restart_unit),
        ..PLAIN
    },
    Parameter {
        name: "ipa.listen-host",
        heading: IPA,
        help: "Where IPA listens; read to compare",
        ipa_option: Some("listen_host"),
        kernel_names: &["ipa-listen-host"],
        default: Some("::"),
        givers: Givers::Foreign,
        kind: Kind::Host(|p| &mut p.ipa_settings.listen_host),
        ..PLAIN
    },
    Parameter {
        name: "ipa.listen-port",
        heading: IPA,
        help: "IPA's port; read to compare",
        ipa_option: Some("listen_port"),
        kernel_names: &["ipa-listen-port"],
        default: Some(AGENT_PORT),
        givers: Givers::Foreign,
        kind: Kind::Port(|p| &mut p.ipa_settings.listen_port),
        ..PLAIN
    },
    Parameter {
        name: "ipa.ip-lookup-attempts",
        heading: IPA,
        help: "How often IPA asks for its address; read to compare",
        ipa_option: Some("ip_lookup_attempts"),
        kernel_names: &["ipa-ip-lookup-attempts"],
        default: Some("6"),
        givers: Givers::Foreign,
        kind: Kind::Count(|p| &mut p.ipa_settings.ip_lookup_attempts),
        ..PLAIN
    },
    Parameter {
        name: "ipa.ip-lookup-sleep",
        heading: IPA,
        help: "The pause between two of these; read to compare",
        ipa_option: Some("ip_lookup_sleep"),
        kernel_names: &["ipa-ip-lookup-timeout"], // Not "-sleep": ironic_python_agent/config.py.
        default: Some("10"),
        givers: Givers::Foreign,
        kind: Kind::Duration(Duration::ZERO, |p| &mut p.ipa_settings.ip_lookup_sleep),
        ..PLAIN
    },
    Parameter {
        name: "ipa.enable-auto-tls",
        heading: IPA,
        help: "IPA makes its certificate itself; read to know its scheme",
        ipa_option: Some("enable_auto_tls"),
        default: Some("true"),
        givers: Givers::Foreign,
        kind: Kind::Boolean(|p| &mut p.ipa_settings.enable_auto_tls),
        ..PLAIN
    },
    Parameter {
        name: "ipa.listen-tls",
        heading: IPA,
        help: "IPA gets its certificate from a file; read to know its scheme",
        ipa_option: Some("listen_tls"),
        default: Some("false"),
        givers: Givers::Foreign,
        kind: Kind::Boolean(|p| &mut p.ipa_settings.listen_tls),
        ..PLAIN
    },
    Parameter {
        name: "ipa.enable-vlan-interfaces",
        heading: IPA,
        help: "VLAN devices that IPA makes; then IPA's start does not wait for an address",
        ipa_option: Some("enable_vlan_interfaces"),
        kernel_names: &["ipa-enable-vlan-interfaces"],
        givers: Givers::Foreign,
        kind: Kind::Text(value::vlan_interfaces, |p| &mut p.ipa_settings.enable_vlan_interfaces),
        ..PLAIN
    },
    Parameter {
        name: "guard.listen-address",
        heading: GUARD,
        help: "Where the guard takes IPA's connections: 127.0.0.1 and a port",
        value_name: "ADDRESS:PORT",
        default: Some("127.0.0.1:6385"),
        kind: Kind::LoopbackAddress(|p| &mut p.guard.listen_address),
        ..PLAIN
    },
    Parameter {
        name: "guard.redirect",
        heading: GUARD,
        help: "Redirect IPA's connects to the API to the guard with eBPF: auto (where the kernel allows it) or off",
        value_name: "WHEN",
        default: Some("auto"),
        kind: Kind::Choice(&RedirectChoice::NAMES, |p, place| {
            RedirectChoice::ALL.get(place).map(|one| p.guard.redirect = *one)
        }),
        ..PLAIN
    },
    Parameter {
        name: "agent.without-listener",
        heading: AGENT,
        help: "Heartbeat although nothing listens on the advertised port",
        default: Some("false"),
        kind: Kind::Boolean(|p| &mut p.agent.without_listener),
        ..PLAIN
    },
    Parameter {
        name: "agent.beside-ipa",
        heading: AGENT,
        help: "With a token that was handed out, work beside an ironic-python-agent too",
        default: Some("false"),
        kind: Kind::Boolean(|p| &mut p.agent.beside_ipa),
        ..PLAIN
    },
    Parameter {
        name: "agent.verify-ca",
        heading: AGENT,
        help: "Certificate (PEM) by which Ironic verifies what listens on the advertised port",
        value_name: "FILE",
        kind: Kind::OptionalPath(|p| &mut p.agent.verify_ca),
        ..PLAIN
    },
    Parameter {
        name: "probe.connect",
        heading: PROBE,
        help: "The eBPF probe of failed connects: auto, on or off",
        value_name: "WHEN",
        default: Some("auto"),
        kind: Kind::Choice(&ProbeChoice::NAMES, |p, place| {
            ProbeChoice::ALL.get(place).map(|one| p.probe_connect = *one)
        }),
        ..PLAIN
    },
    Parameter {
        name: "web.listen-address",
        heading: WEB,
        help: "Where to serve metrics, page and state; unset: port 10099 on every address",
        value_name: "ADDRESS:PORT",
        kind: Kind::ListenAddress(|p| &mut p.web_listen_address),
        ..PLAIN
    },
    Parameter {
        name: "web.config.file",
        heading: WEB,
        help: "Web configuration of the Prometheus exporter toolkit (YAML): TLS and basic auth",
        value_name: "FILE",
        kind: Kind::OptionalPath(|p| &mut p.web_config_file),
        ..PLAIN
    },
    Parameter {
        name: "report.url",
        heading: REPORT,
        help: "Where to send this node's state with each heartbeat, answer and call-back, and at the end: an ipa-fleet",
        value_name: "URL",
        kernel_names: &["ipa-sidecar-report-url"],
        kind: Kind::ReportUrl(|p| &mut p.report.url),
        ..PLAIN
    },
    Parameter {
        name: "report.cafile",
        heading: REPORT,
        help: "CA certificates (PEM) for the receiver's certificate, instead of the system's",
        value_name: "FILE",
        kind: Kind::OptionalPath(|p| &mut p.report.cafile),
        ..PLAIN
    },
    Parameter {
        name: "report.token-file",
        heading: REPORT,
        help: "File with the receiver's secret in its first line",
        value_name: "FILE",
        kind: Kind::OptionalPath(|p| &mut p.report.token_file),
        ..PLAIN
    },
    Parameter {
        name: "log.level",
        heading: LOG,
        help: "off, error, warn, info, debug, trace, or a filter by module like info,guard=debug",
        value_name: "FILTER",
        default: Some("info"),
        kind: Kind::LogFilter(|p| &mut p.log_level),
        ..PLAIN
    },
    Parameter {
        name: "log.format",
        heading: LOG,
        help: "Format of log lines: text or json",
        value_name: "FORMAT",
        default: Some("text"),
        kind: Kind::Choice(&LogFormat::NAMES, |p, place| {
            LogFormat::ALL.get(place).map(|one| p.log_format = *one)
        }),
        ..PLAIN
    },
    Parameter {
        name: "config.file",
        heading: SOURCES,
        help: "Configuration file (TOML); its keys are the names of the flags",
        value_name: "FILE",
        givers: Givers::FlagAndEnvironment,
        kind: Kind::OptionalPath(|p| &mut p.sources.config_file),
        ..PLAIN
    },
    Parameter {
        name: "cmdline.path",
        heading: SOURCES,
        help: "The kernel command line",
        value_name: "FILE",
        default: Some("/proc/cmdline"),
        kind: Kind::Path(|p| &mut p.sources.cmdline_path),
        ..PLAIN
    },
    Parameter {
        name: "vmedia",
        heading: SOURCES,
        help: "Read virtual media where the kernel command line says boot_method=vmedia",
        default: Some("true"),
        kind: Kind::Boolean(|p| &mut p.sources.vmedia),
        ..PLAIN
    },
];

impl Default for Parameters {
    /// The defaults of the table, as if no layer said anything.
    fn default() -> Self {
        let mut parameters = Self::unset();
        for row in TABLE {
            if let Some(default) = row.default {
                row.kind.read(default, false, &mut parameters);
            }
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_in_every_layer() {
        let mut seen = BTreeSet::new();
        for row in TABLE {
            assert!(!row.name.is_empty() && !row.heading.is_empty() && !row.help.is_empty(), "{}", row.name);
            assert!(seen.insert(row.name.to_owned()), "{}", row.name);
            assert!(seen.insert(row.environment_name()), "{}", row.name);
            for name in row.kernel_names.iter().chain(&row.ipa_option) {
                assert!(seen.insert((*name).to_owned()), "{name}");
            }
        }
        let api_url = TABLE.iter().find(|row| row.name == "ironic.api-url").unwrap();
        assert_eq!(api_url.environment_name(), "IPA_SIDECAR_IRONIC_API_URL");
    }

    #[test]
    fn every_default_can_be_read() {
        for row in TABLE {
            let mut parameters = Parameters::unset();
            if let Some(default) = row.default {
                assert!(row.kind.read(default, false, &mut parameters).value.is_some(), "{}", row.name);
            }
        }
    }
}
