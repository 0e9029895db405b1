//! What is answered, and with which headers.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use super::{Shown, page, state};

const TEXT: &str = "text/plain; charset=utf-8";

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// The answer to a request of somebody who is let in.
pub(super) fn to(request: &Request<Incoming>, shown: &Shown) -> Answer {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => page(shown),
        "/metrics" => metrics(shown),
        "/state" => json(shown),
        "/-/healthy" => plain(StatusCode::OK, "healthy\n"),
        "/-/ready" => match shown.look().1 {
            Ok(words) => plain(StatusCode::OK, format!("ready: {words}\n")),
            Err(words) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {words}\n")),
        },
        _ => plain(StatusCode::NOT_FOUND, "try /, /metrics, /state, /-/healthy or /-/ready\n"),
    }
}

fn page(shown: &Shown) -> Answer {
    let (view, ready) = shown.look();
    let mut response = typed(StatusCode::OK, "text/html; charset=utf-8", page::render(&view, &ready));
    // Nothing from outside, no script; what is shown comes in part from a foreign kernel command line.
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY.as_str()));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn metrics(shown: &Shown) -> Answer {
    match shown.metrics.render() {
        Ok((text, content_type)) => typed(StatusCode::OK, &content_type, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn json(shown: &Shown) -> Answer {
    let (view, ready) = shown.look();
    match serde_json::to_vec_pretty(&state::State::of(&view, &ready)) {
        Ok(text) => typed(StatusCode::OK, "application/json", text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// To somebody without a right login.
pub(super) fn login_wanted() -> Answer {
    let mut response = plain(StatusCode::UNAUTHORIZED, "a user name and its password are wanted\n");
    let challenge = HeaderValue::from_static("Basic realm=\"ipa-sidecar\", charset=\"UTF-8\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// While nobody can be told from anybody.
pub(super) fn configuration_broken() -> Answer {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the web configuration is broken: the log says how\n")
}

/// To somebody who speaks HTTP where TLS is wanted.
pub(super) fn speaks_tls() -> Answer {
    let mut response = plain(StatusCode::BAD_REQUEST, "this port speaks TLS: ask with https://\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    typed(status, TEXT, text)
}

fn typed(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(TEXT));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
