//! The one table of all parameters. Flags, variables, file keys, defaults and help all come from it.

use std::time::Duration;

use settings::LogFormat;
use settings::file::Form;
use settings::value::{self, Wanted};

use crate::cidr::Cidrs;
use crate::logging;

use super::types::{AuthKind, Parameters};

/// The prefix of every variable of this program.
pub const ENVIRONMENT_PREFIX: &str = "IPA_FLEET_";

/// One parameter.
pub struct Parameter {
    /// The flag without its dashes, and the key in the configuration file.
    pub name: &'static str,
    /// The group in the help.
    pub heading: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// Used where nobody gives one; `None`: unset.
    pub default: Option<&'static str>,
    /// How it stands in the file.
    pub form: Form,
    /// Reads the text and stores the value.
    pub read: fn(&str, &mut Parameters) -> Result<(), Wanted>,
}

impl Parameter {
    /// Its variable, like `IPA_FLEET_IRONIC_URL`.
    pub fn environment_name(&self) -> String {
        let name = self.name.to_ascii_uppercase().replace(['.', '-'], "_");
        format!("{ENVIRONMENT_PREFIX}{name}")
    }
}

/// The configuration file's own parameter, which the file cannot give.
pub const CONFIG_FILE: &str = "config.file";

const IRONIC: &str = "Ironic";
const CLOUD: &str = "Keystone";
const NODES: &str = "Nodes";
const WEB: &str = "Web";
const SD: &str = "Targets for Prometheus";
const SIDECAR: &str = "Sidecars";
const LOG: &str = "Log";
const SOURCES: &str = "Where parameters come from";
const REPORT: &str = "Reports of sidecars";
const RELAY: &str = "Relay";

/// What the flags of a command are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// One look: what concerns Ironic, the log and the file.
    Look,
    /// Everything.
    Serve,
}

impl Use {
    /// Whether a command of this kind has the flag; file and environment may always give it.
    pub fn has(self, row: &Parameter) -> bool {
        const LOOK: [&str; 5] = [IRONIC, CLOUD, NODES, LOG, SOURCES];
        self == Self::Serve || LOOK.contains(&row.heading)
    }
}

