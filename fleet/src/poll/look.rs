//! One look at all nodes: how many are visible, the URLs of those with a ramdisk, the failures.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{Api, ApiError, Query, Scope, ScopeKind};
use crate::moment::Moment;
use crate::node::{self, Node};
use crate::states::{FAILED, FAST_TRACK, LIVE, State};
use crate::subject::Subject;

use super::walk::{Listing, walk};

/// Of one page: a node has some 2 KB with all fields that are asked for, 150 bytes without.
const PAGE: usize = 500;
const SHORT_PAGE: usize = 1000;
/// So many nodes that changed last are looked at, whatever state they are in now.
const NEWEST: usize = 200;
/// The most histories that one look asks for.
const HISTORIES: usize = 1000;

/// After so many that Ironic refuses, no other history is asked for.
const REFUSALS: u32 = 5;

/// Said where fields are redacted.
pub const HIDDEN: &str = "Ironic hides the agent URL and the errors of nodes (\"Redacted\"): ipa-fleet needs a role that \
                          may read them, reader on the system at least";

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Failures of so long ago count.
    pub since: Duration,
    /// This node only.
    pub node: Option<String>,
    /// Nodes without a remark too.
    pub all: bool,
    /// The states of fast track too.
    pub fast_track: bool,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Look {
    /// How many nodes are visible.
    pub visible: usize,
    /// The nodes that were judged.
    pub nodes: BTreeMap<String, Subject>,
    /// What was not looked at, and does not make the look blind.
    pub notes: Vec<String>,
    /// Why the look is blind, in whole or in part: it must not pass for "all good".
    pub blind: Vec<String>,
    /// The moment that it was for Ironic.
    pub now: Option<Moment>,
}

impl Look {
    /// Whether something may have been hidden from it.
    pub fn is_blind(&self) -> bool {
        !self.blind.is_empty()
    }

    fn take(&mut self, node: Node) {
        if node.redacted {
            self.hidden();
        }
        let subject = Subject::of(node);
        self.nodes.insert(subject.uuid.clone(), subject);
    }

    fn hidden(&mut self) {
        if !self.blind.iter().any(|said| said == HIDDEN) {
            self.blind.push(HIDDEN.to_owned());
        }
    }
}

/// Looks. What cannot be seen is in the result, not an error.
pub async fn look(api: &Api, wish: &Wish, progress: &mut dyn FnMut(&str)) -> Look {
    let mut look = Look::default();
    let looked = match &wish.node {
        Some(name) => one(api, name, &mut look).await,
        None => all(api, wish, &mut look, progress).await,
    };
    look.now = Some(api.now());
    match looked {
        Ok(()) => histories(api, wish, &mut look, progress).await,
        Err(error) => look.blind.push(error.to_string()),
    }
    if look.visible == 0 && !look.is_blind() {
        look.blind.push(nobody(api.scope().as_ref()));
    } else if let Some(scope) = api.scope().filter(Scope::is_narrow) {
        look.notes.push(format!("nodes may be missing: {}", narrow(&scope)));
    }
    look
}

async fn one(api: &Api, name: &str, look: &mut Look) -> Result<(), ApiError> {
    let node = api.node(name).await?;
    look.visible = 1;
    look.take(node);
    Ok(())
}

