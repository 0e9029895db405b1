//! Every page of a listing. The marker is made from the last node of a page: Ironic's `next` drops the filters, may name
//! another host, and is never followed; that it is there means more.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::sleep;

use crate::api::{Api, ApiError, Query};
use crate::node::Node;

/// Before a page is asked for again that broke off.
const PAUSE: Duration = Duration::from_secs(1);
/// So many nodes of a page can serve as the marker: the last may be deleted meanwhile.
const MARKERS: usize = 5;

/// What is walked through.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// The fields, comma list.
    pub fields: &'a str,
    /// Of this state only.
    pub state: Option<&'a str>,
    /// So many nodes on a page.
    pub limit: usize,
}

/// What was left out on the way, for people.
pub type LeftOut = Vec<String>;

/// Hands every node on, each once.
///
/// # Errors
/// Any of the API's; a listing that never ends.
pub async fn walk(api: &Api, listing: Listing<'_>, mut take: impl FnMut(Node)) -> Result<LeftOut, ApiError> {
    let mut left_out = LeftOut::new();
    let mut seen: HashSet<u128> = HashSet::new();
    // The nodes of the last page that can serve as the marker, the last one at the end.
    let mut markers: Vec<String> = Vec::new();
    let mut limit = listing.limit;
    let mut again = true;
    loop {
        let query = Query {
            fields: listing.fields,
            state: listing.state,
            newest_first: false,
            marker: markers.last().map(String::as_str),
            limit,
        };
        let page = match api.page(query).await {
            Ok(page) => page,
            Err(ApiError::NotFound { .. }) if markers.len() > 1 => {
                markers.pop(); // That node is deleted: go on behind the one before.
                continue;
            }
            Err(error) if error.is_too_large() && limit > 1 => {
                limit = (limit / 8).max(1);
                continue;
            }
            Err(error) if error.is_too_large() => match step_over(api, query).await? {
                Some(uuid) => {
                    left_out.push(format!("node {uuid} is larger than what is read: it was not looked at"));
                    seen.insert(key(&uuid));
                    markers = vec![uuid];
                    limit = listing.limit;
                    continue;
                }
                None => return Err(error),
            },
            Err(error) if again && is_passing(&error) => {
                tracing::warn!(%error, "retrying");
                again = false;
                sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        again = true;
        if page.unreadable > 0 {
            left_out
                .push(format!("{} entries of a page are no nodes: they were not looked at", page.unreadable));
        }
        let (more, mut fresh) = (page.more, 0);
        let start = page.nodes.len().saturating_sub(MARKERS);
        markers = page.nodes.iter().skip(start).map(|node| node.uuid.clone()).collect();
        for node in page.nodes {
            if seen.insert(key(&node.uuid)) {
                fresh += 1;
                take(node);
            }
        }
        if !more {
            return Ok(left_out);
        }
        if fresh == 0 {
            let what = listing
                .state
                .map_or_else(|| "the list of nodes".to_owned(), |state| format!("state {state}"));
            let problem = "its pages do not end: the same nodes come again and again".to_owned();
            return Err(ApiError::Invalid { who: "Ironic", what, problem });
        }
        limit = (limit * 2).min(listing.limit);
    }
}

/// The UUID of the next node, where the node itself is too large.
async fn step_over(api: &Api, query: Query<'_>) -> Result<Option<String>, ApiError> {
    let page = api.page(Query { fields: "uuid", limit: 1, ..query }).await?;
    Ok(page.nodes.into_iter().next().map(|node| node.uuid))
}

/// Worth one more try: the answer broke off, or the server had a bad moment.
fn is_passing(error: &ApiError) -> bool {
    match error {
        ApiError::Http(_) => !error.is_final(),
        ApiError::Invalid { .. } => true,
        error => error.status().is_some_and(|status| status >= 500),
    }
}

/// A UUID as a number: ten thousand of them are to take little memory.
pub fn key(uuid: &str) -> u128 {
    let digits: String = uuid.chars().filter(|c| *c != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or_default()
}