/// Below this no Ironic with many nodes would ever be fast enough.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Every parameter, in the order of the help.
pub static TABLE: &[Parameter] = &[
    Parameter {
        name: "ironic.url",
        heading: IRONIC,
        help: "URL of the Ironic API; with a cloud, instead of the catalog's",
        value_name: "URL",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.url, Some(value::api_url(text)?)),
    },
    Parameter {
        name: "ironic.auth",
        heading: IRONIC,
        help: "How to authenticate, where no cloud is named: none or http_basic",
        value_name: "KIND",
        default: Some("none"),
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.auth, choice(text, &AuthKind::NAMES, &AuthKind::ALL)?),
    },
    Parameter {
        name: "ironic.username",
        heading: IRONIC,
        help: "User of http_basic",
        value_name: "NAME",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.username, Some(username(text)?)),
    },
    Parameter {
        name: "ironic.password-file",
        heading: IRONIC,
        help: "File with that user's password, in its first line",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.password_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "ironic.cafile",
        heading: IRONIC,
        help: "CA certificates (PEM) for the certificates of Ironic and Keystone, instead of the system's",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.cafile, Some(value::path(text)?)),
    },
    Parameter {
        name: "ironic.certfile",
        heading: IRONIC,
        help: "Client certificate (PEM) to show; needs --ironic.keyfile",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.certfile, Some(value::path(text)?)),
    },
    Parameter {
        name: "ironic.keyfile",
        heading: IRONIC,
        help: "Key (PEM) of the client certificate",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.keyfile, Some(value::path(text)?)),
    },
    Parameter {
        name: "ironic.insecure",
        heading: IRONIC,
        help: "Do not verify certificates",
        value_name: "true|false",
        default: Some("false"),
        form: Form::Boolean,
        read: |text, p| store(&mut p.ironic.insecure, value::boolean(text)?),
    },
    Parameter {
        name: "ironic.request-timeout",
        heading: IRONIC,
        help: "The time for one request",
        value_name: "DURATION",
        default: Some("60"),
        form: Form::Duration,
        read: |text, p| store(&mut p.ironic.request_timeout, value::duration(text, SHORTEST_TIMEOUT, false)?),
    },
    Parameter {
        name: "ironic.conductor-group",
        heading: IRONIC,
        help: "Only nodes of this conductor group; \"\" is the default group",
        value_name: "NAME",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.ironic.conductor_group, Some(group(text)?)),
    },
    Parameter {
        name: "os-cloud",
        heading: CLOUD,
        help: "The cloud of clouds.yaml and secure.yaml; OS_* variables are read as well",
        value_name: "NAME",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.os_cloud, Some(text.to_owned())),
    },
    Parameter {
        name: "fast-track",
        heading: NODES,
        help: "Ask for available, manageable and enroll nodes too: with fast track a ramdisk may run in them",
        value_name: "true|false",
        default: Some("false"),
        form: Form::Boolean,
        read: |text, p| store(&mut p.fast_track, value::boolean(text)?),
    },
    Parameter {
        name: "web.listen-address",
        heading: WEB,
        help: "Where to serve pages and metrics; [::] is every address, IPv4 too [default: [::]:10100]",
        value_name: "ADDRESS:PORT",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.web.listen_address, Some(value::listen_address(text)?)),
    },
    Parameter {
        name: "web.config.file",
        heading: WEB,
        help: "TLS and passwords for the pages, in the YAML of the Prometheus exporter toolkit",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.web.config_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "web.external-url",
        heading: WEB,
        help: "How Prometheus reaches this program, where that is not the Host that it asks for",
        value_name: "URL",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.web.external_url, Some(value::api_url(text)?)),
    },
    Parameter {
        name: "sd.allow",
        heading: SD,
        help: "Networks in which /sd lists ramdisks, a comma list like 192.0.2.0/24; unset: any address that a node claims",
        value_name: "NETWORKS",
        default: None,
        form: Form::List,
        read: |text, p| store(&mut p.sd_allow, Some(Cidrs::parse(text)?)),
    },
    Parameter {
        name: "sidecar.port",
        heading: SIDECAR,
        help: "The port of the sidecars' pages",
        value_name: "PORT",
        default: Some("10099"),
        form: Form::Number,
        read: |text, p| store(&mut p.sidecar.port, value::port(text)?),
    },
    Parameter {
        name: "sidecar.scheme",
        heading: SIDECAR,
        help: "http, or https where their --web.config.file asks for TLS",
        value_name: "SCHEME",
        default: Some("http"),
        form: Form::Text,
        read: |text, p| store(&mut p.sidecar.scheme, value::protocol(text)?),
    },
    Parameter {
        name: "sidecar.cafile",
        heading: SIDECAR,
        help: "CA certificates (PEM) for the certificates of the sidecars, instead of the system's",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.sidecar.cafile, Some(value::path(text)?)),
    },
    Parameter {
        name: "sidecar.insecure",
        heading: SIDECAR,
        help: "Do not verify the certificates of the sidecars",
        value_name: "true|false",
        default: Some("false"),
        form: Form::Boolean,
        read: |text, p| store(&mut p.sidecar.insecure, value::boolean(text)?),
    },
    Parameter {
        name: "sidecar.username",
        heading: SIDECAR,
        help: "The user for the sidecars' pages",
        value_name: "NAME",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.sidecar.username, Some(username(text)?)),
    },
    Parameter {
        name: "sidecar.password-file",
        heading: SIDECAR,
        help: "File with that user's password, in its first line",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.sidecar.password_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "log.level",
        heading: LOG,
        help: "off, error, warn, info, debug, trace, or a filter by module like info,poll=debug",
        value_name: "FILTER",
        default: Some("warn"),
        form: Form::Text,
        read: |text, p| {
            logging::filter(text)?;
            store(&mut p.log_level, text.to_owned())
        },
    },
    Parameter {
        name: "log.format",
        heading: LOG,
        help: "Format of log lines: text or json",
        value_name: "FORMAT",
        default: Some("text"),
        form: Form::Text,
        read: |text, p| store(&mut p.log_format, choice(text, &LogFormat::NAMES, &LogFormat::ALL)?),
    },
    Parameter {
        name: CONFIG_FILE,
        heading: SOURCES,
        help: "Configuration file (TOML); its keys are the names of the flags",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.config_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "report.listen-address",
        heading: REPORT,
        help: "Where to accept the reports of sidecars; unset: nowhere",
        value_name: "ADDRESS:PORT",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.report.listen_address, Some(value::listen_address(text)?)),
    },
    Parameter {
        name: "report.allow",
        heading: REPORT,
        help: "The networks that may send reports (comma list)",
        value_name: "CIDR,...",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.report.allow, Cidrs::parse(text)?),
    },
    Parameter {
        name: "report.token-file",
        heading: REPORT,
        help: "File with the secret that reports must carry, in its first line",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.report.token_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "report.config.file",
        heading: REPORT,
        help: "Web configuration of the Prometheus exporter toolkit (YAML) for reports: TLS",
        value_name: "FILE",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.report.config_file, Some(value::path(text)?)),
    },
    Parameter {
        name: "relay.allow",
        heading: RELAY,
        help: "The networks in which the relay may ask sidecars (comma list); unset: nowhere",
        value_name: "CIDR,...",
        default: None,
        form: Form::Text,
        read: |text, p| store(&mut p.relay_allow, Cidrs::parse(text)?),
    },
];

