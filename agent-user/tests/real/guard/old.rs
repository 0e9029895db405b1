//! A version that takes the whole of `api_url` for one URL: by name, since it is installed first.

use std::fs;

use serde_json::json;
use testbed::ipa::OLDER_ONE_URL_VERSION;
use testbed::root_test;
use testbed::site::{DROP_IN, metric};

use super::lab::{API, Lab, Setup, URL, accepted, wait_accepted};

#[test]
#[ignore = "it installs ironic-python-agent 9.4.3 from PyPI: run it by name with --ignored"]
fn an_ipa_of_one_url_goes_through_the_guard_unchanged() {
    root_test!();
    let lab = Lab::new(Setup::default());
    let sidecar = lab.sidecar_with_drop_in();
    let ipa = lab.ipa_of(OLDER_ONE_URL_VERSION);
    lab.wait_right(&ipa);
    lab.tell(&format!("IPA {OLDER_ONE_URL_VERSION}, which knows one API URL, is registered at {URL}"));

    // All that it has of us: where it is reached. It dials what its conductor gave it.
    let files: Vec<_> =
        fs::read_dir(lab.site.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, [DROP_IN]);
    let drop_in = lab.site.drop_in();
    let options: Vec<_> = drop_in.lines().filter(|line| line.contains('=')).collect();
    assert_eq!(options, ["advertise_host = 10.77.0.5"], "{drop_in}");
    let log = ipa.log();
    assert!(log.contains(API), "{log}");
    assert!(!log.contains("127.0.0.1:6385"), "{log}");

    assert_eq!(metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"), 1.0);
    wait_accepted(&sidecar);
    lab.wait_beats(1, &ipa);
    assert_eq!(lab.recorded().as_deref(), Some(URL));
    let (asked, commands) = lab.conductor_asks();
    assert_eq!((asked.as_str(), &commands), (URL, &json!([])));
    assert_eq!(sidecar.state().unwrap()["bad_agent_urls"], json!([]));
    lab.assert_secret(&sidecar);
    lab.tell(&format!(
        "the guard saw one lookup and {} accepted heartbeats; the conductor reached IPA; in its configuration: {options:?}",
        accepted(&sidecar)
    ));
}
