//! What the reports show of themselves.

use serde::Serialize;
use text::labels;

use crate::recent::Moment;

labels! {
    /// What a report is sent for.
    pub enum Occasion {
        /// A heartbeat goes out.
        Heartbeat = "heartbeat": "a heartbeat went out",
        /// Ironic has answered a lookup or a heartbeat, or will not.
        Answer = "answer": "Ironic had answered",
        /// Something from outside has reached the advertised port, or was refused there.
        Callback = "callback": "a call-back had come",
        /// The daemon ends.
        End = "end": "the daemon ended",
    }
}

labels! {
    /// What became of a report: label `result` of `ipa_sidecar_reports_sent_total`.
    pub enum ReportResult {
        /// The receiver took it (2xx).
        Accepted = "accepted",
        /// It answered with another status.
        Refused = "refused",
        /// It did not answer in time.
        Timeout = "timeout",
        /// There was no connection, or it broke.
        ConnectError = "connect_error",
        /// Its certificate was refused, or it speaks no TLS.
        TlsError = "tls_error",
        /// What came back is not HTTP.
        InvalidResponse = "invalid_response",
        /// A newer one went out in its place.
        Superseded = "superseded",
        /// Its name has no address.
        NameUnresolved = "name_unresolved",
    }
}

/// What is known of the node's last words, as the page and `/state` show it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReportState {
    /// Where reports go; `None`: nowhere.
    pub url: Option<String>,
    /// Why none is sent although there is a URL.
    pub off: Option<String>,
    /// When the last one ended.
    #[serde(rename = "last_seconds_ago")]
    pub last: Option<Moment>,
    /// What it was sent for.
    pub last_occasion: Option<Occasion>,
    /// What became of it.
    pub last_result: Option<ReportResult>,
    /// Why it was not accepted.
    pub last_failure: Option<String>,
}
