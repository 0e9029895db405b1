//! What keeps a request from being answered at all: names, connection, TLS, time, HTTP.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use callback_url::{ApiUrl, Host};
use exporter::ClientTlsError;
use thiserror::Error;

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

/// Why a request has no answer, or none that is HTTP. No variant holds a secret; texts of the server are escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpError {
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
        /// Why, for people.
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
    /// What came back is not HTTP/1.1, or its head is too large.
    #[error("{peer} did not answer with HTTP: {problem}")]
    NotHttp {
        /// Whom.
        peer: Box<Peer>,
        /// What hyper says.
        problem: String,
    },
    /// An answer that is larger than what is read.
    #[error("{peer} gave an answer that cannot be used: its body is larger than {limit} bytes")]
    TooLarge {
        /// Whom.
        peer: Box<Peer>,
        /// So much is read.
        limit: usize,
    },
    /// An answer that breaks off, or has a status that nobody asked for.
    #[error("{peer} gave an answer that cannot be used: {problem}")]
    InvalidResponse {
        /// Whom.
        peer: Box<Peer>,
        /// What is wrong with it.
        problem: String,
    },
}

impl From<ClientTlsError> for HttpError {
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

impl HttpError {
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

    /// Whether the server may have acted on the request although no answer came.
    pub fn may_have_been_served(&self) -> bool {
        match self {
            Self::ConnectionLost { .. }
            | Self::TooLarge { .. }
            | Self::InvalidResponse { .. }
            | Self::NotHttp { .. } => true,
            Self::Timeout { phase, .. } => matches!(phase, Phase::Response | Phase::Body),
            _ => false,
        }
    }
}
