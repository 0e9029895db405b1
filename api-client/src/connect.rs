//! One connection to one address of an API: TCP, and TLS where the URL says so, in bounded time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use callback_url::{ApiUrl, Scheme};
use exporter::{ClientTls, server_name, tls_connector, tls_words};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::{HttpError, Peer, Phase};

/// A connection's two ends: what the kernel chose is a witness of the right source address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The API URL that it serves.
    pub url: ApiUrl,
    /// The server's end.
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

/// A stream of bytes in both directions, TLS or not.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// An open connection to an API.
pub type Stream = Box<dyn ReadWrite>;

/// Opens connections.
#[derive(Clone)]
pub struct Connector {
    tls: Option<TlsConnector>,
    timeout: Duration,
}

impl Connector {
    /// TLS is set up where it is wanted; `timeout` bounds TCP connect and TLS handshake together.
    ///
    /// # Errors
    /// Of the TLS files.
    pub fn new(tls: ClientTls<'_>, timeout: Duration) -> Result<Self, HttpError> {
        Ok(Self { tls: tls_connector(tls)?, timeout })
    }

    /// The same with at most this time for each connection.
    pub fn within(&self, timeout: Duration) -> Self {
        Self { tls: self.tls.clone(), timeout: timeout.min(self.timeout) }
    }

    /// Connects to one address of an API URL.
    ///
    /// # Errors
    /// `Connect`, `Tls`, `Timeout`; `TlsConfig` for an https URL that was not among the parameters.
    pub async fn connect(&self, url: &ApiUrl, address: IpAddr) -> Result<(Stream, Connection), HttpError> {
        let remote = SocketAddr::new(address, url.port);
        let peer = Peer { url: url.clone(), address: remote };
        let deadline = Instant::now() + self.timeout;
        let late = |phase| HttpError::Timeout { peer: Box::new(peer.clone()), phase, after: self.timeout };
        let tcp = timeout_at(deadline, TcpStream::connect(remote))
            .await
            .map_err(|_| late(Phase::Connect))?
            .map_err(|error| connect_error(&peer, &error))?;
        let local = tcp.local_addr().map_err(|error| connect_error(&peer, &error))?;
        tcp.set_nodelay(true).map_err(|error| connect_error(&peer, &error))?;
        let connection = Connection { url: url.clone(), remote, local };
        if url.scheme == Scheme::Http {
            return Ok((Box::new(tcp), connection));
        }
        let connector = self.tls.as_ref().ok_or_else(|| HttpError::TlsConfig {
            problem: format!("{url} is not among the API URLs that were configured"),
        })?;
        let handshake = connector.connect(server_name(&url.host)?, tcp);
        let stream = timeout_at(deadline, handshake)
            .await
            .map_err(|_| late(Phase::TlsHandshake))?
            .map_err(|error| tls_error(&peer, &error))?;
        Ok((Box::new(stream), connection))
    }
}

fn connect_error(peer: &Peer, error: &io::Error) -> HttpError {
    HttpError::Connect {
        peer: Box::new(peer.clone()),
        errno: error.raw_os_error(),
        problem: error.to_string(),
    }
}

fn tls_error(peer: &Peer, error: &io::Error) -> HttpError {
    let problem = match tls_words(error) {
        Some(problem) => problem,
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the handshake: does it speak TLS on this port?"
                .to_owned()
        }
        None => format!("during the handshake: {error}"),
    };
    HttpError::Tls { peer: Box::new(peer.clone()), problem }
}
