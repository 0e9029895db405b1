//! How every sidecar of the fleet is reached: the fleet's settings, never a node's.

use std::net::IpAddr;
use std::time::Duration;

use api_client::{Connector, HttpError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use callback_url::{ApiUrl, Host, Scheme};
use exporter::ClientTls;
use hyper::header::HeaderValue;
use text::Secret;
use zeroize::Zeroizing;

/// The longest time for TCP connect and TLS handshake; a request may have less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Scheme, port, TLS and login.
#[derive(Clone)]
pub struct SidecarAccess {
    /// http or https.
    pub scheme: Scheme,
    /// The port of their pages.
    pub port: u16,
    /// Makes the connections.
    pub tls: Connector,
    /// The login that their pages want; no log shows it.
    pub basic_auth: Option<HeaderValue>,
}

impl SidecarAccess {
    /// Reads the TLS files where the scheme is https. `login` is user name and password.
    ///
    /// # Errors
    /// A file that cannot be used, or a login that cannot stand in a header.
    pub fn new(
        (scheme, port): (Scheme, u16),
        tls: ClientTls<'_>,
        login: Option<(&str, &Secret)>,
    ) -> Result<Self, HttpError> {
        let tls = Connector::new(ClientTls { wanted: scheme == Scheme::Https, ..tls }, CONNECT_TIMEOUT)?;
        let basic_auth = login.map(|(name, password)| basic(name, password)).transpose()?;
        Ok(Self { scheme, port, tls, basic_auth })
    }

    /// The URL of the pages at an address.
    pub fn url(&self, address: IpAddr) -> ApiUrl {
        ApiUrl { scheme: self.scheme, host: Host::Ip(address), port: self.port, prefix: String::new() }
    }
}

/// RFC 7617, 2.
fn basic(name: &str, password: &Secret) -> Result<HeaderValue, HttpError> {
    let pair = Zeroizing::new(format!("{name}:{}", password.expose()));
    let line = Zeroizing::new(format!("Basic {}", Zeroizing::new(STANDARD.encode(pair.as_bytes())).as_str()));
    let mut value = HeaderValue::from_str(&line)
        .map_err(|_| HttpError::TlsConfig { problem: "the login cannot stand in a header".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}
