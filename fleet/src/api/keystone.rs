//! The log-in at Keystone (identity API v3): one POST, for a token and the catalog.

use api_client::{json, parts};
use callback_url::ApiUrl;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use text::{Secret, foreign_text, labels};
use zeroize::Zeroize;

use crate::cloud::{Cloud, Identity, Wanted};
use crate::params::IronicParameters;

use super::error::ApiError;
use super::server::{Ask, Server};

const KEYSTONE: &str = "Keystone";
/// The type of Ironic in a catalog, and what it was called before (os-service-types).
const SERVICE_TYPES: [&str; 2] = ["baremetal", "bare-metal"];
const WHAT: &str = "the log-in";

labels! {
    /// What a token is good for.
    pub enum ScopeKind {
        /// The whole system: all nodes.
        System = "system",
        /// One project: the nodes that it owns.
        Project = "project",
        /// Neither.
        Other = "other",
    }
}

/// The scope of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Which kind.
    pub kind: ScopeKind,
    /// The project's name, printable.
    pub project: Option<String>,
}

impl Scope {
    /// Whether only nodes of one project can be seen.
    pub fn is_narrow(&self) -> bool {
        self.kind != ScopeKind::System
    }
}

/// An endpoint of Ironic's in a catalog: interface, region, URL.
type Endpoints = Vec<(String, String, String)>;

/// A token.
pub struct Token {
    /// Sent as `X-Auth-Token`.
    pub secret: Secret,
    /// What it is good for.
    pub scope: Scope,
    endpoints: Endpoints,
}

/// Asks for a token, once.
///
/// # Errors
/// Where Keystone is away or does not take the credentials.
pub async fn log_in(cloud: &Cloud, parameters: &IronicParameters) -> Result<Token, ApiError> {
    let server = Server::open(KEYSTONE, cloud.auth_url.clone(), parameters).await?;
    let path = if server.url().prefix.ends_with("/v3") { "/auth/tokens" } else { "/v3/auth/tokens" };
    let body = Bytes::from_owner(Wiped(request(cloud)));
    let ask = Ask { method: Method::POST, path, headers: Vec::new(), body };
    let reply = server.send(&ask).await?;
    let secret = reply.headers.get("x-subject-token").and_then(|value| value.to_str().ok());
    let secret = secret.map(|text| Secret::new(text.to_owned()));
    let body = server.body(reply, WHAT, Some(cloud.identity.secret())).map_err(advised)?;
    let secret =
        secret.ok_or_else(|| invalid("it has no X-Subject-Token: is the URL Keystone's?".to_owned()))?;
    let (scope, endpoints) = read(&body).map_err(invalid)?;
    Ok(Token { secret, scope, endpoints })
}

fn invalid(problem: String) -> ApiError {
    ApiError::Invalid { who: KEYSTONE, what: WHAT.to_owned(), problem }
}

fn advised(error: ApiError) -> ApiError {
    match error {
        ApiError::Unauthorized { who, message, .. } => {
            let advice = "; look at the user, its domain and password in clouds.yaml, secure.yaml or OS_*";
            ApiError::Unauthorized { who, message, advice }
        }
        error => error,
    }
}

/// A body with a password in it: wiped once hyper has let go of it.
struct Wiped(Vec<u8>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The body (identity API v3, "Password authentication with scoped authorization" and its sisters).
fn request(cloud: &Cloud) -> Vec<u8> {
    let identity = match &cloud.identity {
        Identity::Password { user, password } => {
            let mut user = user.clone();
            user.insert("password".to_owned(), Value::from(password.expose()));
            json!({"methods": ["password"], "password": {"user": user}})
        }
        Identity::ApplicationCredential { credential, secret } => {
            let mut credential = credential.clone();
            credential.insert("secret".to_owned(), Value::from(secret.expose()));
            json!({"methods": ["application_credential"], "application_credential": credential})
        }
    };
    let auth = match &cloud.wanted {
        Wanted::Own => json!({"identity": identity}),
        Wanted::System => json!({"identity": identity, "scope": {"system": {"all": true}}}),
        Wanted::Project(project) => json!({"identity": identity, "scope": {"project": project}}),
    };
    let mut document = json!({"auth": auth});
    let body = document.to_string().into_bytes();
    wipe(&mut document);
    body
}

/// The password stands in the document too.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        _ => {}
    }
}

