//! The HTTP server, with TLS or without: bounded in connections, time and heads. It reads no body itself.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::accept::take_connections;
use crate::answer::{self, Answer};
use crate::basic_auth::BasicAuth;
use crate::config_file::{ConfigFile, Transport};
use crate::patient::Patient;

/// Connections at one time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 32;
/// The longest time for a TLS handshake, for a request's head, which is also the longest idle time of a kept connection, and
/// for a client to read what was written.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The longest life of a connection: a client that reads one byte a minute is dropped too.
const LIFE: Duration = Duration::from_secs(120);
/// The largest head.
const HEAD_BYTES: usize = 16 * 1024;
/// The kernel's queue of connections that wait.
const BACKLOG: i32 = 64;
/// The first byte of what a TLS client sends (RFC 8446, section 5.1: a record of type handshake).
const TLS_HANDSHAKE: u8 = 22;

/// The listener cannot be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

/// Binds the given address, or else this port on every address of both families (of IPv4 where there is no IPv6).
///
/// # Errors
/// Where it is in use, or no address of this machine.
pub fn bind(address: Option<SocketAddr>, port: u16) -> Result<TcpListener, BindError> {
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    // Every address is meant by [::] as well, on a machine without IPv6 too.
    let (any_v6, port) = match address {
        None => (any_v6, port),
        Some(address) if address.ip() == any_v6.ip() => (address, address.port()),
        Some(address) => return listen(address).map_err(|error| BindError { address, error }),
    };
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match listen(any_v6) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(BindError { address: any_v6, error }),
        Err(_no_ipv6) => listen(any_v4).map_err(|error| BindError { address: any_v4, error }),
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

/// What a daemon shows.
pub trait Handler: Send + Sync + 'static {
    /// Answers GET and HEAD of a client that is let in; a body is not sent to HEAD.
    fn answer(&self, request: &Request<Incoming>) -> impl Future<Output = Answer> + Send;

    /// Answers a request of any method, of a client that is let in, from the host `from`. Whoever takes bodies has to bound
    /// them in size and time. Others leave it as it is: only GET and HEAD are answered.
    fn take(&self, from: Option<IpAddr>, request: Request<Incoming>) -> impl Future<Output = Answer> + Send {
        let _ = from;
        async move {
            match *request.method() {
                Method::GET | Method::HEAD => self.answer(&request).await,
                _ => answer::only_reads(),
            }
        }
    }
}

/// Serves without end. `protection` says who is let in, and whether over TLS; `realm` names the daemon to a client that
/// must log in.
pub async fn serve(
    listener: TcpListener,
    realm: &'static str,
    protection: Option<ConfigFile>,
    handler: impl Handler,
) {
    serve_up_to(CONNECTIONS, listener, realm, protection, handler).await;
}

/// The same with so many connections at one time, of which one host has half.
pub async fn serve_up_to(
    connections: usize,
    listener: TcpListener,
    realm: &'static str,
    protection: Option<ConfigFile>,
    handler: impl Handler,
) {
    let site = Arc::new(Site { handler, realm, protection, auth: BasicAuth::new() });
    let serve = |stream| {
        let site = Arc::clone(&site);
        async move {
            if timeout(LIFE, connection(site, stream)).await.is_err() {
                tracing::debug!("a web connection has lived for its time");
            }
        }
    };
    take_connections(&listener, connections, "the web server", serve).await;
}

/// What all connections share.
struct Site<H> {
    handler: H,
    realm: &'static str,
    protection: Option<ConfigFile>,
    auth: BasicAuth,
}

impl<H: Handler> Site<H> {
    async fn answer(&self, from: Option<IpAddr>, request: Request<Incoming>) -> Answer {
        let Some(protection) = &self.protection else {
            return self.handler.take(from, request).await;
        };
        let Some(config) = protection.config() else {
            return answer::configuration_broken();
        };
        let allowed = config.users.is_empty()
            || self.auth.allows(&config.users, request.headers().get(AUTHORIZATION)).await;
        let mut answer = match allowed {
            true => self.handler.take(from, request).await,
            false => answer::login_wanted(self.realm),
        };
        for (name, value) in &config.headers {
            answer.headers_mut().insert(name, value.clone());
        }
        answer
    }
}

/// TCP, or TLS on it. One type for both, so that the HTTP server is in the binary once.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connection<H: Handler>(site: Arc<Site<H>>, stream: TcpStream) {
    let from = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
    match site.protection.as_ref().map_or(Transport::Plain, ConfigFile::transport) {
        Transport::Plain => talk(Box::new(stream), Some(site), from).await,
        Transport::Tls(config) => over_tls(site, stream, config, from).await,
        Transport::Refused => {}
    }
}

async fn over_tls<H: Handler>(
    site: Arc<Site<H>>,
    stream: TcpStream,
    config: Arc<ServerConfig>,
    from: Option<IpAddr>,
) {
    let mut first = [0];
    match timeout(HEAD_TIME, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first == [TLS_HANDSHAKE] => {}
        Ok(Ok(1)) => return talk::<H>(Box::new(stream), None, from).await,
        _ => return,
    }
    match timeout(HEAD_TIME, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => talk(Box::new(stream), Some(site), from).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake of the web server failed"),
        Err(_) => tracing::debug!("a TLS handshake of the web server took too long"),
    }
}

/// HTTP on a connection, until its end; without a site the only answer is that TLS is wanted.
async fn talk<H: Handler>(stream: Box<dyn Stream>, site: Option<Arc<Site<H>>>, from: Option<IpAddr>) {
    let service = service_fn(|request| {
        let site = site.clone();
        async move {
            Ok::<_, Infallible>(match site {
                Some(site) => site.answer(from, request).await,
                None => answer::speaks_tls(),
            })
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, HEAD_TIME)), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a web connection ended early");
    }
}
