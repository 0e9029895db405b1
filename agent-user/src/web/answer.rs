//! What is answered.

use exporter::{Answer, STYLE, page, plain, typed};
use hyper::StatusCode;

use super::Shown;
use super::page::render;

/// The answer to a request for a path.
pub(super) fn to(path: &str, shown: &Shown) -> Answer {
    match path {
        "/" => {
            let (view, ready) = shown.look();
            page(render(&view, &ready), STYLE)
        }
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

fn metrics(shown: &Shown) -> Answer {
    shown.looks.note();
    match shown.metrics.render() {
        Ok((text, content_type)) => typed(StatusCode::OK, &content_type, text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn json(shown: &Shown) -> Answer {
    match shown.json().1 {
        Ok(text) => typed(StatusCode::OK, "application/json", text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
