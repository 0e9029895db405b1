//! What people and Prometheus look at: `/metrics`, `/-/healthy`, `/-/ready`, `/state` and the page.

mod answer;
mod listen;
mod page;
mod report;
mod state;

pub use listen::{Web, bind};

use exporter::{Answer, Handler};
use hyper::Request;
use hyper::body::Incoming;

use crate::metrics::Metrics;
use crate::onlooker::Looks;
use crate::readiness::{Readiness, readiness};
use crate::report::About;
use crate::view::{Sources, View};

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What the tasks publish.
    pub sources: Sources,
    pub metrics: Metrics,
    /// Where each look at the daemon is noted.
    pub looks: Looks,
}

impl Handler for Shown {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        answer::to(request.uri().path(), self)
    }
}

impl Shown {
    /// Whether the daemon is ready, and what the page says, for a console.
    pub fn console(&self) -> (bool, String) {
        let (view, ready) = self.look();
        (ready.is_ok(), page::console(&view, &ready))
    }

    /// Whether the daemon is ready, and `/state`.
    ///
    /// # Errors
    /// Where a value has no place in JSON.
    pub fn json(&self) -> (bool, serde_json::Result<String>) {
        let (view, ready) = self.look();
        (ready.is_ok(), serde_json::to_string_pretty(&state::State::of(&view, &ready)))
    }

    /// `/state` as the body of a report; `None` where a value has no place in JSON.
    pub fn report(&self, about: &About) -> Option<Vec<u8>> {
        let (view, ready) = self.look();
        report::body(&state::State::of(&view, &ready), about)
    }

    /// Everything at this moment, and whether the daemon is ready.
    fn look(&self) -> (View, Readiness) {
        self.looks.note();
        let view = self.sources.view();
        let ready = readiness(&view);
        (view, ready)
    }
}
