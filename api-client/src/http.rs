//! One request and its answer on an open connection: bounded in time, head and body.

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use callback_url::ApiUrl;
use exporter::tls_words;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use text::foreign_text;
use tokio::time::{Instant, timeout_at};

use crate::connect::{Connector, Stream};
use crate::error::{HttpError, Peer, Phase};

/// The most that is read of an answer's body: a lookup of a large node has some 100 KiB.
const BODY_BYTES: usize = 1 << 20;
/// The most that is read of an answer's head.
const HEAD_BYTES: usize = 64 << 10;
/// The most header lines of an answer.
const HEADERS: usize = 100;

/// The answer to one request.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its head.
    pub headers: HeaderMap,
    /// Where a redirect points to.
    pub location: Option<String>,
    /// The body, or why it could not be read: the status counts anyway.
    pub body: Result<Bytes, HttpError>,
}

/// How long a request may take, and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The end.
    pub at: Instant,
    /// The whole time.
    pub after: Duration,
}

/// Gets a path of one address, for the body of a 200; for services beside Ironic, which have no API versions.
///
/// # Errors
/// Of the connection and the answer; any other status is an `InvalidResponse`.
pub async fn get(
    connector: &Connector,
    url: &ApiUrl,
    address: IpAddr,
    path: &str,
    timeout: Duration,
) -> Result<Bytes, HttpError> {
    let deadline = Deadline { at: Instant::now() + timeout, after: timeout };
    let (stream, connection) = connector.connect(url, address).await?;
    let peer = Peer { url: connection.url, address: connection.remote };
    let invalid = |problem| HttpError::InvalidResponse { peer: Box::new(peer.clone()), problem };
    let request = Request::get(url.path(path))
        .header(header::HOST, url.authority())
        .body(Full::default())
        .map_err(|error| invalid(error.to_string()))?;
    let reply = exchange(stream, request, &peer, deadline).await?;
    match reply.status {
        StatusCode::OK => reply.body,
        status => Err(invalid(format!("status {status}"))),
    }
}

/// Sends the request and reads the answer, whose body has at most 1 MiB.
///
/// # Errors
/// An error means that no answer had begun.
pub async fn exchange(
    stream: Stream,
    request: Request<Full<Bytes>>,
    peer: &Peer,
    deadline: Deadline,
) -> Result<Reply, HttpError> {
    exchange_up_to(stream, request, peer, deadline, BODY_BYTES).await
}

/// The same for a body of at most so many bytes.
///
/// # Errors
/// As [`exchange`].
pub async fn exchange_up_to(
    stream: Stream,
    request: Request<Full<Bytes>>,
    peer: &Peer,
    deadline: Deadline,
    limit: usize,
) -> Result<Reply, HttpError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(peer, &error))?;
    let answer = async {
        let late = |phase| HttpError::Timeout { peer: Box::new(peer.clone()), phase, after: deadline.after };
        let response = timeout_at(deadline.at, sender.send_request(request))
            .await
            .map_err(|_| late(Phase::Response))?
            .map_err(|error| lost(peer, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let location =
            headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = match timeout_at(deadline.at, read_body(response, peer, limit)).await {
            Ok(body) => body,
            Err(_) => Err(late(Phase::Body)),
        };
        Ok(Reply { status, headers, location, body })
    };
    // hyper's connection has to be polled beside the answer; once it has ended, the answer is on its way.
    let (mut answer, connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        reply = &mut answer => reply,
        _ended = connection => answer.await,
    }
}

async fn read_body(response: Response<Incoming>, peer: &Peer, limit: usize) -> Result<Bytes, HttpError> {
    let invalid = |problem| HttpError::InvalidResponse { peer: Box::new(peer.clone()), problem };
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(HttpError::TooLarge { peer: Box::new(peer.clone()), limit })
        }
        Err(error) => {
            let cause = error.downcast_ref::<hyper::Error>().map_or_else(|| error.to_string(), cause_text);
            Err(invalid(format!("it broke off inside the body: {cause}")))
        }
    }
}

/// What became of a request without an answer.
fn lost(peer: &Peer, error: &hyper::Error) -> HttpError {
    let peer = Box::new(peer.clone());
    if let Some(problem) = io_cause(error).and_then(tls_words) {
        // With TLS 1.3 a refused client certificate shows only when the answer is read.
        return HttpError::Tls { peer, problem };
    }
    let problem = cause_text(error);
    if error.is_parse() {
        return HttpError::NotHttp { peer, problem };
    }
    HttpError::ConnectionLost { peer, problem }
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref()
}

fn cause_text(error: &hyper::Error) -> String {
    match io_cause(error) {
        Some(io) => foreign_text(&io.to_string(), None),
        None => foreign_text(&error.to_string(), None),
    }
}
