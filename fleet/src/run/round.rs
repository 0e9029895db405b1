//! One poll: what is asked of Ironic, one request after the other, and what the store takes of the answers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::{Api, ApiError, Query, Scope};
use crate::moment::Moment;
use crate::node;
use crate::poll::{HIDDEN, Listing, key, narrow, nobody, walk};
use crate::states;

use super::fleet::{Blind, Why};
use super::kept;
use super::memory::Recorded;
use super::store::Store;

/// Of one page: a node has some 2 KB with all fields that are asked for, 150 bytes without.
const PAGE: usize = 500;
const SHORT_PAGE: usize = 1000;
/// So many nodes that changed last are looked at, whatever state they are in now.
const NEWEST: usize = 200;
/// The most histories of one poll: each takes Ironic some 20 ms.
const HISTORIES: usize = 20;

/// After so many states that Ironic refuses, it is away.
const REFUSALS: usize = 3;

/// What a poll found out, beside what the store keeps.
#[derive(Debug, Default)]
pub struct Found {
    /// Why something may be hidden.
    pub blind: Vec<Blind>,
    /// What else is to be said.
    pub notes: Vec<String>,
    /// The failures that count.
    pub failures: Vec<Arc<Recorded>>,
    /// What was refused on the way.
    pub refusals: Vec<ApiError>,
}

impl Found {
    fn missing(&mut self, what: &str, error: ApiError) {
        self.incomplete(format!("{what}: {error}"));
        self.refusals.push(error);
    }

    fn incomplete(&mut self, text: String) {
        self.blind.push(Blind { why: Why::Incomplete, text });
    }
}

/// Counts all visible nodes, by state.
///
/// # Errors
/// Any of the API's.
pub async fn sweep(api: &Api, store: &mut Store) -> Result<(), ApiError> {
    let mut all = HashMap::new();
    let listing = Listing { fields: "uuid,provision_state", state: None, limit: SHORT_PAGE };
    let left_out = walk(api, listing, |node| {
        all.insert(key(&node.uuid), states::label(&node.provision_state));
    });
    for text in left_out.await? {
        tracing::warn!("{text}");
    }
    store.sweep(all);
    Ok(())
}

/// Polls.
///
/// # Errors
/// One after which nothing else would be answered; what fails alone stands in what was found.
pub async fn poll(api: &Api, store: &mut Store, start: Moment) -> Result<Found, ApiError> {
    let mut found = Found::default();
    let mut unseen = Vec::new();
    store.begin();
    for state in store.polled() {
        if api.version().minor < state.since {
            continue;
        }
        let listing = Listing { fields: node::FIELDS, state: Some(state.name), limit: PAGE };
        match walk(api, listing, |node| store.take(node)).await {
            Ok(left_out) => left_out.into_iter().for_each(|text| found.incomplete(text)),
            Err(error) if error.is_final() || unseen.len() + 1 >= REFUSALS => return Err(error),
            Err(error) => {
                unseen.push(state.name);
                found.missing(&format!("nodes in {} were not looked at", state.name), error);
            }
        }
    }
    store.end_states(&unseen);
    newest(api, store, &mut found).await?;
    if store.redacted {
        found.blind.push(Blind { why: Why::Redacted, text: HIDDEN.to_owned() });
    }
    histories(api, store, start, &mut found).await?;
    if found.blind.is_empty() {
        store.settle();
    }
    store.end(api.now());
    if store.states().is_empty() {
        found.blind.push(Blind { why: Why::NoNode, text: nobody(api.scope().as_ref()) });
    } else if let Some(scope) = api.scope().filter(Scope::is_narrow) {
        found.notes.push(format!("nodes may be missing: {}", narrow(&scope)));
    }
    Ok(found)
}

/// The nodes that changed last. Where there is none, no node is visible, whatever the last sweep saw.
async fn newest(api: &Api, store: &mut Store, found: &mut Found) -> Result<(), ApiError> {
    let query = Query { fields: node::FIELDS, state: None, newest_first: true, marker: None, limit: NEWEST };
    match api.page(query).await {
        Ok(page) if page.nodes.is_empty() && page.unreadable == 0 => store.sweep(HashMap::new()),
        Ok(page) => page.nodes.into_iter().for_each(|node| store.take_newest(node, api.now())),
        Err(error) if error.is_final() => return Err(error),
        Err(error) => found.missing("the nodes that changed last were not looked at", error),
    }
    Ok(())
}

async fn histories(api: &Api, store: &mut Store, start: Moment, found: &mut Found) -> Result<(), ApiError> {
    if !api.has_history() {
        let offered = api_client::version::version_text(api.version());
        found.notes.push(format!(
            "Ironic keeps no history of its nodes (API {offered}, it came with 1.78): failures are known only until \
             last_error goes"
        ));
    }
    for key in store.next(HISTORIES) {
        let events = match api.has_history() {
            true => api.history(&kept::uuid(key)).await,
            false => Ok(Vec::new()),
        };
        match events {
            Ok(events) => found.failures.extend(store.read(key, events, api.now(), start)),
            Err(ApiError::NotFound { .. }) => store.forget_node(key),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                found.missing("failures may be missing", error);
                break; // The next poll asks again.
            }
        }
    }
    let waiting = store.waiting();
    if waiting > 0 {
        found
            .notes
            .push(format!("{waiting} histories of nodes are still to be read: failures may be missing"));
    }
    Ok(())
}
