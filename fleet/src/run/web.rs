//! What is answered on `--web.listen-address`.

use std::sync::Arc;

use exporter::{Answer, Handler, STYLE, Sheet, page, plain, typed};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio::sync::watch;

use crate::poll::key;
use crate::relay::Relay;
use crate::report::{LastWords, section};
use crate::subject::Failure;

use super::fleet::Fleet;
use super::kept::{self, literal};
use super::metrics::Metrics;
use super::page as pages;
use super::sd::{RELAY, Settings};

const PATHS: &str =
    "try /, /nodes/UUID, /failures, /metrics, /sd, /relay?node=UUID, /-/healthy or /-/ready\n";

/// What the answers are made from.
pub struct Site {
    /// What the poll publishes.
    pub fleet: watch::Receiver<Arc<Fleet>>,
    /// What the nodes say.
    pub words: watch::Receiver<LastWords>,
    /// Asks sidecars for Prometheus.
    pub relay: Relay,
    /// The metrics.
    pub metrics: Metrics,
    /// What the operator wants of the targets.
    pub targets: Settings,
}

impl Handler for Site {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        match request.uri().path() {
            RELAY => self.relay.answer(request).await,
            _ => self.to(request),
        }
    }
}

impl Site {
    fn to(&self, request: &Request<Incoming>) -> Answer {
        let fleet = Arc::clone(&self.fleet.borrow());
        match request.uri().path() {
            "/" => page(pages::fleet(&fleet), STYLE),
            "/failures" => json(&failures(&fleet)),
            "/metrics" => match self.metrics.render() {
                Ok((text, content_type)) => typed(StatusCode::OK, &content_type, text),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/sd" => {
                let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
                self.targets.answer(&fleet, request.uri().query(), host, &self.metrics)
            }
            "/-/healthy" => plain(StatusCode::OK, "healthy\n"),
            "/-/ready" => match fleet.is_stale() {
                None => plain(StatusCode::OK, "ready: the whole fleet is visible\n"),
                Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
            },
            path => match path.strip_prefix("/nodes/") {
                Some(uuid) => self.node(&fleet, uuid),
                None => plain(StatusCode::NOT_FOUND, PATHS),
            },
        }
    }

    fn node(&self, fleet: &Fleet, uuid: &str) -> Answer {
        let uuid = uuid.to_ascii_lowercase();
        let known =
            api_client::is_uuid(&uuid).then(|| pages::node(fleet, key(&uuid), &self.said(fleet, &uuid)));
        known.flatten().map_or_else(
            || plain(StatusCode::NOT_FOUND, "no node with this UUID is visible\n"),
            |html| page(html, STYLE),
        )
    }

    /// What a node said last, as HTML.
    fn said(&self, fleet: &Fleet, uuid: &str) -> String {
        let mut sheet = Sheet::html();
        if let Some(words) = self.words.borrow().of(uuid) {
            let failure = fleet.failures.iter().find(|recorded| recorded.key == key(uuid));
            let meant = failure.and_then(|recorded| literal(recorded.failure.suggestion.as_deref()?));
            let _ = section(&mut sheet, words, meant); // Writing to a text cannot fail.
        }
        sheet.into_text()
    }
}

#[derive(Serialize)]
struct Failures<'a> {
    failures: Vec<OfNode<'a>>,
    problems: Vec<&'a str>,
}

#[derive(Serialize)]
struct OfNode<'a> {
    node_uuid: String,
    name: Option<&'a str>,
    counted: bool,
    #[serde(flatten)]
    failure: &'a Failure,
}

fn failures(fleet: &Fleet) -> Failures<'_> {
    let failures = fleet.failures.iter().map(|one| OfNode {
        node_uuid: kept::uuid(one.key),
        name: one.name.as_deref(),
        counted: one.counted,
        failure: &one.failure,
    });
    let problems = fleet.blind.iter().map(|blind| blind.text.as_str());
    Failures {
        failures: failures.collect(),
        problems: problems.chain(fleet.notes.iter().map(String::as_str)).collect(),
    }
}

/// A document in JSON.
pub fn json(document: &impl Serialize) -> Answer {
    match serde_json::to_string(document) {
        Ok(text) => typed(StatusCode::OK, "application/json", text),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}
