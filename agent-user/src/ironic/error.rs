//! The one error of this layer: everything that keeps a request from being answered as hoped.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use callback_url::{ApiUrl, Host};
use exporter::ClientTlsError;
use thiserror::Error;

use crate::params::ApiVersion;

use super::results::{HeartbeatResult, LookupResult};
use super::version::version_text;

/// Whom a request went to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The API URL as configured.
    pub url: ApiUrl,
    /// The address that was tried for it.
    pub address: SocketAddr,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.host {
            Host::Ip(_) => self.url.fmt(f),
            Host::Name(_) => write!(f, "{} ({})", self.url, self.address.ip()),
        }
    }
}

/// How far a request had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP connect.
    Connect,
    /// TLS handshake.
    TlsHandshake,
    /// The request was sent, its answer had not begun.
    Response,
    /// The head of the answer had come, its body was not complete.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "accept the connection",
            Self::TlsHandshake => "finish the TLS handshake",
            Self::Response => "answer",
            Self::Body => "finish its answer",
        })
    }
}

/// What an HTTP status other than success means, told apart by status and, for 400, by Ironic's text
/// (ironic/api/controllers/v1/ramdisk.py, ironic/conductor/manager.py `heartbeat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400: another callback URL was accepted before.
    PinnedUrl,
    /// 400: another `agent_verify_ca` was accepted before.
    PinnedCertificate,
    /// 400: no token in the heartbeat.
    TokenRequired,
    /// 400: a wrong token.
    TokenInvalid,
    /// 400: the callback URL is not https.
    TlsRequired,
    /// 400: no agent_version in the heartbeat.
    AgentVersionRequired,
    /// 400: Ironic cannot read the callback URL.
    CallbackUrlMalformed,
    /// 400: a field that the negotiated API version does not know.
    FieldUnknown,
    /// 400: no usable MAC and no UUID in the lookup.
    LookupIncomplete,
    /// 404.
    NotFound,
    /// 406: the server does not speak the API version that we asked for.
    VersionNotAccepted,
    /// 409: the node is locked.
    Locked,
    /// 3xx: not followed, since the token would go to a place that nobody configured.
    Redirect,
    /// Any other 4xx.
    Client,
    /// 5xx.
    Server,
}

impl Refusal {
    /// The label of a lookup that was refused so.
    pub fn lookup_result(self) -> LookupResult {
        match self {
            Self::NotFound => LookupResult::NotFound,
            Self::Locked => LookupResult::Conflict,
            Self::Server => LookupResult::ServerError,
            _ => LookupResult::ClientError,
        }
    }

    /// The label of a heartbeat that was refused so.
    pub fn heartbeat_result(self) -> HeartbeatResult {
        match self {
            Self::PinnedUrl | Self::PinnedCertificate => HeartbeatResult::PinnedRefused,
            Self::TokenRequired | Self::TokenInvalid => HeartbeatResult::TokenRefused,
            Self::TlsRequired => HeartbeatResult::TlsRequired,
            Self::NotFound => HeartbeatResult::NotFound,
            Self::Locked => HeartbeatResult::Conflict,
            Self::Server => HeartbeatResult::ServerError,
            _ => HeartbeatResult::ClientError,
        }
    }

    /// What to do about it; empty where Ironic's own text says enough.
    pub fn advice(self) -> &'static str {
        match self {
            Self::PinnedUrl => {
                "; Ironic keeps the URL it accepted first until the node is powered off or rebooted through Ironic"
            }
            Self::PinnedCertificate => {
                "; Ironic keeps the certificate it accepted first until the node is powered off or rebooted through Ironic"
            }
            Self::TokenRequired | Self::TokenInvalid => {
                "; the token goes to the first lookup after power on: another sender may have it"
            }
            Self::TlsRequired => "; Ironic wants an https callback URL ([agent]require_tls)",
            Self::Redirect => "; redirects are not followed: configure the URL it points to",
            Self::NotFound => {
                "; is the URL the bare metal API's, the node known there, and in a state that awaits its ramdisk?"
            }
            Self::AgentVersionRequired
            | Self::CallbackUrlMalformed
            | Self::FieldUnknown
            | Self::LookupIncomplete
            | Self::VersionNotAccepted
            | Self::Locked
            | Self::Client
            | Self::Server => "",
        }
    }
}

