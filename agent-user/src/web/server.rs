//! The HTTP server, with TLS or without: bounded in connections, time and heads; it never reads a body.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Shown;
use super::answer::{self, Answer};
use super::basic_auth::BasicAuth;
use super::config_file::{ConfigFile, Transport};
use crate::connections;

/// The port of `--web.listen-address` where none is given.
pub const DEFAULT_PORT: u16 = 10099;

/// Connections at one time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 32;
/// The longest time for a TLS handshake, and for a request's head, which is also the longest idle time of a kept
/// connection.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest life of a connection: a client that reads one byte a minute holds nothing for ever.
const LIFE: Duration = Duration::from_secs(120);
/// The largest head.
const HEAD_BYTES: usize = 16 * 1024;
/// The kernel's queue of connections that wait.
const BACKLOG: i32 = 64;
/// The first byte of what a TLS client sends (RFC 8446, section 5.1: a record of type handshake).
const TLS_HANDSHAKE: u8 = 22;

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

/// Serves for ever. `protection` says who is let in, and whether over TLS.
pub async fn serve(listener: TcpListener, shown: Shown, protection: Option<ConfigFile>) {
    let site = Arc::new(Site { shown, protection, auth: BasicAuth::new() });
    let serve = |stream| {
        let site = Arc::clone(&site);
        async move {
            if timeout(LIFE, connection(site, stream)).await.is_err() {
                tracing::debug!("a web connection has lived for its time");
            }
        }
    };
    connections::take(listener, CONNECTIONS, "the web server", serve).await;
}

/// What all connections share.
struct Site {
    shown: Shown,
    protection: Option<ConfigFile>,
    auth: BasicAuth,
}

impl Site {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let Some(protection) = &self.protection else {
            return answer::to(&request, &self.shown);
        };
        let Some(config) = protection.config() else {
            return answer::configuration_broken();
        };
        let allowed = config.users.is_empty()
            || self.auth.allows(&config.users, request.headers().get(AUTHORIZATION)).await;
        let mut answer = if allowed { answer::to(&request, &self.shown) } else { answer::login_wanted() };
        for (name, value) in &config.headers {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }
}

/// TCP, or TLS on it. One type for both, so that the HTTP server is in the binary once.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connection(site: Arc<Site>, stream: TcpStream) {
    match site.protection.as_ref().map_or(Transport::Plain, ConfigFile::transport) {
        Transport::Plain => talk(Box::new(stream), Some(site)).await,
        Transport::Tls(config) => over_tls(site, stream, config).await,
        Transport::Refused => {}
    }
}

async fn over_tls(site: Arc<Site>, stream: TcpStream, config: Arc<ServerConfig>) {
    let mut first = [0];
    match timeout(HEAD_TIME, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first == [TLS_HANDSHAKE] => {}
        Ok(Ok(1)) => return talk(Box::new(stream), None).await,
        _ => return,
    }
    match timeout(HEAD_TIME, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => talk(Box::new(stream), Some(site)).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake of the web server failed"),
        Err(_) => tracing::debug!("a TLS handshake of the web server took too long"),
    }
}

/// HTTP on a connection, until its end; without a site all that is told is that TLS is wanted.
async fn talk(stream: Box<dyn Stream>, site: Option<Arc<Site>>) {
    let service = service_fn(|request| {
        let site = site.clone();
        async move {
            Ok::<_, Infallible>(match site {
                Some(site) => site.answer(request).await,
                None => answer::speaks_tls(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a web connection ended early");
    }
}
