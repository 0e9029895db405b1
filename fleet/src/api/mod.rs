//! The Ironic API as an operator reads it: the version, listings, one node, its history. Only GET is ever sent to Ironic.

mod error;
mod keystone;
pub mod server;

pub use error::ApiError;
pub use keystone::{Scope, ScopeKind};

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use api_client::http::Reply;
use api_client::{ApiVersion, query_value, version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use text::{Secret, foreign_text};
use zeroize::Zeroizing;

use crate::cloud::{self, Cloud};
use crate::moment::Moment;
use crate::node::{self, Event, Node, Page};
use crate::params::{AuthKind, IronicParameters, Parameters};
use crate::secret::first_line;

use keystone::Token;
use server::{Ask, Server, sensitive};

const IRONIC: &str = "Ironic";
/// ironic/api/controllers/base.py
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-openstack-ironic-api-version");
const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");
/// Brought `fields` (ironic/api/controllers/v1/versions.py, as all of these).
const FIELDS: ApiVersion = ApiVersion { major: 1, minor: 8 };
/// Brought the conductor group.
const CONDUCTOR_GROUP: ApiVersion = ApiVersion { major: 1, minor: 46 };
/// Brought the node history.
const HISTORY: ApiVersion = ApiVersion { major: 1, minor: 78 };
/// The newest that is of use here: it brought the service states.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 87 };
/// So many events of a node are looked at, the newest first.
const EVENTS: usize = 20;

/// How to authenticate to Ironic.
enum Access {
    /// Not at all.
    Open,
    /// The value of `Authorization`.
    Basic(HeaderValue),
    /// A token of Keystone's.
    Keystone { cloud: Box<Cloud>, parameters: Box<IronicParameters>, token: RefCell<Token> },
}

/// An Ironic that is asked.
pub struct Api {
    server: Server,
    access: Access,
    version: ApiVersion,
    now: Cell<Option<Moment>>,
    group: String,
}

/// Which nodes a listing is of.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The fields, comma list.
    pub fields: &'a str,
    /// Of this provision state only.
    pub state: Option<&'a str>,
    /// Those whose state changed last come first; such a listing has one page.
    pub newest_first: bool,
    /// Nodes behind this one.
    pub marker: Option<&'a str>,
    /// How many.
    pub limit: usize,
}

impl Api {
    /// Finds the server, logs in where that is wanted, and asks which version it speaks.
    ///
    /// # Errors
    /// Where Ironic or Keystone is away or refuses the credentials, and for settings that cannot be used.
    pub async fn open(parameters: &Parameters) -> Result<(Self, Vec<String>), ApiError> {
        let ironic = &parameters.ironic;
        let found = cloud::find(parameters).map_err(|error| ApiError::Usage(error.to_string()))?;
        let (access, url, warnings) = match found {
            Some((cloud, warnings)) => {
                let ironic = cloud.with_tls_of(ironic);
                let token = keystone::log_in(&cloud, &ironic).await?;
                let url = match (&ironic.url, &cloud.endpoint) {
                    (Some(url), _) | (None, Some(url)) => url.clone(),
                    (None, None) => token.endpoint(&cloud)?,
                };
                let parameters = Box::new(ironic);
                let token = RefCell::new(token);
                (Access::Keystone { cloud: Box::new(cloud), parameters, token }, url, warnings)
            }
            None => {
                let url = ironic.url.clone().ok_or_else(|| {
                    let text = "no Ironic is named: give --ironic.url, or --os-cloud with a clouds.yaml";
                    ApiError::Usage(text.to_owned())
                })?;
                (basic(ironic)?, url, Vec::new())
            }
        };
        let tls = match &access {
            Access::Keystone { parameters, .. } => parameters,
            _ => ironic,
        };
        let server = Server::open(IRONIC, url, tls).await?;
        let group = ironic.conductor_group.as_ref();
        let group = group.map(|group| format!("&conductor_group={}", query_value(group)));
        let group = group.unwrap_or_default();
        let version = ApiVersion { major: 1, minor: 1 };
        let mut api = Self { server, access, version, now: Cell::new(None), group };
        api.discover().await?;
        Ok((api, warnings))
    }

    async fn discover(&mut self) -> Result<(), ApiError> {
        let what = "GET /";
        let reply = self.server.send(&Ask::get("/")).await?;
        self.take_date(&reply);
        let body = self.server.body(reply, what, None)?;
        let invalid = |problem| ApiError::Invalid { who: IRONIC, what: what.to_owned(), problem };
        let offered = version::parse_root(&body).map_err(invalid)?;
        for (wanted, needed, purpose) in [
            (true, FIELDS, "a listing by fields"),
            (!self.group.is_empty(), CONDUCTOR_GROUP, "a conductor group"),
        ] {
            if wanted && offered < needed {
                return Err(ApiError::VersionTooOld { offered, needed, purpose });
            }
        }
        self.version = offered.min(NEWEST);
        Ok(())
    }

    /// The version that is spoken.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Whether it keeps a history of its nodes.
    pub fn has_history(&self) -> bool {
        self.version >= HISTORY
    }

    /// The moment that it is for Ironic, by its last answer; by this machine's clock where it did not say.
    pub fn now(&self) -> Moment {
        self.now.get().unwrap_or_else(Moment::of_this_clock)
    }