fn store<T>(field: &mut T, value: T) -> Result<(), Wanted> {
    *field = value;
    Ok(())
}

fn choice<T: Copy>(text: &str, names: &[&str], values: &[T]) -> Result<T, Wanted> {
    let place = names.iter().position(|name| *name == text);
    let found = place.and_then(|place| values.get(place)).copied();
    found.ok_or_else(|| format!("one of {}", names.join(", ")).into())
}

/// RFC 7617, 2: a colon would end it.
fn username(text: &str) -> Result<String, Wanted> {
    match text.contains(':') || text.chars().any(char::is_control) {
        true => Err("a user name without a colon".into()),
        false => Ok(text.to_owned()),
    }
}

/// ironic/common/utils.py, `validate_conductor_group`. The two quotes stand for the default group, since an empty
/// parameter is one that is not given.
fn group(text: &str) -> Result<String, Wanted> {
    let name = if text == "\"\"" { "" } else { text };
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name.len() <= 255 && name.bytes().all(sound) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err("a conductor group: letters, digits, -, _ and .".into()),
    }
}

#[cfg(test)]
impl Parameters {
    /// The defaults.
    #[allow(clippy::unwrap_used)]
    pub fn for_tests() -> Self {
        let mut parameters = Self::unset();
        for (row, default) in TABLE.iter().filter_map(|row| Some((row, row.default?))) {
            (row.read)(default, &mut parameters).unwrap();
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_defaults_can_be_read() {
        let mut seen = BTreeSet::new();
        for row in TABLE {
            assert!(!row.help.is_empty() && seen.insert(row.name), "{}", row.name);
            let mut parameters = Parameters::unset();
            let read = row.default.map(|default| (row.read)(default, &mut parameters));
            assert!(read.is_none_or(|read| read.is_ok()), "{}", row.name);
        }
        assert_eq!(TABLE[0].environment_name(), "IPA_FLEET_IRONIC_URL");
    }

    #[test]
    fn narrow_values() {
        assert_eq!(group("\"\"").as_deref(), Ok(""));
        assert_eq!(group("Rack-1").as_deref(), Ok("rack-1"));
        assert!(group("a b").is_err() && group("a&b").is_err());
        assert!(username("a:b").is_err() && username("admin").is_ok());
    }
}
