//! `ipa-sidecar status` beside pages that want TLS and a password.

use super::login::users;
use super::*;
use crate::status::status;

#[test]
fn status_needs_no_password_and_no_tls() {
    root_test!();
    let config = format!("{TLS}{}", users(&[("anna", "s3cret")]));
    let protected = Protected::new("web-status", &Authority::new(), &config);
    let run = status(&protected.site, &[]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    assert_names(
        &run.out,
        &["Watching: this node would be called back at http://10.77.0.5:9999", "eBPF probes"],
    );
    let state: serde_json::Value = serde_json::from_str(&status(&protected.site, &["--json"]).out).unwrap();
    assert_eq!(state["address"], FIRST);
    let denied = protected.http("GET /state");
    assert!(denied.is_err() || denied.unwrap().status == 400, "the pages speak TLS only");
}