    /// Its addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        self.server.addresses()
    }

    /// How many requests Ironic got, and how many bytes it answered.
    pub fn asked(&self) -> (u64, u64) {
        self.server.asked()
    }

    /// The scope of the token, where there is one.
    pub fn scope(&self) -> Option<Scope> {
        match &self.access {
            Access::Keystone { token, .. } => Some(token.borrow().scope.clone()),
            _ => None,
        }
    }

    /// One page of nodes.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn page(&self, query: Query<'_>) -> Result<Page, ApiError> {
        let Query { fields, state, newest_first, marker, limit } = query;
        let mut path = format!("/v1/nodes?fields={fields}&limit={limit}{}", self.group);
        for (name, value) in [("provision_state", state), ("marker", marker)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", query_value(value)));
            }
        }
        if newest_first {
            path.push_str("&sort_key=provision_updated_at&sort_dir=desc");
        }
        let what = match state {
            Some(state) => format!("the nodes in state {state}"),
            None if newest_first => "the nodes that changed last".to_owned(),
            None => "the list of nodes".to_owned(),
        };
        let body = self.get(&path, &what).await?;
        Page::parse(&body).map_err(|problem| ApiError::Invalid { who: IRONIC, what, problem })
    }

    /// One node, by its name or UUID.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn node(&self, name: &str) -> Result<Node, ApiError> {
        let what = "node of that name or UUID".to_owned();
        let path = format!("/v1/nodes/{}?fields={}", query_value(name), node::FIELDS);
        let body = self.get(&path, &what).await?;
        Node::parse(&body).map_err(|problem| ApiError::Invalid { who: IRONIC, what, problem })
    }

    /// The newest events of a node.
    ///
    /// # Errors
    /// Any of the layer.
    pub async fn history(&self, uuid: &str) -> Result<Vec<Event>, ApiError> {
        let what = format!("the history of node {uuid}");
        let path = format!(
            "/v1/nodes/{}/history?detail=true&sort_key=created_at&sort_dir=desc&limit={EVENTS}",
            query_value(uuid)
        );
        let body = self.get(&path, &what).await?;
        node::events(&body).map_err(|problem| ApiError::Invalid { who: IRONIC, what, problem })
    }

    /// Asks once; where a token has run out, once more with a new one.
    async fn get(&self, path: &str, what: &str) -> Result<Bytes, ApiError> {
        let reply = self.send(path).await?;
        let reply = match &self.access {
            Access::Keystone { cloud, parameters, token } if reply.status.as_u16() == 401 => {
                tracing::info!("Ironic no longer accepts the token: requesting a new one");
                let fresh = keystone::log_in(cloud, parameters).await?;
                *token.borrow_mut() = fresh;
                self.send(path).await?
            }
            _ => reply,
        };
        let secret = match &self.access {
            Access::Keystone { token, .. } => Some(token.borrow().secret.clone()),
            _ => None,
        };
        self.server.body(reply, what, secret.as_ref()).map_err(|error| self.advised(error))
    }

    async fn send(&self, path: &str) -> Result<Reply, ApiError> {
        let mut ask = Ask::get(path);
        if let Ok(value) = HeaderValue::from_str(&version::version_text(self.version)) {
            ask.headers.push((VERSION_HEADER, value));
        }
        match &self.access {
            Access::Open => {}
            Access::Basic(value) => ask.headers.push((header::AUTHORIZATION, value.clone())),
            Access::Keystone { token, .. } => {
                let value = sensitive(token.borrow().secret.expose());
                ask.headers.extend(value.map(|value| (TOKEN_HEADER, value)));
            }
        }
        let reply = self.server.send(&ask).await?;
        self.take_date(&reply);
        Ok(reply)
    }

    fn take_date(&self, reply: &Reply) {
        let date = reply.headers.get(header::DATE).and_then(|date| date.to_str().ok());
        self.now.set(date.and_then(Moment::parse_http).or_else(|| self.now.get()));
    }

    fn advised(&self, error: ApiError) -> ApiError {
        match error {
            ApiError::Unauthorized { who, message, .. } => {
                let advice = match &self.access {
                    Access::Open => {
                        "; give --ironic.auth=http_basic with a user and a password file, or --os-cloud"
                    }
                    Access::Basic(_) => "; look at --ironic.username and at the password file",
                    Access::Keystone { .. } => "; a new token was refused as well",
                };
                ApiError::Unauthorized { who, message, advice }
            }
            error => error,
        }
    }
}

/// Reads the password where http_basic is wanted.
fn basic(ironic: &IronicParameters) -> Result<Access, ApiError> {
    let (AuthKind::HttpBasic, Some(user), Some(path)) =
        (ironic.auth, &ironic.username, &ironic.password_file)
    else {
        return Ok(Access::Open);
    };
    let problem = |text: &str| {
        let path = foreign_text(&path.to_string_lossy(), None);
        ApiError::Usage(format!("ironic.password-file {path}: {text}"))
    };
    let password = first_line(path).map_err(|error| problem(&error))?;
    let pair = Zeroizing::new(format!("{user}:{}", password.expose()));
    let encoded = Secret::new(STANDARD.encode(pair.as_bytes()));
    let value = Zeroizing::new(format!("Basic {}", encoded.expose()));
    sensitive(&value).map(Access::Basic).ok_or_else(|| problem("its password cannot be sent"))
}
