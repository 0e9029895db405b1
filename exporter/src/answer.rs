//! Answers that every daemon gives, and their headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use ring::digest::{SHA256, digest};

const TEXT: &str = "text/plain; charset=utf-8";

/// A whole answer.
pub type Answer = Response<Full<Bytes>>;

/// A page of HTML without scripts; `style` is the content of its only style element. Nothing else is loaded, whatever a
/// foreign text on the page holds.
pub fn page(html: String, style: &str) -> Answer {
    let style = STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", html);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A plain text.
pub fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    typed(status, TEXT, text)
}

/// A body of the given content type.
pub fn typed(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(TEXT));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// To a request that wants to change something.
pub(crate) fn only_reads() -> Answer {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// To a client without a right login. `realm` names the daemon.
pub(crate) fn login_wanted(realm: &str) -> Answer {
    let mut response = plain(StatusCode::UNAUTHORIZED, "a user name and its password are wanted\n");
    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
    let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic"));
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// While no login can be checked.
pub(crate) fn configuration_broken() -> Answer {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the web configuration is broken: the log says how\n")
}

/// To a client that speaks HTTP where TLS is wanted.
pub(crate) fn speaks_tls() -> Answer {
    let mut response = plain(StatusCode::BAD_REQUEST, "this port speaks TLS: ask with https://\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
