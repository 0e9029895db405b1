//! The client: walks the API URLs and their addresses in order, as IPA does, and gives typed answers.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_client::http::{Deadline, Reply, exchange};
use api_client::{ApiVersion, Connection, Connector, Peer, Stream, version};
use callback_url::{ApiUrl, Scheme};
use exporter::ClientTls;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use text::Secret;
use tokio::time::Instant;

use crate::params::IronicParameters;

use super::error::{IronicError, Refusal};
use super::fault::unexpected;
use super::heartbeat::Heartbeat;
use super::lookup::{LookupQuery, LookupReply};

/// The longest time for TCP connect and TLS handshake, where the whole request has more.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// IPA's `http_request_timeout`, taken where the parameter is zero.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// ironic/api/controllers/base.py
const VERSION_HEADER: &str = "X-OpenStack-Ironic-API-Version";
/// oslo.middleware's request id.
const REQUEST_ID_HEADER: &str = "X-OpenStack-Request-ID";
const USER_AGENT: &str = concat!("ipa-sidecar/", env!("CARGO_PKG_VERSION"));

/// An API URL with the addresses that it has, in the order in which to try them. `Host` header and TLS name come from
/// the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL; one of the parameters' API URLs.
    pub url: ApiUrl,
    /// What its host resolves to.
    pub addresses: Vec<IpAddr>,
}

/// A successful answer and the connection that it came on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What Ironic said.
    pub value: T,
    /// How the daemon reached it.
    pub connection: Connection,
}

/// Speaks to Ironic. One connection per request; knows which API URL answered last and which version it offers.
pub struct Client {
    connector: Connector,
    request_timeout: Duration,
    request_id: Option<HeaderValue>,
    configured: Option<ApiVersion>,
    memory: Mutex<Memory>,
}

/// What the client has learned.
#[derive(Default)]
struct Memory {
    /// Tried first the next time.
    answered: Option<(ApiUrl, IpAddr)>,
    offered: Option<ApiVersion>,
}

/// A request before it is known whom it goes to.
struct Outgoing<'a> {
    method: Method,
    path: &'a str,
    version: Option<ApiVersion>,
    body: Bytes,
    /// The success status.
    expected: u16,
    /// What the body carries: masked, should the server echo it.
    secret: Option<&'a Secret>,
}

impl Client {
    /// Reads the TLS files where an API URL is https.
    ///
    /// # Errors
    /// `TlsFile` and `TlsConfig`.
    pub fn new(parameters: &IronicParameters) -> Result<Self, IronicError> {
        let request_timeout = match parameters.request_timeout {
            Duration::ZERO => REQUEST_TIMEOUT,
            given => given,
        };
        let request_id = parameters.global_request_id.as_deref().and_then(|id| {
            let value = HeaderValue::from_str(id).ok();
            if value.is_none() {
                tracing::warn!(?id, "the global request id is not valid in a header and is not sent");
            }
            value
        });
        Ok(Self {
            connector: Connector::new(tls(parameters), CONNECT_TIMEOUT.min(request_timeout))?,
            request_timeout,
            request_id,
            configured: parameters.api_version,
            memory: Mutex::default(),
        })
    }

    /// Asks `GET /` for the newest API version that the server speaks.
    ///
    /// # Errors
    /// Any of the layer; `VersionTooOld` below 1.22, which knows neither lookup nor heartbeat.
    pub async fn discover(&self, endpoints: &[Endpoint]) -> Result<Answer<ApiVersion>, IronicError> {
        let outgoing = Outgoing {
            method: Method::GET,
            path: "/",
            version: None,
            body: Bytes::new(),
            expected: 200,
            secret: None,
        };
        let (body, connection) = self.ask(endpoints, &outgoing).await?;
        let offered = parse(version::parse_root(&body), &connection)?;
        if offered < version::LOOKUP {
            let purpose = "lookup and heartbeat";
            return Err(IronicError::VersionTooOld { offered, needed: version::LOOKUP, purpose });
        }
        self.memory().offered = Some(offered);
        Ok(Answer { value: offered, connection })
    }

