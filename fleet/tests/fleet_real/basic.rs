//! http_basic, as Bifrost and Metal3 have it.

use std::sync::Arc;

use serde_json::json;
use testbed::ironic::Auth;
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::Directory;

use crate::lab::{MEANT, SEED, fleet, ironic, seed_flow};

#[test]
fn the_seeds_failure_is_explained_when_all_evidence_is_gone() {
    root_test!();
    let netns = Arc::new(Netns::new().unwrap());
    let auth = Auth::HttpBasic { user: "admin".to_owned(), password: "s3cret pass".to_owned() };
    let ironic = ironic(auth, &netns);
    let directory = Directory::new("fleet");
    let url = format!("--ironic.url={}", ironic.url());
    let password = directory.flag("--ironic.password-file", "password", "s3cret pass\n");
    let flags = ["check", &url, "--ironic.auth=http_basic", "--ironic.username=admin", &password];

    let before = fleet(&netns, &flags, &[]);
    assert_eq!(before.code, Some(0), "{}{}", before.out, before.err);

    let token = seed_flow(&ironic);
    let run = fleet(&netns, &flags, &[]);
    println!("{}", run.out);
    assert_eq!(run.code, Some(1), "{}{}", run.out, run.err);
    for words in [SEED, MEANT, "name_resolution", "percent_encoded_host", "clean failed"] {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    assert!(!run.out.contains(&token), "{}", run.out);

    let run = fleet(&netns, &[&flags[..], &["--json"]].concat(), &[]);
    println!("{}", run.out);
    let found = run.json();
    assert_eq!((run.code, &found["visible"]), (Some(1), &json!(1)));
    assert_eq!(found["problems"], json!([]));
    let node = &found["nodes"][0];
    assert_eq!((&node["uuid"], &node["agent_url"]), (&json!(ironic.node_uuid()), &json!(null)));
    assert_eq!(node["verdict"], json!(null));
    let failure = &node["failure"];
    assert_eq!((&failure["class"], &failure["url"]), (&json!("name_resolution"), &json!(SEED)));
    assert_eq!(failure["reasons"], json!(["percent_encoded_host"]));
    assert_eq!(failure["suggestion"], json!(MEANT));
    assert!(!run.out.contains(&token), "{}", run.out);

    // One node by its UUID, and one that nobody has.
    let one = fleet(&netns, &[&flags[..], &["--json", "--node", ironic.node_uuid()]].concat(), &[]);
    assert_eq!((one.code, &one.json()["nodes"][0]["failure"]["class"]), (Some(1), &json!("name_resolution")));
    let none = fleet(&netns, &[&flags[..], &["--json", "--node", "rack~1 'x'"]].concat(), &[]);
    assert_eq!(none.code, Some(2), "{}", none.out);
    // A failure that is too old is none.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let old = fleet(&netns, &[&flags[..], &["--since", "1s"]].concat(), &[]);
    assert_eq!(old.code, Some(0), "{}", old.out);
}

#[test]
fn a_wrong_password_is_blindness_and_no_hammering() {
    root_test!();
    let netns = Arc::new(Netns::new().unwrap());
    let auth = Auth::HttpBasic { user: "admin".to_owned(), password: "right".to_owned() };
    let ironic = ironic(auth, &netns);
    let directory = Directory::new("fleet");
    let url = format!("--ironic.url={}", ironic.url());
    let password = directory.flag("--ironic.password-file", "password", "wrong\n");
    let words = ["check", &url, "--ironic.auth=http_basic", "--ironic.username=admin", &password, "--json"];
    let run = fleet(&netns, &words, &[]);
    assert_eq!(run.code, Some(2), "{}{}", run.out, run.err);
    assert!(run.problems().contains("password file") && run.problems().contains("401"), "{}", run.out);
    assert!(!run.out.contains("wrong") && !run.err.contains("wrong"), "{}{}", run.out, run.err);
    let log = std::fs::read_to_string(ironic.log_path()).unwrap();
    assert!(log.matches("\"GET /v1/nodes").count() <= 2, "{log}");

    let open = fleet(&netns, &["check", &url, "--json"], &[]);
    assert_eq!(open.code, Some(2), "{}", open.out);
    assert!(open.problems().contains("http_basic"), "{}", open.out);
}
