//! A Keystone that is only played: tokens that run out, catalogs of every kind, answers that are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use testbed::site::Directory;

use crate::fake::{Answer, Fake, Run, TOKEN, assert_blind, command, node, ok, plain};

/// The answer to a log-in, with a token of this number.
fn token(number: u32, ironic: &str) -> Answer {
    let endpoint = json!({"interface": "public", "region_id": "R1", "url": ironic});
    let catalog = json!([{"type": "baremetal", "endpoints": [endpoint]}]);
    let body = json!({"token": {"system": {"all": true}, "catalog": catalog}}).to_string();
    let length = body.len();
    let head =
        format!("HTTP/1.1 201 X\r\nX-Subject-Token: {TOKEN}{number}\r\nContent-Length: {length}\r\n\r\n");
    Answer::Raw(format!("{head}{body}").into_bytes())
}

fn check(keystone: &Fake, extra: &str) -> Run {
    let directory = Directory::new("fleet-keystone");
    let auth = format!("auth_url: \"{}\", username: u, password: hunter2, system_scope: all", keystone.url());
    directory.write("clouds.yaml", format!("clouds: {{lab: {{auth: {{{auth}}}{extra}}}}}\n"));
    let mut command = command(&["check", "--json", "--os-cloud=lab"]);
    command.env("OS_CLIENT_CONFIG_FILE", directory.file("clouds.yaml"));
    let run: Run = command.output().unwrap().into();
    let shown = format!("{}{}", run.out, run.err);
    assert!(!shown.contains(TOKEN) && !shown.contains("hunter2"), "{shown}");
    run
}

#[test]
fn a_token_that_has_run_out_is_replaced_once() {
    let refusals = Arc::new(AtomicU32::new(0));
    let left = Arc::clone(&refusals);
    let nodes = vec![node(1, "active", None)];
    let ironic = Fake::start(move |target| {
        let is_listing = target.starts_with("/v1/nodes");
        let refuses = is_listing
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if refuses { Answer::Json(401, "{}".to_owned()) } else { plain(target, &nodes) }
    });
    let (url, number) = (ironic.url(), AtomicU32::new(0));
    let keystone = Fake::start(move |_| token(number.fetch_add(1, Ordering::Relaxed), &url));
    refusals.store(1, Ordering::Relaxed);
    let run = check(&keystone, "");
    assert_eq!((run.code, keystone.count("POST")), (Some(0), 2), "{}{}", run.out, run.err);
    assert_eq!(ironic.count(&format!("x-auth-token: {TOKEN}0")), 1, "then the new one");

    // It takes none: one request, its repeat, and no more.
    refusals.store(1000, Ordering::Relaxed);
    let before = (keystone.count("POST"), ironic.count("GET /v1/nodes"));
    assert_blind(&check(&keystone, ""), &["401", "a new token was refused as well"]);
    let asked = (keystone.count("POST") - before.0, ironic.count("GET /v1/nodes") - before.1);
    assert_eq!(asked, (2, 2), "no hammering");
}

#[test]
fn a_log_in_that_fails_is_blindness() {
    for (status, words) in
        [(401, "does not accept"), (403, "does not permit"), (404, "404"), (500, "500"), (302, "302")]
    {
        let keystone =
            Fake::start(move |_| Answer::Json(status, json!({"error": {"message": "hunter2"}}).to_string()));
        assert_blind(&check(&keystone, ""), &["Keystone", words]);
        assert_eq!(keystone.count("POST"), 1);
    }
    assert_blind(&check(&Fake::start(|_| ok("<html>")), ""), &["X-Subject-Token"]);
}

#[test]
fn the_catalog_is_read_by_region_and_interface_and_can_be_overridden() {
    let ironic = Fake::with_nodes(vec![node(1, "active", None)]);
    let url = ironic.url();
    let good = Fake::start(move |_| token(0, &url));
    assert_eq!(check(&good, ", region_name: R1").code, Some(0));
    assert_blind(&check(&good, ", region_name: R2"), &["R2", "--ironic.url"]);
    assert_blind(&check(&good, ", interface: admin"), &["admin endpoint"]);
    let odd = Fake::start(|_| token(0, "http://h/%(tenant_id)s"));
    assert_blind(&check(&odd, ""), &["cannot be used"]);
    let overridden =
        check(&odd, &format!(", baremetal_endpoint_override: \"{}\", colour: red", ironic.url()));
    assert_eq!(overridden.code, Some(0), "{}", overridden.out);
    let problems: Value = overridden.json()["problems"].clone();
    assert!(problems.to_string().contains("the key colour is not known"), "{problems}");
}
