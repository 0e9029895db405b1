//! Why Ironic could not be asked, as a closed set.

use api_client::HttpError;
use text::labels;

use crate::api::ApiError;

labels! {
    /// Label `reason` of `ipa_fleet_poll_failures_total`.
    pub enum Refusal {
        /// The host's name does not resolve.
        Name = "name",
        /// No connection, or it broke.
        Connect = "connect",
        /// No TLS.
        Tls = "tls",
        /// No answer in time.
        Timeout = "timeout",
        /// 401.
        Unauthorized = "unauthorized",
        /// 403.
        Forbidden = "forbidden",
        /// Another status below 500.
        ClientError = "client_error",
        /// A status from 500 on.
        ServerError = "server_error",
        /// An answer that cannot be used.
        Invalid = "invalid",
        /// What the operator gave cannot be used.
        Settings = "settings",
    }
}

impl Refusal {
    /// Of an error.
    pub fn of(error: &ApiError) -> Self {
        match error {
            ApiError::Http(error) => match error {
                HttpError::Connect { .. } | HttpError::ConnectionLost { .. } => Self::Connect,
                HttpError::Tls { .. } | HttpError::TlsFile { .. } | HttpError::TlsConfig { .. } => Self::Tls,
                HttpError::Timeout { .. } => Self::Timeout,
                HttpError::NotHttp { .. }
                | HttpError::TooLarge { .. }
                | HttpError::InvalidResponse { .. } => Self::Invalid,
            },
            ApiError::Slow(_) => Self::Timeout,
            ApiError::Name(_) => Self::Name,
            ApiError::Unauthorized { .. } => Self::Unauthorized,
            ApiError::Forbidden { .. } => Self::Forbidden,
            ApiError::NotFound { .. } => Self::ClientError,
            ApiError::Refused { status, .. } if *status >= 500 => Self::ServerError,
            ApiError::Refused { .. } => Self::ClientError,
            ApiError::Invalid { .. } | ApiError::VersionTooOld { .. } => Self::Invalid,
            ApiError::Usage(_) | ApiError::Settings(_) => Self::Settings,
        }
    }
}
