//! Which node a text is about.

use api_client::is_uuid;

const LENGTH: usize = 36;
/// The name that the iSCSI deploy gave a node's target (ironic/drivers/modules/iscsi_deploy.py).
const TARGET: &str = "org.openstack:";

/// The UUID of the node: the one behind the word "node", or in the name of its target, or the first that is no request's.
pub fn node(text: &str) -> Option<&str> {
    let after = |word: &str| {
        text.match_indices(word).find_map(|(at, _)| {
            let rest = text.get(at + word.len()..)?.trim_start_matches([' ', '"', '\'', '=', ':']);
            rest.get(..LENGTH).filter(|uuid| is_uuid(uuid))
        })
    };
    after("node").or_else(|| after("Node")).or_else(|| after(TARGET)).or_else(|| any(text))
}

fn any(text: &str) -> Option<&str> {
    text.match_indices('-').find_map(|(dash, _)| {
        let start = dash.checked_sub(8)?;
        let uuid = text.get(start..start + LENGTH).filter(|uuid| is_uuid(uuid))?;
        let is_request = text.get(..start).is_some_and(|before| before.ends_with("req-"));
        (!is_request).then_some(uuid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_found_and_the_request_is_not() {
        const NODE: &str = "f80db967-a8d4-4a05-9443-41b0855f1ec3";
        for (text, found) in [
            (
                "[req-75897e59-640c-4ce6-8fa3-d759f568c42a - -] Error for node f80db967-a8d4-4a05-9443-41b0855f1ec3. Error",
                Some(NODE),
            ),
            (
                "[req-75897e59-640c-4ce6-8fa3-d759f568c42a - -] node 'f80db967-a8d4-4a05-9443-41b0855f1ec3'",
                Some(NODE),
            ),
            (
                "by-path/ip-1:3260-iscsi-iqn.2008-10.org.openstack:f80db967-a8d4-4a05-9443-41b0855f1ec3-lun-1",
                Some(NODE),
            ),
            (
                "[req-75897e59-640c-4ce6-8fa3-d759f568c42a] f80db967-a8d4-4a05-9443-41b0855f1ec3 failed",
                Some(NODE),
            ),
            ("[req-75897e59-640c-4ce6-8fa3-d759f568c42a - -] nothing", None),
            ("node é-é-é--", None),
        ] {
            assert_eq!(node(text), found, "{text}");
        }
    }
}
