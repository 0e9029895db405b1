//! One server: its addresses, its TLS, and one request on one connection. Nothing is ever written to it but what a log-in
//! needs, and no redirect is followed.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;

use api_client::http::{Deadline, Reply, exchange_up_to};
use api_client::{Connector, Peer, error_text};
use callback_url::{ApiUrl, Scheme};
use exporter::ClientTls;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request};
use text::{Secret, foreign_text};
use tokio::time::Instant;

use crate::names;
use crate::params::IronicParameters;

use super::error::ApiError;

/// The longest time for TCP connect and TLS handshake, where the whole request has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("ipa-fleet/", env!("CARGO_PKG_VERSION"));
/// Of an answer: a page of 500 nodes has some 800 KiB.
pub const BODY_BYTES: usize = 8 << 20;

/// A server that is asked.
pub struct Server {
    /// Ironic or Keystone.
    pub who: &'static str,
    url: ApiUrl,
    addresses: Vec<IpAddr>,
    connector: Connector,
    timeout: Duration,
    /// What was asked so far, and how many bytes came back.
    asked: Cell<(u64, u64)>,
}

/// A request.
pub struct Ask<'a> {
    /// GET, but for the log-in.
    pub method: Method,
    /// Behind the URL's prefix.
    pub path: &'a str,
    /// Besides those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty, but for the log-in.
    pub body: Bytes,
}

impl<'a> Ask<'a> {
    /// `GET path`.
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: Bytes::new() }
    }
}

impl Server {
    /// Finds its addresses and reads the TLS files.
    ///
    /// # Errors
    /// A name without an address, and TLS files that cannot be used.
    pub async fn open(
        who: &'static str,
        url: ApiUrl,
        parameters: &IronicParameters,
    ) -> Result<Self, ApiError> {
        let tls = ClientTls {
            wanted: url.scheme == Scheme::Https,
            cafile: parameters.cafile.as_deref(),
            certfile: parameters.certfile.as_deref(),
            keyfile: parameters.keyfile.as_deref(),
            insecure: parameters.insecure,
        };
        let timeout = parameters.request_timeout;
        let connector = Connector::new(tls, CONNECT_TIMEOUT.min(timeout))?;
        let addresses = names::addresses(&url.host).await.map_err(ApiError::Name)?;
        Ok(Self { who, url, addresses, connector, timeout, asked: Cell::new((0, 0)) })
    }

    /// Its URL.
    pub fn url(&self) -> &ApiUrl {
        &self.url
    }

    /// Its addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// How many requests were sent, and how many bytes of bodies came back.
    pub fn asked(&self) -> (u64, u64) {
        self.asked.get()
    }

    /// Sends the request to one address after the other, until one answers; gives that answer, whatever its status.
    ///
    /// # Errors
    /// Of the last address that was tried.
    pub async fn send(&self, ask: &Ask<'_>) -> Result<Reply, ApiError> {
        let mut last = None;
        for address in &self.addresses {
            match self.send_to(*address, ask).await {
                Ok(reply) => return Ok(reply),
                Err(ApiError::Http(error)) if error.tries_next() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.map_or_else(|| ApiError::Name(format!("{} has no address", self.url)), ApiError::Http))
    }

    async fn send_to(&self, address: IpAddr, ask: &Ask<'_>) -> Result<Reply, ApiError> {
        let request = self.request(ask)?;
        let begun = Instant::now();
        let deadline = Deadline { at: Instant::now() + self.timeout, after: self.timeout };
        let (stream, connection) = self.connector.connect(&self.url, address).await?;
        let peer = Peer { url: connection.url, address: connection.remote };
        let reply = exchange_up_to(stream, request, &peer, deadline, BODY_BYTES).await;
        tracing::debug!(%peer, path = ask.path, seconds = begun.elapsed().as_secs_f64(), "asked");
        let (requests, bytes) = self.asked.get();
        let read =
            reply.as_ref().ok().and_then(|reply| reply.body.as_ref().ok()).map_or(0, |body| body.len());
        self.asked.set((requests + 1, bytes + read as u64));
        Ok(reply?)
    }

    fn request(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, ApiError> {
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(self.url.path(ask.path))
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close");
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let problem = |error: hyper::http::Error| ApiError::Settings(format!("{}: {error}", self.url));
        request.body(Full::new(ask.body.clone())).map_err(problem)
    }

    /// The body of a success; the error that another status stands for. `secret` was sent along: an echo is masked.
    ///
    /// # Errors
    /// By status, and where the body broke off.
    pub fn body(&self, reply: Reply, what: &str, secret: Option<&Secret>) -> Result<Bytes, ApiError> {
        let status = reply.status.as_u16();
        if matches!(status, 200 | 201) {
            return Ok(reply.body?);
        }
        let text = match (&reply.location, &reply.body) {
            (Some(location), _) if (300..400).contains(&status) => {
                format!("it redirects to {location}; redirects are not followed")
            }
            (_, Ok(body)) => error_text(body).unwrap_or_else(|| "no text".to_owned()),
            (_, Err(error)) => format!("no text ({error})"),
        };
        let (who, what, message) = (self.who, what.to_owned(), foreign_text(&text, secret));
        Err(match status {
            401 => ApiError::Unauthorized { who, message, advice: "" },
            403 => ApiError::Forbidden { who, message },
            404 => ApiError::NotFound { who, what, message },
            _ => ApiError::Refused { who, status, what, message },
        })
    }
}

/// A header that no log shows.
pub fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