parts! {
    struct Answer { token }
}
parts! {
    struct Body { system, project, catalog }
}
parts! {
    struct Named { name }
}
parts! {
    struct Service { r#type, endpoints }
}
parts! {
    struct Endpoint { interface, region, region_id, url }
}

/// The scope and Ironic's endpoints.
fn read(body: &[u8]) -> Result<(Scope, Endpoints), String> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| format!("it is no JSON object: {error}"))?;
    let token: Body = answer.token.and_then(json::read).ok_or("it has no token")?;
    let project: Option<Named> = token.project.and_then(json::read);
    let kind = match (token.system.is_some(), project.is_some()) {
        (true, _) => ScopeKind::System,
        (false, true) => ScopeKind::Project,
        (false, false) => ScopeKind::Other,
    };
    let project = project.and_then(|project| text(project.name)).map(|name| foreign_text(&name, None));
    let services: Vec<&RawValue> = token.catalog.and_then(json::read).unwrap_or_default();
    let services = services.into_iter().filter_map(json::read::<Service>);
    let ironics = services
        .filter(|service| text(service.r#type).is_some_and(|kind| SERVICE_TYPES.contains(&kind.as_str())));
    let endpoints = ironics.filter_map(|service| json::read::<Vec<&RawValue>>(service.endpoints?)).flatten();
    let endpoints = endpoints.filter_map(|endpoint| {
        let endpoint: Endpoint = json::read(endpoint)?;
        let region = text(endpoint.region_id).or_else(|| text(endpoint.region)).unwrap_or_default();
        Some((text(endpoint.interface)?, region, text(endpoint.url)?))
    });
    Ok((Scope { kind, project }, endpoints.collect()))
}

fn text(part: Option<&RawValue>) -> Option<String> {
    part.and_then(json::text).map(std::borrow::Cow::into_owned)
}

impl Token {
    /// Ironic's URL, as the catalog has it for the cloud's interface and region.
    ///
    /// # Errors
    /// Where the catalog has none, or one that cannot be used.
    pub fn endpoint(&self, cloud: &Cloud) -> Result<ApiUrl, ApiError> {
        let fits = |(interface, region, _): &&(String, String, String)| {
            *interface == cloud.interface && cloud.region.as_ref().is_none_or(|wanted| wanted == region)
        };
        let found = self.endpoints.iter().find(fits).ok_or_else(|| {
            let region = cloud.region.as_deref().unwrap_or("any region");
            ApiError::Settings(format!(
                "the catalog of Keystone has no {} endpoint of the bare metal service in {}: give --ironic.url",
                cloud.interface,
                foreign_text(region, None)
            ))
        })?;
        let unusable = |problem: &str| {
            let url = foreign_text(&found.2, None);
            ApiError::Settings(format!("the catalog's URL of Ironic, {url}, cannot be used: {problem}"))
        };
        if ["%(", "$("].iter().any(|mark| found.2.contains(mark)) {
            return Err(unusable("a part of it was not filled in"));
        }
        ApiUrl::parse(&found.2).map_err(|error| unusable(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_and_endpoint_are_read() {
        let body = br#"{"token": {"project": {"id": "p", "name": "admin", "domain": {}}, "roles": [], "catalog": [
            {"type": "identity", "endpoints": [{"interface": "public", "region_id": "R1", "url": "http://k"}]},
            {"type": "baremetal", "endpoints": [{"interface": "internal", "region_id": "R1", "url": "http://i"},
                {"interface": "public", "region_id": "R1", "url": "http://b"}, 7]}, 8]}}"#;
        let (scope, endpoints) = read(body).unwrap();
        assert_eq!((scope.kind, scope.project.as_deref()), (ScopeKind::Project, Some("admin")));
        assert_eq!(endpoints.len(), 2);
        let (scope, _) = read(br#"{"token": {"system": {"all": true}}}"#).unwrap();
        assert!(!scope.is_narrow());
        assert!(read(b"<html>").is_err() && read(b"{}").is_err());
    }
}
