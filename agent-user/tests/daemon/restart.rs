//! An IPA whose address is lost before its lookup.

use serde_json::Value;
use testbed::root_test;
use testbed::site::*;

const NOT_ATTACHED: &str = r#"ipa_restarts_total{result="not_attached"}"#;

#[test]
fn without_sight_it_is_left_alone_and_that_is_reported() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("restart");
    let flags = ["--mode=configure", API_FLAG, &config_dir(directory.path())];
    let daemon = site.daemon_under(&["setpriv", "--bounding-set", "-net_raw", "--"], &flags);
    wait_drop_in(&daemon, FIRST, LATER);
    std::thread::sleep(MORE_THAN_A_TICK);
    let ipa = IpaProcess::start(&site.node);
    let has_process = |state: &Value| state["ipa"]["process"]["pid"] == ipa.pid();
    daemon.wait_state("IPA's process", LATER, has_process).unwrap();

    // A better route takes nothing away.
    site.add(SECOND);
    site.prefer(SECOND);
    wait_drop_in(&daemon, SECOND, LATER);
    assert!(!daemon.log().contains("lost before its lookup"), "{}", daemon.log());
    assert_eq!(metric(&daemon, NOT_ATTACHED), 0.0);

    site.remove(FIRST);
    wait_metric(&daemon, NOT_ATTACHED, 1.0, SOON);
    daemon.wait_log("and it is not restarted: nothing saw its requests since its start", SOON).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", ipa.pid())).unwrap();
    assert!(stat.rsplit_once(") ").unwrap().1.starts_with('S'), "{stat}");
    // Once for each process.
    site.add(FIRST);
    site.remove(FIRST);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(metric(&daemon, NOT_ATTACHED), 1.0);
}