/// Why a request to Ironic failed. No variant holds a token; texts of the server are redacted, escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IronicError {
    /// No API URL, or none with an address.
    #[error("no Ironic API URL has an address to connect to: check the API URL and name resolution")]
    NoEndpoint,
    /// A file of the TLS configuration.
    #[error("{option} {path:?}: {problem}")]
    TlsFile {
        /// `cafile`, `certfile` or `keyfile`.
        option: &'static str,
        /// The file as configured.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The TLS configuration as a whole.
    #[error("TLS to Ironic cannot be set up: {problem}")]
    TlsConfig {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// No TCP connection.
    #[error("cannot connect to {peer}: {problem}")]
    Connect {
        /// Whom.
        peer: Box<Peer>,
        /// The kernel's errno, where it gave one.
        errno: Option<i32>,
        /// Its text.
        problem: String,
    },
    /// The connection broke before the answer began.
    #[error("{peer} broke the connection before it answered: {problem}")]
    ConnectionLost {
        /// Whom.
        peer: Box<Peer>,
        /// How.
        problem: String,
    },
    /// No TLS handshake, or the certificate was refused.
    #[error("no TLS with {peer}: {problem}")]
    Tls {
        /// Whom.
        peer: Box<Peer>,
        /// Why, in words.
        problem: String,
    },
    /// Nothing in time.
    #[error("{peer} did not {phase} within {after:?}")]
    Timeout {
        /// Whom.
        peer: Box<Peer>,
        /// What was waited for.
        phase: Phase,
        /// How long.
        after: Duration,
    },
    /// No whole exchange within the time that its sender had.
    #[error("Ironic did not answer within {after:?}")]
    Late {
        /// How long.
        after: Duration,
    },
    /// What came back is not HTTP/1.1, or its head is too large.
    #[error("{peer} did not answer with HTTP: {problem}")]
    NotHttp {
        /// Whom.
        peer: Box<Peer>,
        /// What hyper says.
        problem: String,
    },
    /// An HTTP status other than success.
    #[error("{peer} answered {status}: {message}{advice}", advice = refusal.advice())]
    Refused {
        /// Whom.
        peer: Box<Peer>,
        /// The HTTP status.
        status: u16,
        /// What it means.
        refusal: Refusal,
        /// Ironic's text.
        message: String,
    },
    /// Success by its status, but not usable.
    #[error("{peer} gave an answer that is not Ironic's: {problem}")]
    InvalidResponse {
        /// Whom.
        peer: Box<Peer>,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The API is older than what is asked of it.
    #[error("Ironic offers API {}, but {purpose} needs {}", version_text(*offered), version_text(*needed))]
    VersionTooOld {
        /// The newest version that it speaks, or that the operator set.
        offered: ApiVersion,
        /// The version that brought it.
        needed: ApiVersion,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// The request could not be made from what the caller gave.
    #[error("no request to Ironic: {problem}")]
    InvalidRequest {
        /// The value, and what would be right.
        problem: String,
    },
}

impl From<ClientTlsError> for IronicError {
    fn from(error: ClientTlsError) -> Self {
        match error {
            ClientTlsError::File { option, path, problem } => Self::TlsFile { option, path, problem },
            ClientTlsError::NoCa => {
                Self::TlsConfig { problem: format!("{error}: give Ironic's CA with cafile") }
            }
            ClientTlsError::Other(problem) => Self::TlsConfig { problem },
        }
    }
}

impl IronicError {
    /// The label of a lookup that ended so.
    pub fn lookup_result(&self) -> LookupResult {
        match self {
            Self::NoEndpoint | Self::Connect { .. } | Self::ConnectionLost { .. } => {
                LookupResult::ConnectError
            }
            Self::TlsFile { .. } | Self::TlsConfig { .. } | Self::Tls { .. } => LookupResult::TlsError,
            Self::Timeout { .. } | Self::Late { .. } => LookupResult::Timeout,
            Self::NotHttp { .. } | Self::InvalidResponse { .. } => LookupResult::InvalidResponse,
            Self::VersionTooOld { .. } | Self::InvalidRequest { .. } => LookupResult::ClientError,
            Self::Refused { refusal, .. } => refusal.lookup_result(),
        }
    }

    /// The label of a heartbeat that ended so.
    pub fn heartbeat_result(&self) -> HeartbeatResult {
        match self {
            Self::NoEndpoint | Self::Connect { .. } | Self::ConnectionLost { .. } => {
                HeartbeatResult::ConnectError
            }
            Self::TlsFile { .. } | Self::TlsConfig { .. } | Self::Tls { .. } => HeartbeatResult::TlsError,
            Self::Timeout { .. } | Self::Late { .. } => HeartbeatResult::Timeout,
            Self::NotHttp { .. } | Self::InvalidResponse { .. } => HeartbeatResult::ServerError,
            Self::VersionTooOld { .. } | Self::InvalidRequest { .. } => HeartbeatResult::ClientError,
            Self::Refused { refusal, .. } => refusal.heartbeat_result(),
        }
    }

    /// What the HTTP status meant, where there was one.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            _ => None,
        }
    }

    /// Whether the next address or API URL is worth a try: no answer had begun. Any HTTP status is final, as in IPA
    /// (`CONNECT_EXCEPTIONS`, ironic_api_client.py).
    pub fn tries_next(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::ConnectionLost { .. } | Self::Tls { .. } | Self::NotHttp { .. } => {
                true
            }
            Self::Timeout { phase, .. } => *phase != Phase::Body,
            _ => false,
        }
    }

    /// Whether Ironic may have acted on the request although we have no answer: a lookup that ends so may have
    /// taken the token.
    pub fn may_have_been_served(&self) -> bool {
        match self {
            Self::ConnectionLost { .. }
            | Self::InvalidResponse { .. }
            | Self::NotHttp { .. }
            | Self::Late { .. } => true,
            Self::Timeout { phase, .. } => matches!(phase, Phase::Response | Phase::Body),
            _ => false,
        }
    }
}
