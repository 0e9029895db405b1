//! The one error of this layer: everything that keeps a request from being answered as hoped.

use std::time::Duration;

use api_client::version::version_text;
use api_client::{ApiVersion, HttpError, Peer};
use thiserror::Error;

use super::results::{HeartbeatResult, LookupResult};

/// What an HTTP status other than success means, by status and, for 400, by Ironic's text
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
    /// 406: the server does not speak the API version that the daemon asked for.
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
    /// No answer at all.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No API URL, or none with an address.
    #[error("no Ironic API URL has an address to connect to: check the API URL and name resolution")]
    NoEndpoint,
    /// No whole exchange within the time that its sender had.
    #[error("Ironic did not answer within {after:?}")]
    Late {
        /// How long.
        after: Duration,
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

impl IronicError {
    /// The label of a lookup that ended so.
    pub fn lookup_result(&self) -> LookupResult {
        match self {
            Self::NoEndpoint => LookupResult::ConnectError,
            Self::Http(HttpError::Connect { .. } | HttpError::ConnectionLost { .. }) => {
                LookupResult::ConnectError
            }
            Self::Http(HttpError::TlsFile { .. } | HttpError::TlsConfig { .. } | HttpError::Tls { .. }) => {
                LookupResult::TlsError
            }
            Self::Http(HttpError::Timeout { .. }) | Self::Late { .. } => LookupResult::Timeout,
            Self::Http(
                HttpError::NotHttp { .. } | HttpError::TooLarge { .. } | HttpError::InvalidResponse { .. },
            )
            | Self::InvalidResponse { .. } => LookupResult::InvalidResponse,
            Self::VersionTooOld { .. } | Self::InvalidRequest { .. } => LookupResult::ClientError,
            Self::Refused { refusal, .. } => refusal.lookup_result(),
        }
    }

    /// The label of a heartbeat that ended so.
    pub fn heartbeat_result(&self) -> HeartbeatResult {
        match self {
            Self::NoEndpoint => HeartbeatResult::ConnectError,
            Self::Http(HttpError::Connect { .. } | HttpError::ConnectionLost { .. }) => {
                HeartbeatResult::ConnectError
            }
            Self::Http(HttpError::TlsFile { .. } | HttpError::TlsConfig { .. } | HttpError::Tls { .. }) => {
                HeartbeatResult::TlsError
            }
            Self::Http(HttpError::Timeout { .. }) | Self::Late { .. } => HeartbeatResult::Timeout,
            Self::Http(
                HttpError::NotHttp { .. } | HttpError::TooLarge { .. } | HttpError::InvalidResponse { .. },
            )
            | Self::InvalidResponse { .. } => HeartbeatResult::ServerError,
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

    /// Whether the next address or API URL is worth a try; see [`HttpError::tries_next`].
    pub fn tries_next(&self) -> bool {
        matches!(self, Self::Http(error) if error.tries_next())
    }

    /// Whether Ironic may have acted on the request although no answer came: a lookup that ends so may have
    /// taken the token.
    pub fn may_have_been_served(&self) -> bool {
        match self {
            Self::Http(error) => error.may_have_been_served(),
            Self::InvalidResponse { .. } | Self::Late { .. } => true,
            _ => false,
        }
    }
}
