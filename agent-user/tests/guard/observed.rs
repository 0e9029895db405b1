//! What an operator sees: metrics by result, the guard's events, and never the token.

use super::*;

#[test]
fn every_result_has_its_label() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    let client = |answer: std::io::Result<testbed::http::Response>| answer.map(|answer| answer.status).ok();
    let lookup = || {
        let path = format!("{PREFIX}/v1/lookup?addresses={MAC}");
        client(lab.http().get(&path, &[(VERSION_HEADER, "1.62")]))
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(lab.lookup(OLD_PREFIX).status, 409);
    for (fault, result) in [
        (Fault::Error(404, text("Resource could not be found.")), "not_found"),
        (Fault::Error(409, text("locked")), "conflict"),
        (Fault::Error(400, text("no")), "client_error"),
        (Fault::Error(503, text("down")), "server_error"),
        (Fault::ResetBeforeResponse, "connect_error"),
        (Fault::NotHttp, "connect_error"),
        (Fault::Silent, "timeout"),
        (Fault::GarbageJson, "invalid_response"),
        (Fault::ResetMidBody, "invalid_response"),
    ] {
        let before = lab.lookups("ipa", result);
        let what = format!("{fault:?}");
        lab.ironic.push_fault(Path::Lookup, fault);
        let _ = lookup();
        assert_eq!(lab.lookups("ipa", result), before + 1.0, "{what}");
    }
    assert_eq!(lookup(), Some(200));
    assert_eq!(lookup(), Some(200));
    for (result, count) in [("held", 1.0), ("ok", 1.0), ("masked_token", 1.0)] {
        assert_eq!(lab.lookups("ipa", result), count, "{result}");
    }
    let token = lab.ironic.token().unwrap();
    for (fault, result) in [
        (Fault::Error(400, text("Invalid or missing agent token received.")), "token_refused"),
        (Fault::Error(400, text("TLS is required by configuration")), "tls_required"),
        (Fault::Error(404, text("Node could not be found.")), "not_found"),
        (Fault::Error(409, text("locked")), "conflict"),
        (Fault::Error(400, text("no")), "client_error"),
        (Fault::Error(503, text("down")), "server_error"),
    ] {
        lab.ironic.push_fault(Path::Heartbeat, fault);
        lab.heartbeat(FIRST_URL, &token);
        assert_eq!(lab.beats(result), 1.0, "{result}");
    }
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(lab.beats("accepted"), 1.0);
    assert_eq!(lab.metric("heartbeat_interval_seconds"), 300.0);
    assert!(lab.metric("heartbeat_last_accepted_timestamp_seconds") > 0.0);
    assert_eq!(lab.metric("heartbeat_duration_seconds_count"), 7.0);
    let events = events(&lab.daemon);
    let accepted = format!("Ironic accepted {FIRST_URL}, and holds it from now on");
    assert!(events.contains(&"lookup: masked_token".to_owned()) && events.contains(&accepted), "{events:?}");
    assert!(events.len() <= 10);
    let page = lab.daemon.get("/").unwrap().text();
    assert!(page.contains("lookup: masked_token"), "{page}");
}

#[test]
fn the_token_is_nowhere() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let mut daemon = site.guard(&[TIMEOUT_FLAG, "--log.level=trace"]);
    wait_drop_in(&daemon, FIRST, SOON);
    let token = token(&site.lookup(PREFIX));
    site.heartbeat(SEED_URL, &token);
    // Where it does not belong: in a URL, in Ironic's errors, in bodies that cannot be read.
    site.heartbeat(&format!("http://10.77.0.5:9999/?agent_token={token}"), &token);
    for status in [400, 503] {
        let echo = format!("Detected change in ramdisk provided \"callback_url\" agent_token={token}");
        ironic.push_fault(Path::Heartbeat, Fault::Error(status, echo));
        site.heartbeat(FIRST_URL, &token);
    }
    ironic.push_fault(Path::Heartbeat, Fault::Silent);
    assert_eq!(site.sent(beat(&beat_body(&token))).rest().0, b"");
    site.sent(beat(&format!("{{\"agent_token\": \"{token}\""))).answer();
    wait_metric(&daemon, READ_BACK, 1.0, SOON);
    let pages = ["/", "/state", "/metrics", "/-/ready"];
    let pages = pages.map(|path| daemon.get(path).unwrap().text()).concat();
    let log = {
        daemon.terminate().unwrap();
        daemon.log()
    };
    // Nothing is logged below debug as of now; what is, shows that the level counts.
    assert!(log.contains("DEBUG"), "{log}");
    assert!(seen(&ironic, "/v1/lookup").len() >= 2 && pages.contains(FIRST_URL));
    assert!(!log.contains(&token), "{log}");
    assert!(!pages.contains(&token), "{pages}");
}

#[test]
fn somebody_who_looks_up_another_node_changes_nothing_for_this_one() {
    root_test!();
    let (lab, token) = Lab::asked(&[]);
    let bad = SEED_URL;
    assert_eq!(lab.heartbeat(bad, &token).status, 202);
    let other = r#"{"node": {"uuid": "22222222-2222-4222-8222-222222222222", "driver_internal_info": {"agent_url": "http://10.77.0.200:9999"}}, "config": {"heartbeat_timeout": 300, "agent_token": "******"}}"#;
    lab.ironic.push_fault(Path::Lookup, Fault::Status(200, other.to_owned()));
    assert_eq!(lab.lookup(PREFIX).status, 200);
    assert_eq!(lab.heartbeat(bad, &token).status, 202, "repaired as before");
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
    assert_eq!(metric(&lab.daemon, "agent_url_stale"), 0.0);
}
