//! The body of a report: `/state` with one key more, and no larger than what a receiver takes.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::report::{About, Occasion};

/// A receiver takes no more.
pub const BODY_BYTES: usize = 64 << 10;
/// What the key `report` and the names in it may need.
const RESERVE: usize = 4 << 10;

#[derive(Serialize)]
struct Body<'a, S> {
    #[serde(flatten)]
    state: S,
    report: Report<'a>,
}

/// About the report itself.
#[derive(Serialize)]
struct Report<'a> {
    node_uuid: &'a str,
    occasion: Occasion,
    /// Keys of the state that had no room.
    left_out: Vec<String>,
}

impl<'a> Report<'a> {
    fn of(about: &'a About, left_out: Vec<String>) -> Self {
        Self { node_uuid: &about.node_uuid, occasion: about.occasion, left_out }
    }
}

/// The body. What has no room is left out, the largest first, and named.
pub(super) fn body(state: &impl Serialize, about: &About) -> Option<Vec<u8>> {
    let whole = serde_json::to_vec(&Body { state, report: Report::of(about, Vec::new()) }).ok()?;
    if whole.len() <= BODY_BYTES {
        return Some(whole);
    }
    let Value::Object(state) = serde_json::to_value(state).ok()? else { return None };
    let (state, left_out) = fit(state);
    serde_json::to_vec(&Body { state, report: Report::of(about, left_out) }).ok()
}

fn fit(mut state: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let length = |(key, value): (&String, &Value)| (key.len() + 4 + value.to_string().len(), key.clone());
    let mut lengths: Vec<_> = state.iter().map(length).collect();
    lengths.sort();
    let mut total: usize = lengths.iter().map(|(length, _)| length).sum();
    let mut left_out = Vec::new();
    while total > BODY_BYTES - RESERVE {
        let Some((length, key)) = lengths.pop() else { break };
        total -= length;
        state.remove(&key);
        left_out.push(key);
    }
    (state, left_out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about() -> About {
        About { node_uuid: "1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned(), occasion: Occasion::Answer }
    }

    #[test]
    fn the_state_is_whole_where_it_fits() {
        let body = body(&json!({"address": "192.0.2.1", "ready": true}), &about()).unwrap();
        let read: Value = serde_json::from_slice(&body).unwrap();
        let report = json!({"node_uuid": about().node_uuid, "occasion": "answer", "left_out": []});
        assert_eq!(read, json!({"address": "192.0.2.1", "ready": true, "report": report}));
    }

    #[test]
    fn what_has_no_room_is_left_out_and_named() {
        let text = |length| "\u{1}".repeat(length); // Six bytes each in JSON.
        for (sizes, left_out) in [
            ([8_000, 6_000, 10], vec!["a"]),
            ([12_000, 11_000, 10], vec!["a", "b"]),
            ([6_000, 20_000, 11_000], vec!["b", "c"]),
        ] {
            let [a, b, c] = sizes.map(text);
            let body = body(&json!({"a": a, "b": b, "c": c, "ready": false}), &about()).unwrap();
            assert!(body.len() <= BODY_BYTES, "{}", body.len());
            let read: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read["report"]["left_out"], json!(left_out));
            assert_eq!(
                (&read["ready"], left_out.iter().all(|key| read[key].is_null())),
                (&json!(false), true)
            );
        }
    }
}
