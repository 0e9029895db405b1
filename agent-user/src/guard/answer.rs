//! The answers that the guard makes itself.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::relay::{AnyBody, full};

/// What IPA is answered.
pub type Answer = Response<AnyBody>;

/// Plain text.
pub fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(full(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// 409 as Ironic writes it for a locked node: IPA shows the text, pauses, and asks again.
pub fn conflict(why: &str) -> Answer {
    let fault = serde_json::json!({
        "faultcode": "Client",
        "faultstring": format!("ipa-sidecar holds this request: {why}"),
        "debuginfo": null,
    });
    let body = serde_json::json!({ "error_message": fault.to_string() });
    let mut answer = Response::new(full(body.to_string()));
    *answer.status_mut() = StatusCode::CONFLICT;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
