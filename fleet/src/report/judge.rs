//! Whether a report may come in, and whether it is the node's own. Pure.

use std::net::IpAddr;

use api_client::is_uuid;
use serde_json::Value;
use text::labels;

use crate::ramdisks::Ramdisks;

use super::clean::clean;

labels! {
    /// What became of a report: label `result` of `ipa_fleet_reports_total`.
    pub enum ReportsResult {
        /// It is kept, and came from the node's own address.
        Accepted = "accepted",
        /// It is kept, and came from another address.
        Unverified = "unverified",
        /// Its source is in none of the allowed networks.
        NotAllowed = "not_allowed",
        /// Its source sends too many.
        TooMany = "too_many",
        /// It has not the secret.
        Unauthorized = "unauthorized",
        /// Its body is larger than 64 KiB.
        TooLarge = "too_large",
        /// Its body did not come in time, or broke off.
        Slow = "slow",
        /// It is no report.
        Unreadable = "unreadable",
        /// Ironic has no such node.
        UnknownNode = "unknown_node",
    }
}

/// What a report says, and of whom.
#[derive(Debug)]
pub struct Taken {
    /// The node.
    pub uuid: String,
    /// It came from the node's own address.
    pub is_own: bool,
    /// JSON without tokens.
    pub text: String,
}

/// Reads a body from this source.
///
/// # Errors
/// Why it is not kept.
pub fn judge(body: &[u8], from: IpAddr, ramdisks: &Ramdisks) -> Result<Taken, ReportsResult> {
    let taken: Value = serde_json::from_slice(body).map_err(|_| ReportsResult::Unreadable)?;
    let uuid = taken.pointer("/report/node_uuid").and_then(Value::as_str);
    let uuid = uuid.filter(|uuid| is_uuid(uuid)).ok_or(ReportsResult::Unreadable)?.to_ascii_lowercase();
    let node = ramdisks.get(&uuid).ok_or(ReportsResult::UnknownNode)?;
    let own = [node.claimed, node.suggested];
    let is_own = own.into_iter().flatten().any(|ip| ip.to_canonical() == from.to_canonical());
    Ok(Taken { uuid, is_own, text: clean(taken).to_string() })
}

/// Whether two secrets are equal; how long that takes tells nothing about where they differ.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (one, other)| differing | (one ^ other));
    one.len() == other.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ramdisks::Ramdisk;

    const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";

    fn known() -> Ramdisks {
        let (claimed, suggested) = ("192.0.2.1".parse().ok(), "2001:db8::1".parse().ok());
        [Ramdisk { uuid: NODE.to_owned(), claimed, suggested }].into_iter().collect()
    }

    fn body(uuid: &str) -> String {
        format!(r#"{{"report": {{"node_uuid": "{uuid}"}}, "agent_token": "s3cret"}}"#)
    }

    #[test]
    fn only_the_nodes_own_addresses_speak_for_it() {
        for (from, is_own) in [
            ("192.0.2.1", true),
            ("::ffff:192.0.2.1", true),
            ("2001:db8::1", true),
            ("192.0.2.2", false),
            ("2001:db8::2", false),
        ] {
            let taken = judge(body(NODE).as_bytes(), from.parse().unwrap(), &known()).unwrap();
            assert_eq!((taken.uuid.as_str(), taken.is_own), (NODE, is_own), "{from}");
            assert!(!taken.text.contains("s3cret"));
        }
        let nowhere = Ramdisk { uuid: NODE.to_owned(), claimed: None, suggested: None };
        let taken =
            judge(body(NODE).as_bytes(), "192.0.2.1".parse().unwrap(), &[nowhere].into_iter().collect());
        assert!(!taken.unwrap().is_own);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let from = "192.0.2.1".parse().unwrap();
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        for (body, result) in [
            (String::new(), ReportsResult::Unreadable),
            ("<html>".to_owned(), ReportsResult::Unreadable),
            ("{}".to_owned(), ReportsResult::Unreadable),
            (deep, ReportsResult::Unreadable),
            (body("node-1"), ReportsResult::Unreadable),
            (body("../../etc/passwd"), ReportsResult::Unreadable),
            (body("00000000-0000-0000-0000-000000000000"), ReportsResult::UnknownNode),
        ] {
            assert_eq!(judge(body.as_bytes(), from, &known()).unwrap_err(), result, "{}", body.len());
        }
        assert!(judge(&[0xff, b'{'], from, &known()).is_err());
        assert!(judge(body(&NODE.to_uppercase()).as_bytes(), from, &known()).is_ok());
    }

    #[test]
    fn secrets_are_compared_whole() {
        for (one, other, same) in
            [("", "", true), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("ab", "a", false)]
        {
            assert_eq!(is_same(one.as_bytes(), other.as_bytes()), same, "{one} {other}");
        }
    }
}