    /// Asks for what a lookup needs to know first, so that afterwards nothing delays it.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn prepare_lookup(&self, endpoints: &[Endpoint]) -> Result<(), IronicError> {
        match self.configured {
            Some(configured) if configured >= version::AGENT_TOKEN => Ok(()),
            _ => self.offered(endpoints).await.map(drop),
        }
    }

    /// Looks the node up. Takes the token where nobody has it yet: call it only where that is meant.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn lookup(
        &self,
        endpoints: &[Endpoint],
        query: &LookupQuery,
    ) -> Result<Answer<LookupReply>, IronicError> {
        let path = query.path()?;
        let offered = match self.configured {
            // An operator's old version must not take the protection away that the server has: ask what it has.
            Some(configured) if configured < version::AGENT_TOKEN => {
                let offered = self.offered(endpoints).await?;
                if offered >= version::AGENT_TOKEN { offered } else { configured.min(offered) }
            }
            Some(configured) => configured,
            None => self.offered(endpoints).await?,
        };
        let outgoing = Outgoing {
            method: Method::GET,
            path: &path,
            version: Some(version::for_lookup(offered)),
            body: Bytes::new(),
            expected: 200,
            secret: None,
        };
        let (body, connection) = self.ask(endpoints, &outgoing).await?;
        let value = parse(LookupReply::parse(&body), &connection)?;
        Ok(Answer { value, connection })
    }

    /// Sends a heartbeat. Success means accepted (202), which is not proof that Ironic recorded it.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn heartbeat(
        &self,
        endpoints: &[Endpoint],
        heartbeat: &Heartbeat,
    ) -> Result<Answer<()>, IronicError> {
        let path = heartbeat.path()?;
        let offered = match self.configured {
            Some(configured) => configured,
            None => self.offered(endpoints).await?,
        };
        let speak = version::for_heartbeat(offered);
        let outgoing = Outgoing {
            method: Method::POST,
            path: &path,
            version: Some(speak),
            body: Bytes::from_owner(heartbeat.body(speak)?), // Wiped once hyper has let go of it.
            expected: 202,
            secret: heartbeat.agent_token.as_ref(),
        };
        let (_, connection) = self.ask(endpoints, &outgoing).await?;
        Ok(Answer { value: (), connection })
    }

    /// Opens a connection to the first API URL that accepts one, for a caller that speaks HTTP on it itself. Each address has
    /// an equal share of the time `within`: one that is silent leaves some to the next, and is not tried first again.
    ///
    /// # Errors
    /// Of the last address that was tried.
    pub async fn connect(
        &self,
        endpoints: &[Endpoint],
        within: Duration,
    ) -> Result<(Stream, Connection), IronicError> {
        let attempts = self.attempts(endpoints);
        let count = u32::try_from(attempts.len()).unwrap_or(u32::MAX).max(1);
        let connector = self.connector.within(within / count);
        let mut last = IronicError::NoEndpoint;
        for (url, address) in attempts {
            match connector.connect(url, address).await {
                Ok(open) => {
                    self.memory().answered = Some((url.clone(), address));
                    return Ok(open);
                }
                Err(error) => last = self.keep_on(url, address, error.into())?,
            }
        }
        Err(last)
    }

    /// The version from memory, or from the server.
    async fn offered(&self, endpoints: &[Endpoint]) -> Result<ApiVersion, IronicError> {
        let known = self.memory().offered;
        match known {
            Some(offered) => Ok(offered),
            None => Ok(self.discover(endpoints).await?.value),
        }
    }

    /// Sends to one address after the other until one answers; gives the body of a success.
    async fn ask(
        &self,
        endpoints: &[Endpoint],
        outgoing: &Outgoing<'_>,
    ) -> Result<(Bytes, Connection), IronicError> {
        let mut last = IronicError::NoEndpoint;
        for (url, address) in self.attempts(endpoints) {
            match self.ask_one(url, address, outgoing).await {
                Ok((reply, connection)) => {
                    self.memory().answered = Some((url.clone(), address));
                    return self.judge(reply, connection, outgoing);
                }
                Err(error) => last = self.keep_on(url, address, error)?,
            }
        }
        Err(last)
    }

    /// Says what failed and hands it on as the last error, or ends the walk with it. What has failed is not tried first
    /// again.
    fn keep_on(&self, url: &ApiUrl, address: IpAddr, error: IronicError) -> Result<IronicError, IronicError> {
        if !error.tries_next() {
            return Err(error);
        }
        tracing::debug!(%error, "trying the next address of the API, where there is one");
        let mut memory = self.memory();
        if memory.answered.as_ref().is_some_and(|(known, at)| known == url && *at == address) {
            memory.answered = None;
        }
        Ok(error)
    }

    async fn ask_one(
        &self,
        url: &ApiUrl,
        address: IpAddr,
        outgoing: &Outgoing<'_>,
    ) -> Result<(Reply, Connection), IronicError> {
        let deadline = Deadline { at: Instant::now() + self.request_timeout, after: self.request_timeout };
        let request = self.request(url, outgoing)?;
        let (stream, connection) = self.connector.connect(url, address).await?;
        let peer = peer(&connection);
        let reply = exchange(stream, request, &peer, deadline).await?;
        Ok((reply, connection))
    }

    fn judge(
        &self,
        reply: Reply,
        connection: Connection,
        outgoing: &Outgoing<'_>,
    ) -> Result<(Bytes, Connection), IronicError> {
        if reply.status.as_u16() == outgoing.expected {
            return match reply.body {
                // An accepted heartbeat is accepted, however its empty body ends.
                Err(_) if outgoing.expected == 202 => Ok((Bytes::new(), connection)),
                body => Ok((body?, connection)),
            };
        }
        let error = unexpected(peer(&connection), &reply, outgoing.expected, outgoing.secret);
        if error.refusal() == Some(Refusal::VersionNotAccepted) {
            self.memory().offered = None; // Another server than before: ask again.
        }
        Err(error)
    }

    fn request(&self, url: &ApiUrl, outgoing: &Outgoing<'_>) -> Result<Request<Full<Bytes>>, IronicError> {
        let mut request = Request::builder()
            .method(outgoing.method.clone())
            .uri(url.path(outgoing.path))
            .header(header::HOST, url.authority())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close");
        if !outgoing.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(speak) = outgoing.version {
            request = request.header(VERSION_HEADER, version::version_text(speak));
        }
        if let Some(id) = &self.request_id {
            request = request.header(REQUEST_ID_HEADER, id);
        }
        request
            .body(Full::new(outgoing.body.clone()))
            .map_err(|error| IronicError::InvalidRequest { problem: format!("{url}: {error}") })
    }

    /// Every address in the operator's order, but the one that answered last at the front.
    fn attempts<'a>(&self, endpoints: &'a [Endpoint]) -> Vec<(&'a ApiUrl, IpAddr)> {
        let mut all: Vec<_> = endpoints
            .iter()
            .flat_map(|endpoint| endpoint.addresses.iter().map(|address| (&endpoint.url, *address)))
            .collect();
        if let Some((url, address)) = &self.memory().answered {
            // Stable: the others keep their order.
            all.sort_by_key(|(u, a)| *u != url || a != address);
        }
        all
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Plain values: a panic elsewhere leaves them usable.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// TLS where one of the API URLs is https.
fn tls(parameters: &IronicParameters) -> ClientTls<'_> {
    ClientTls {
        wanted: parameters.api_urls.iter().any(|url| url.scheme == Scheme::Https),
        cafile: parameters.cafile.as_deref(),
        certfile: parameters.certfile.as_deref(),
        keyfile: parameters.keyfile.as_deref(),
        insecure: parameters.insecure,
    }
}

fn peer(connection: &Connection) -> Box<Peer> {
    Box::new(Peer { url: connection.url.clone(), address: connection.remote })
}

fn parse<T>(parsed: Result<T, String>, connection: &Connection) -> Result<T, IronicError> {
    parsed.map_err(|problem| IronicError::InvalidResponse { peer: peer(connection), problem })
}