/// The error ends the look; what fails alone stands in it.
async fn all(
    api: &Api,
    wish: &Wish,
    look: &mut Look,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ApiError> {
    let fields = if wish.all { "uuid,name,provision_state" } else { "uuid" };
    let listing = Listing { fields, state: None, limit: SHORT_PAGE };
    let (mut visible, mut others) = (0, Vec::new());
    let left_out = walk(api, listing, |node| {
        visible += 1;
        if visible % SHORT_PAGE == 0 {
            progress(&format!("{visible} nodes"));
        }
        if wish.all {
            others.push(node);
        }
    });
    look.notes.extend(left_out.await?);
    look.visible = visible;
    let fast_track: &[State] = if wish.fast_track { &FAST_TRACK } else { &[] };
    if wish.fast_track {
        tracing::info!(
            "fast track: asking for all available, manageable and enroll nodes, with their details"
        );
    }
    for state in LIVE.iter().chain(&FAILED).chain(fast_track) {
        if api.version().minor < state.since {
            continue;
        }
        progress(&format!("{visible} nodes, those in {}", state.name));
        let listing = Listing { fields: node::FIELDS, state: Some(state.name), limit: PAGE };
        match walk(api, listing, |node| look.take(node)).await {
            Ok(left_out) => look.blind.extend(left_out),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => look.blind.push(format!("nodes in {} were not looked at: {error}", state.name)),
        }
    }
    newest(api, wish, look).await?;
    for node in others {
        look.nodes.entry(node.uuid.clone()).or_insert_with(|| Subject::of(node));
    }
    Ok(())
}

/// The nodes that changed last: of those that failed and were moved on, or that changed state during the look.
async fn newest(api: &Api, wish: &Wish, look: &mut Look) -> Result<(), ApiError> {
    let query = Query { fields: node::FIELDS, state: None, newest_first: true, marker: None, limit: NEWEST };
    let page = match api.page(query).await {
        Ok(page) => page,
        Err(error) if error.is_final() => return Err(error),
        Err(error) => {
            look.notes.push(format!("the nodes that changed last were not looked at: {error}"));
            return Ok(());
        }
    };
    let since = api.now().before(wish.since);
    let oldest = page.nodes.last().and_then(|node| node.changed_at);
    if let Some(oldest) = oldest.filter(|oldest| page.nodes.len() == NEWEST && *oldest > since) {
        look.notes.push(format!(
            "of nodes that have left a failed state, only the {NEWEST} that changed last were looked at: \
             since {oldest}"
        ));
    }
    for node in page.nodes.into_iter().filter(|node| node.changed_at.is_some_and(|at| at >= since)) {
        look.take(node);
    }
    Ok(())
}

/// The failures, from the history of every node that has one to tell.
async fn histories(api: &Api, wish: &Wish, look: &mut Look, progress: &mut dyn FnMut(&str)) {
    let since = api.now().before(wish.since);
    let is_young = |subject: &&Subject| subject.changed_at.is_none_or(|at| at >= since);
    let is_wanted =
        |subject: &&Subject| wish.node.is_some() || subject.has_failed() || subject.changed_at.is_some();
    let mut wanted: Vec<_> = look.nodes.values().filter(is_wanted).filter(is_young).collect();
    // Failed nodes first, then the newest.
    wanted.sort_by_key(|subject| (!subject.has_failed(), std::cmp::Reverse(subject.changed_at)));
    let failed = wanted.iter().filter(|subject| subject.has_failed()).count();
    let live = wanted.len().saturating_sub(failed);
    let most = (failed + live.min(NEWEST)).min(HISTORIES);
    if failed > HISTORIES {
        look.notes.push(format!(
            "the history of {} failed nodes was not asked for: more than {HISTORIES}",
            failed - HISTORIES
        ));
    }
    let uuids: Vec<String> = wanted.into_iter().take(most).map(|subject| subject.uuid.clone()).collect();
    if !api.has_history() {
        let offered = api_client::version::version_text(api.version());
        look.notes.push(format!(
            "Ironic keeps no history of its nodes (API {offered}, it came with 1.78): failures are known only until \
             last_error goes"
        ));
    }
    let mut refused = 0;
    for (number, uuid) in uuids.iter().enumerate() {
        if number % 50 == 0 {
            progress(&format!("history of {number} of {} nodes", uuids.len()));
        }
        let events = match api.has_history() {
            true => api.history(uuid).await,
            false => Ok(Vec::new()),
        };
        match events {
            Ok(events) => {
                if let Some(subject) = look.nodes.get_mut(uuid) {
                    subject.remember(events, since);
                }
            }
            Err(ApiError::NotFound { .. }) => {} // Deleted meanwhile.
            Err(error) => {
                refused += 1;
                if refused == 1 {
                    look.blind.push(format!("failures may be missing: {error}"));
                }
                if error.is_final() || refused == REFUSALS {
                    break;
                }
            }
        }
    }
    for subject in look.nodes.values_mut() {
        subject.remember_last_error(since);
    }
}

/// Said where no node is visible.
pub fn nobody(scope: Option<&Scope>) -> String {
    match scope.filter(|scope| scope.is_narrow()) {
        Some(scope) => format!("no node is visible: {}", narrow(scope)),
        None => {
            "no node is visible: an Ironic without nodes and one that hides them look the same".to_owned()
        }
    }
}

/// What such a token shows, and which role is needed.
pub fn narrow(scope: &Scope) -> String {
    let of = match (scope.kind, &scope.project) {
        (ScopeKind::Project, Some(project)) => format!("the project {project}"),
        _ => "no system".to_owned(),
    };
    format!(
        "the token is for {of}, and Ironic shows it only what that project owns. Give the user the role reader on the system \
         (openstack role add --user USER --system all reader) and set system_scope: all"
    )
}
