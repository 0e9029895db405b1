//! The parameters as the rest of the program sees them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use callback_url::{ApiUrl, Scheme};
use settings::LogFormat;
use text::labels;

use crate::cidr::Cidrs;

labels! {
    /// How to authenticate to Ironic, where no cloud is named.
    pub enum AuthKind {
        /// Not at all.
        None = "none",
        /// User name and password (RFC 7617), as in Bifrost and Metal3.
        HttpBasic = "http_basic",
    }
}

/// How Ironic is reached.
#[derive(Debug, Clone)]
pub struct IronicParameters {
    /// Its API; with a cloud, instead of what the catalog says.
    pub url: Option<ApiUrl>,
    /// How to authenticate.
    pub auth: AuthKind,
    /// The user of http_basic.
    pub username: Option<String>,
    /// The file with that user's password.
    pub password_file: Option<PathBuf>,
    /// CA certificates (PEM) instead of the system's.
    pub cafile: Option<PathBuf>,
    /// This program's client certificate (PEM).
    pub certfile: Option<PathBuf>,
    /// Its key (PEM).
    pub keyfile: Option<PathBuf>,
    /// Server certificates are not verified.
    pub insecure: bool,
    /// The time for one request.
    pub request_timeout: Duration,
    /// Only nodes of this conductor group; the empty text is the default group.
    pub conductor_group: Option<String>,
}

/// Where and to whom serving the pages.
#[derive(Debug, Clone, Default)]
pub struct WebParameters {
    /// Where it listens; `None` for the default port on every address.
    pub listen_address: Option<SocketAddr>,
    /// The configuration file of the Prometheus exporter toolkit: TLS, passwords.
    pub config_file: Option<PathBuf>,
    /// How others reach this program, where that is not the Host of their requests.
    pub external_url: Option<ApiUrl>,
}

/// How every sidecar of the fleet is reached.
#[derive(Debug, Clone)]
pub struct SidecarParameters {
    /// The port of its pages.
    pub port: u16,
    /// Whether over TLS.
    pub scheme: Scheme,
    /// CA certificates (PEM) instead of the system's.
    pub cafile: Option<PathBuf>,
    /// Certificates are not verified.
    pub insecure: bool,
    /// The user that its pages want.
    pub username: Option<String>,
    /// The file with that user's password.
    pub password_file: Option<PathBuf>,
}

/// Where sidecars send what they know.
#[derive(Debug, Clone, Default)]
pub struct ReportParameters {
    /// Where reports are taken; `None`: nowhere.
    pub listen_address: Option<SocketAddr>,
    /// Who may send them.
    pub allow: Cidrs,
    /// The file with the secret that they carry.
    pub token_file: Option<PathBuf>,
    /// The configuration file of the Prometheus exporter toolkit, for TLS.
    pub config_file: Option<PathBuf>,
}

/// Every parameter.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// How Ironic is reached.
    pub ironic: IronicParameters,
    /// The cloud of clouds.yaml.
    pub os_cloud: Option<String>,
    /// States in which a ramdisk runs only with fast track are asked for too.
    pub fast_track: bool,
    /// Where and to whom serving the pages.
    pub web: WebParameters,
    /// The networks in which ramdisks may be that Prometheus is to ask; `None`: anywhere.
    pub sd_allow: Option<Cidrs>,
    /// How every sidecar is reached.
    pub sidecar: SidecarParameters,
    /// Where sidecars send what they know.
    pub report: ReportParameters,
    /// Where the relay may go; empty: nowhere.
    pub relay_allow: Cidrs,
    /// Filter of log lines.
    pub log_level: String,
    /// Look of log lines.
    pub log_format: LogFormat,
    /// The configuration file.
    pub config_file: Option<PathBuf>,
}

impl Parameters {
    /// Nothing is set yet: the defaults stand in the table.
    pub(super) fn unset() -> Self {
        Self {
            ironic: IronicParameters {
                url: None,
                auth: AuthKind::None,
                username: None,
                password_file: None,
                cafile: None,
                certfile: None,
                keyfile: None,
                insecure: false,
                request_timeout: Duration::ZERO,
                conductor_group: None,
            },
            os_cloud: None,
            fast_track: false,
            web: WebParameters::default(),
            sd_allow: None,
            sidecar: SidecarParameters {
                port: 0,
                scheme: Scheme::Http,
                cafile: None,
                insecure: false,
                username: None,
                password_file: None,
            },
            report: ReportParameters::default(),
            relay_allow: Cidrs::default(),
            log_level: String::new(),
            log_format: LogFormat::Text,
            config_file: None,
        }
    }
}
