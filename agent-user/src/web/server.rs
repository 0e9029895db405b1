//! The HTTP server: bounded in connections, time and heads; it never reads a body.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Sources, page, state};

/// The port of `--web.listen-address` where none is given.
pub const DEFAULT_PORT: u16 = 10099;

/// Connections at one time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 32;
/// The longest time for a request's head, which is also the longest idle time of a kept connection.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest life of a connection: a client that reads one byte a minute holds nothing for ever.
const LIFE: Duration = Duration::from_secs(120);
/// The largest head.
const HEAD_BYTES: usize = 16 * 1024;
/// The kernel's queue of connections that wait.
const BACKLOG: i32 = 64;
/// The pause after a connection could not be taken: no descriptors left, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";

/// Why the listener could not be had.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}; choose another with --web.listen-address")]
pub struct WebError {
    address: SocketAddr,
    error: io::Error,
}

/// Binds the given address, or port 10099 on every address of both families (of IPv4 where there is no IPv6).
///
/// # Errors
/// Where it is in use, or not ours.
pub fn bind(address: Option<SocketAddr>) -> Result<TcpListener, WebError> {
    if let Some(address) = address {
        return listen(address).map_err(|error| WebError { address, error });
    }
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT));
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT));
    match listen(any_v6) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(WebError { address: any_v6, error }),
        Err(_no_ipv6) => listen(any_v4).map_err(|error| WebError { address: any_v4, error }),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Dual-stack whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves for ever.
pub async fn serve(listener: TcpListener, sources: Sources) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the web server could not be taken");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let sources = sources.clone();
        tokio::spawn(async move {
            let service =
                service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &sources))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = timeout(LIFE, connection).await {
                tracing::debug!(%error, "a web connection ended early");
            }
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, sources: &Sources) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => page(sources),
        "/metrics" => metrics(sources),
        "/state" => json(sources),
        "/-/healthy" => plain(StatusCode::OK, "healthy\n"),
        "/-/ready" => match sources.view().ready {
            Ok(words) => plain(StatusCode::OK, format!("ready: {words}\n")),
            Err(words) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {words}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "try /, /metrics, /state, /-/healthy or /-/ready\n"),
    }
}

fn page(sources: &Sources) -> Response<Full<Bytes>> {
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", page::render(&sources.view()));
    // Nothing from outside, no script; what is shown comes in part from a foreign kernel command line.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn metrics(sources: &Sources) -> Response<Full<Bytes>> {
    match sources.metrics.render() {
        Ok((text, content_type)) => typed(StatusCode::OK, &content_type, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn json(sources: &Sources) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(&state::State::of(&sources.view())) {
        Ok(text) => typed(StatusCode::OK, "application/json", text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, TEXT, text)
}

fn typed(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(TEXT));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
