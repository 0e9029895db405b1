//! The loopback listener: takes IPA's requests and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use exporter::take_connections;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::answer::{Answer, plain};
use super::relay::{passing, passing_up};
use super::request::{Kind, classify};
use super::upstream::{Silence, forward};
use super::{Guard, heartbeat, lookup};
use crate::ipa::redirect::split_path;

/// Connections at one time; IPA keeps two.
const CONNECTIONS: usize = 16;
/// The longest time for a request's head, which is also the longest idle time of a kept connection: less than IPA
/// waits (30 s), so that connections on which nothing is asked cannot keep it out.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// The longest time for a heartbeat's body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The largest head.
const HEAD_BYTES: usize = 64 * 1024;
/// The largest heartbeat body (with a certificate it has some 2 KiB).
const HEARTBEAT_BYTES: usize = 1 << 20;

/// Why the guard could not be had.
#[derive(Debug, Error)]
#[error("the guard cannot listen on {address}: {error}; choose another with --guard.listen-address")]
pub struct GuardError {
    address: SocketAddr,
    error: io::Error,
}

/// Binds the loopback listener.
///
/// # Errors
/// Where the port is in use.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, GuardError> {
    TcpListener::bind(address).await.map_err(|error| GuardError { address, error })
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, guard: Arc<Guard>) {
    let serve = |stream| {
        let guard = Arc::clone(&guard);
        async move {
            let service = service_fn(|request| answer(&guard, request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES)
                .preserve_header_case(true)
                .auto_date_header(false) // Ironic's own, or none.
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the guard ended without an answer");
            }
        }
    };
    take_connections(listener, CONNECTIONS, "the guard", serve).await;
}

/// One request. An error closes the connection without an answer, which sends IPA to its next URL.
async fn answer(guard: &Arc<Guard>, request: Request<Incoming>) -> Result<Answer, Silence> {
    let (parts, body) = request.into_parts();
    let (started_with, path) = split_path(parts.uri.path());
    let path = path.to_owned();
    let answered = match classify(&parts.method, &path) {
        None => {
            return Ok(plain(StatusCode::NOT_FOUND, "this is not a path that ironic-python-agent asks\n"));
        }
        Some(Kind::Lookup(era)) => {
            lookup::handle(guard, parts, &path, passing(body, None), started_with, era).await
        }
        Some(Kind::Heartbeat(era, uuid)) => match collect(body).await? {
            Some(body) => heartbeat::handle(guard, parts, &path, body, era, uuid).await,
            None => {
                return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "a heartbeat of over 1 MiB\n"));
            }
        },
        Some(Kind::Discovery | Kind::Inventory) => pass(guard, parts, &path, body).await,
    };
    answered.inspect_err(|silence| {
        tracing::warn!(path, "silent, so that IPA goes on to its next URL: {silence}");
    })
}

/// Forwards what needs no judgement.
async fn pass(
    guard: &Arc<Guard>,
    parts: hyper::http::request::Parts,
    path: &str,
    body: Incoming,
) -> Result<Answer, Silence> {
    let endpoints = guard.decision().endpoints();
    let patience = guard.patience();
    let body = passing_up(body, patience.clone());
    let (response, connection) = forward(&guard.client, &endpoints, parts, path, body, &patience).await?;
    guard.witness(&connection);
    Ok(response.map(|body| passing(body, None)))
}

/// A heartbeat's whole body; `None` where it is too large.
async fn collect(body: Incoming) -> Result<Option<hyper::body::Bytes>, Silence> {
    let late = |_| Silence::Sender(format!("no whole heartbeat within {} s", BODY_TIME.as_secs()));
    match timeout(BODY_TIME, Limited::new(body, HEARTBEAT_BYTES).collect()).await.map_err(late)? {
        Ok(body) => Ok(Some(body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        Err(error) => Err(Silence::Sender(error.to_string())),
    }
}
