//! Where Ironic is silent, so is the guard, and soon enough: that sends IPA on to its next URL.

use testbed::stand_in::TlsIdentity;

use super::*;

/// The three requests of IPA, each on a connection of its own: closed without a byte, in time.
fn assert_silent(site: &Site, what: &str) {
    for request in [discovery(), lookup(), beat(&beat_body("t"))] {
        let (bytes, waited) = site.sent(&request).rest();
        let line = request.lines().next().unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), "", "{what}: {line}");
        assert!(waited < SILENT_WITHIN, "{what}: {line} took {waited:?}");
    }
}

#[test]
fn refused_then_there() {
    root_test!();
    let site = Site::new();
    let daemon = site.guard(&[TIMEOUT_FLAG]);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_silent(&site, "refused");
    let label =
        |family: &str| metric(&daemon, &format!("{family}{{result=\"connect_error\",sender=\"ipa\"}}"));
    assert_eq!(label("lookup_attempts_total"), 1.0);
    assert_eq!(label("heartbeats_total"), 1.0);
    let ironic = site.ironic(node_with_mac());
    let token = token(&site.lookup(PREFIX));
    assert_eq!(site.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(ironic.agent_url().as_deref(), Some(FIRST_URL));
}

#[test]
fn silent_reset_closed_or_no_http() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    lab.lookup(PREFIX);
    let before = open_files(&lab.daemon);
    for fault in [Fault::Silent, Fault::ResetBeforeResponse, Fault::CloseBeforeResponse, Fault::NotHttp] {
        let what = format!("{fault:?}");
        lab.ironic.set_fault(Path::Any, Some(fault));
        assert_silent(&lab, &what);
        lab.ironic.set_fault(Path::Any, None);
        assert_eq!(lab.lookup(PREFIX).status, 200, "after {what}");
    }
    assert!(lab.lookups("ipa", "timeout") >= 1.0 && lab.beats("timeout") >= 1.0);
    assert!(lab.lookups("ipa", "connect_error") >= 1.0 && lab.beats("connect_error") >= 1.0);
    wait_until(&lab.daemon, "no connection is left behind", SOON, || open_files(&lab.daemon) <= before + 1);
}

#[test]
fn no_packet_comes_back() {
    root_test!();
    // An address of the network where nobody is: no connection within the time, nor an error.
    let site = Site::new();
    site.node.ip("neigh add 10.77.0.99 lladdr 02:00:00:00:00:99 dev eth0.77").unwrap();
    let daemon = site.guard(&[TIMEOUT_FLAG, "--ironic.api-url=http://10.77.0.99:6385"]);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_silent(&site, "no answer to SYN");
}

#[test]
fn a_sidecar_that_knows_nothing_is_silent_in_time_as_well() {
    root_test!();
    // The first heartbeat asks Ironic what it holds: both together must not take longer.
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    lab.ironic.set_fault(Path::Any, Some(Fault::Silent));
    let (bytes, waited) = lab.sent(beat(&beat_body("t"))).rest();
    assert_eq!(bytes, b"");
    assert!(waited < SILENT_WITHIN, "{waited:?}");
    assert_eq!(lab.lookups("sidecar", "timeout"), 1.0);
}

#[test]
fn tls_that_fails_is_silence_and_tls_that_works_works() {
    root_test!();
    let made = |name: &str| {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let identity = TlsIdentity {
            certificates: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            client_ca: None,
        };
        (made.cert.pem(), identity)
    };
    let (trusted, right) = made("10.77.0.1");
    let (_, wrong) = made("10.77.0.1");
    let site = Site::new();
    let cafile = site.directory.file("ca.pem");
    std::fs::write(&cafile, trusted).unwrap();
    let tls = |identity| Behaviour { tls: Some(identity), ..node_with_mac() };
    let ironic = site.ironic(tls(wrong));
    let daemon = site.guard(&[
        TIMEOUT_FLAG,
        "--ironic.api-url=https://10.77.0.1:6385",
        &format!("--ironic.cafile={}", cafile.display()),
    ]);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_silent(&site, "unknown certificate");
    assert_eq!(metric(&daemon, r#"lookup_attempts_total{result="tls_error",sender="ipa"}"#), 1.0);
    assert_eq!(ironic.requests(), []);
    drop(ironic);
    let ironic = site.ironic(tls(right));
    let token = token(&site.lookup(PREFIX));
    assert_eq!(site.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(ironic.agent_url().as_deref(), Some(FIRST_URL));
    assert!(site.drop_in().contains(",https://10.77.0.1:6385\n"), "{}", site.drop_in());
}

#[test]
fn the_second_api_url_is_used_where_the_first_is_refused() {
    root_test!();
    let site = Site::new();
    let second = StandIn::start(site.listener("10.77.0.1:6386"), node_with_mac()).unwrap();
    let urls = "http://10.77.0.1:6385,http://10.77.0.1:6386";
    let daemon = site.guard(&[TIMEOUT_FLAG, &format!("--ironic.api-url={urls}")]);
    wait_drop_in(&daemon, FIRST, SOON);
    assert!(site.drop_in().contains(&format!(",{urls}\n")), "{}", site.drop_in());
    let token = token(&site.lookup(PREFIX));
    assert_eq!(site.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(second.agent_url().as_deref(), Some(FIRST_URL));
    assert_eq!(second.requests()[0].header("host"), Some("10.77.0.1:6386"));
    assert!(site.drop_in().contains(FIRST));
}

#[test]
fn any_status_is_an_answer() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    for status in [301, 401, 403, 406, 500, 502, 503, 504] {
        let body = format!("status {status} \u{2014} as it is");
        lab.ironic.push_fault(Path::Any, Fault::Status(status, body.clone()));
        let answer = lab.http().get(&format!("{PREFIX}/"), &[]).unwrap();
        assert_eq!((answer.status, answer.text()), (status, body));
    }
    for status in [409, 503] {
        lab.ironic.push_fault(Path::Lookup, Fault::Error(status, "not now".into()));
        assert_eq!(lab.lookup(PREFIX).status, status);
    }
    assert_eq!(lab.lookups("ipa", "conflict"), 1.0);
    assert_eq!(lab.lookups("ipa", "server_error"), 1.0);
    // None of them was the token.
    assert_eq!(lab.token().len(), 43);
}

#[test]
fn an_answer_that_comes_late_but_in_time_passes() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    lab.ironic.push_fault(Path::Root, Fault::Late(Duration::from_millis(1200)));
    assert_eq!(lab.http().get(&format!("{PREFIX}/"), &[]).unwrap().status, 200);
}

#[test]
fn what_was_answered_before_the_silence_arrives() {
    root_test!();
    let lab = Lab::new(&[TIMEOUT_FLAG]);
    lab.ironic.set_fault(Path::Lookup, Some(Fault::Silent));
    let mut raw = lab.sent(format!("{}{}", discovery(), lookup()));
    assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(raw.rest().0, b"");
}
