//! The metric labels of lookups and heartbeats: closed sets, whatever Ironic or the network answers.

use text::labels;

labels! {
    /// What became of a lookup: label `result` of `ipa_sidecar_lookup_attempts_total`.
    pub enum LookupResult {
        /// Found, with a token or on an API without tokens.
        Ok = "ok",
        /// Found, but the token was given out before (or handed out by the operator).
        MaskedToken = "masked_token",
        /// 404: node unknown, or in a state that allows no lookup.
        NotFound = "not_found",
        /// 409: the node is locked.
        Conflict = "conflict",
        /// Any other 3xx or 4xx, or a request that could not be made for this server.
        ClientError = "client_error",
        /// 5xx.
        ServerError = "server_error",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or lost before the answer.
        ConnectError = "connect_error",
        /// Connected, but no TLS.
        TlsError = "tls_error",
        /// An answer that makes no sense.
        InvalidResponse = "invalid_response",
    }
}

labels! {
    /// What became of a heartbeat: label `result` of `ipa_sidecar_heartbeats_total`.
    pub enum HeartbeatResult {
        /// 202. Not proof that Ironic recorded it.
        Accepted = "accepted",
        /// 400: Ironic holds another callback URL or certificate for this node.
        PinnedRefused = "pinned_refused",
        /// 400: token missing or wrong.
        TokenRefused = "token_refused",
        /// 400: Ironic wants an https callback URL.
        TlsRequired = "tls_required",
        /// 404: node unknown.
        NotFound = "not_found",
        /// 409: the node is locked.
        Conflict = "conflict",
        /// Any other 3xx or 4xx, or a request that could not be made for this server.
        ClientError = "client_error",
        /// 5xx, or an answer that makes no sense.
        ServerError = "server_error",
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or lost before the answer.
        ConnectError = "connect_error",
        /// Connected, but no TLS.
        TlsError = "tls_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_plain() {
        let lookup: Vec<_> = LookupResult::ALL.iter().map(|r| r.as_str()).collect();
        let heartbeat: Vec<_> = HeartbeatResult::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!((lookup.len(), heartbeat.len()), (10, 11));
        for labels in [lookup, heartbeat] {
            let mut unique = labels.clone();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), labels.len());
            assert!(labels.iter().all(|l| l.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        }
    }
}
