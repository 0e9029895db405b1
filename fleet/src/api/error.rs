//! Why Ironic, or Keystone, could not be asked.

use api_client::version::version_text;
use api_client::{ApiVersion, HttpError};
use thiserror::Error;

/// An answer that this program hoped for did not come. No variant holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// No answer at all.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The host's name.
    #[error("{0}")]
    Name(String),
    /// 401: the credentials are refused.
    #[error("{who} does not accept the credentials (401): {message}{advice}")]
    Unauthorized {
        /// Ironic or Keystone.
        who: &'static str,
        /// Its text.
        message: String,
        /// What to look at.
        advice: &'static str,
    },
    /// 403: the request is not allowed.
    #[error("{who} does not permit that (403): {message}")]
    Forbidden {
        /// Ironic or Keystone.
        who: &'static str,
        /// Its text.
        message: String,
    },
    /// 404.
    #[error("{who} knows no {what} (404): {message}")]
    NotFound {
        /// Ironic or Keystone.
        who: &'static str,
        /// What was asked for.
        what: String,
        /// Its text.
        message: String,
    },
    /// Any other status.
    #[error("{who} answered {status} to {what}: {message}")]
    Refused {
        /// Ironic or Keystone.
        who: &'static str,
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        what: String,
        /// Its text.
        message: String,
    },
    /// Success by its status, but not usable.
    #[error("{who}'s answer to {what} cannot be used: {problem}")]
    Invalid {
        /// Ironic or Keystone.
        who: &'static str,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The API is older than what is asked of it.
    #[error("Ironic offers API {}, but {purpose} needs {}", version_text(*offered), version_text(*needed))]
    VersionTooOld {
        /// The newest version that it speaks.
        offered: ApiVersion,
        /// The version that brought it.
        needed: ApiVersion,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// The answers come, and all of them together took too long.
    #[error("a look at all nodes was not over after {0:?}")]
    Slow(std::time::Duration),
    /// What the operator gave cannot be used, whatever Ironic says: a usage error.
    #[error("{0}")]
    Usage(String),
    /// What the operator gave and what Keystone has do not go together.
    #[error("{0}")]
    Settings(String),
}

impl ApiError {
    /// Nothing that is asked next would fare better: Ironic is away, or refuses the credentials.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Http(HttpError::TooLarge { .. } | HttpError::InvalidResponse { .. }) => false,
            Self::Http(_)
            | Self::Name(_)
            | Self::Unauthorized { .. }
            | Self::VersionTooOld { .. }
            | Self::Usage(_)
            | Self::Settings(_) => true,
            _ => false,
        }
    }

    /// The status, where one was refused.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { .. } => Some(401),
            Self::Forbidden { .. } => Some(403),
            Self::NotFound { .. } => Some(404),
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The body is larger than what is read.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Http(HttpError::TooLarge { .. }))
    }
}
