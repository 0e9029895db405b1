//! The failure that all this is for: a bad first URL, put right before Ironic pins it, and at every later beat.

use super::*;

#[test]
fn a_bad_first_url_is_repaired_at_every_beat() {
    root_test!();
    let lab = Lab::new(&[]);
    let drop_in = lab.drop_in();
    assert!(drop_in.contains("\nadvertise_host = 10.77.0.5\n"), "{drop_in}");
    let urls = format!("\napi_url = http://{GUARD}{PREFIX},http://10.77.0.1:6385\n");
    assert!(drop_in.contains(&urls), "{drop_in}");
    let discovery = lab.http().get(&format!("{PREFIX}/"), &[]).unwrap();
    assert_eq!(discovery.status, 200);
    assert!(discovery.json().unwrap()["default_version"]["version"].is_string());

    let token = lab.token();
    for _ in 0..3 {
        let answer = lab.heartbeat(SEED_URL, &token);
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
    }
    assert_eq!(lab.bad("ipa", "repaired"), 3.0);
    assert_eq!(lab.metric("bad_agent_url_reasons_total{reason=\"whitespace\"}"), 3.0);
    assert_eq!(lab.beats("accepted"), 3.0);
    assert_eq!(lab.lookups("ipa", "ok"), 1.0);
    assert_eq!(lab.metric("agent_url_pinned"), 1.0);
    let masked = lab.lookup(PREFIX);
    assert_eq!(masked.json().unwrap()["config"]["agent_token"], "******");
}
