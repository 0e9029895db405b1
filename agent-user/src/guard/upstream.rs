//! The way to Ironic: a connection to the first API URL that lets us, the request as it came, the answer as it is.

use std::pin::pin;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::{request, uri};
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::rt::TokioIo;
use thiserror::Error;

use crate::ironic::{Client, Connection, Endpoint, HeartbeatResult, IronicError, LookupResult};

use super::patience::Patience;
use super::relay::AnyBody;

/// IPA gives up after its `http_request_timeout`; we must have gone silent before that, or it does not take its next
/// URL in time.
const SHARE_OF_TIMEOUT: f64 = 0.8;
/// IPA's `http_request_timeout`, taken where the parameter is zero.
const IPA_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers of one connection, not of the request (RFC 9110, 7.6.1); and `Expect`, which the server side of ours has
/// answered already.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// More of them, which have no constant.
const HOP_BY_HOP_TOO: [&str; 2] = ["keep-alive", "proxy-connection"];

/// Why there is no answer. IPA gets none then either: the connection is closed, and it goes on to its next URL.
#[derive(Debug, Error)]
pub enum Silence {
    /// No connection, or TLS refused.
    #[error("{0}")]
    Ironic(#[from] IronicError),
    /// The connection broke before an answer began.
    #[error("Ironic broke the connection before it answered: {0}")]
    Broken(#[from] hyper::Error),
    /// No connection in time: Ironic cannot have seen the request.
    #[error("no connection to Ironic within {0:?}")]
    NoConnection(Duration),
    /// No answer in time.
    #[error("Ironic did not begin to answer within {0:?}")]
    Late(Duration),
    /// The request cannot be put on the wire again.
    #[error("the request cannot be forwarded: {0}")]
    Request(#[from] hyper::http::Error),
    /// IPA itself broke off.
    #[error("the sender broke off: {0}")]
    Sender(String),
}

impl Silence {
    /// The label of a lookup that ended so.
    pub fn lookup_result(&self) -> LookupResult {
        match self {
            Self::Ironic(error) => error.lookup_result(),
            Self::NoConnection(_) | Self::Late(_) => LookupResult::Timeout,
            Self::Broken(_) => LookupResult::ConnectError,
            Self::Request(_) | Self::Sender(_) => LookupResult::ClientError,
        }
    }

    /// The label of a heartbeat that ended so.
    pub fn heartbeat_result(&self) -> HeartbeatResult {
        match self {
            Self::Ironic(error) => error.heartbeat_result(),
            Self::NoConnection(_) | Self::Late(_) => HeartbeatResult::Timeout,
            Self::Broken(_) => HeartbeatResult::ConnectError,
            Self::Request(_) | Self::Sender(_) => HeartbeatResult::ClientError,
        }
    }

    /// Whether Ironic may have seen the request.
    pub fn may_have_been_served(&self) -> bool {
        match self {
            Self::Ironic(error) => error.may_have_been_served(),
            Self::Broken(_) | Self::Late(_) => true,
            Self::NoConnection(_) | Self::Request(_) | Self::Sender(_) => false,
        }
    }
}

/// How long IPA, with this time-out of its own, may be kept waiting for the first byte of an answer.
pub fn budget(ipa_timeout: Duration) -> Duration {
    let ipa_timeout = Some(ipa_timeout).filter(|timeout| !timeout.is_zero());
    ipa_timeout.unwrap_or(IPA_TIMEOUT).mul_f64(SHARE_OF_TIMEOUT)
}

/// Forwards one request; the answer's body is still on its way.
///
/// # Errors
/// Where no answer began in time.
pub async fn forward(
    client: &Client,
    endpoints: &[Endpoint],
    parts: request::Parts,
    path: &str,
    body: AnyBody,
    patience: &Patience,
) -> Result<(Response<Incoming>, Connection), Silence> {
    let connecting = pin!(client.connect(endpoints, patience.budget));
    let (stream, connection) = tokio::select! {
        outcome = connecting => outcome?,
        () = patience.ended() => return Err(Silence::NoConnection(patience.budget)),
    };
    let exchange = async {
        let request = rebuild(parts, path, &connection, body)?;
        let (mut sender, driver) =
            http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await?;
        // Ends with the answer's body, or when that is dropped.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to Ironic ended early");
            }
        });
        let mut response = sender.send_request(request).await?;
        drop_hop_by_hop(response.headers_mut());
        Ok((response, connection))
    };
    let exchange = pin!(exchange);
    tokio::select! {
        outcome = exchange => outcome,
        () = patience.ended() => Err(Silence::Late(patience.budget)),
    }
}

/// The request for Ironic: its path under the API's prefix, the API's host, and every other header as it came.
fn rebuild(
    mut parts: request::Parts,
    path: &str,
    connection: &Connection,
    body: AnyBody,
) -> Result<Request<AnyBody>, hyper::http::Error> {
    let path = connection.url.path(path);
    let target = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    parts.uri = Uri::from_parts({
        let mut pieces = uri::Parts::default();
        pieces.path_and_query = Some(target.parse()?);
        pieces
    })?;
    parts.version = hyper::Version::HTTP_11;
    drop_hop_by_hop(&mut parts.headers);
    parts.headers.insert(header::HOST, HeaderValue::from_str(&connection.url.authority())?);
    Ok(Request::from_parts(parts, body))
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect();
    let is_dropped = |name: &HeaderName| {
        HOP_BY_HOP.contains(name) || named.contains(name) || HOP_BY_HOP_TOO.contains(&name.as_str())
    };
    // Made anew: `HeaderMap::remove` would change the order of the others.
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !is_dropped(name)) {
        kept.append(name.clone(), value.clone());
    }
    *headers = kept;
}
