//! What Ironic answers.

use ipa_sidecar::inside::{
    ApiVersion, HeartbeatResult as H, IronicError, IronicRefusal as Refusal, LookupResult as L,
};
use testbed::stand_in::{Behaviour, Fault, Path, StandIn};

use super::*;

/// The status that each result stems from, for one answer to both requests.
fn assert_both(fault: &Fault, lookup_label: L, heartbeat_label: H, words: &str) {
    let stand_in = plain();
    stand_in.set_fault(Path::Any, Some(fault.clone()));
    let by_lookup = lookup(&stand_in).unwrap_err();
    let by_heartbeat = heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap_err();
    assert_eq!(by_lookup.lookup_result(), lookup_label, "{by_lookup}");
    assert_eq!(by_heartbeat.heartbeat_result(), heartbeat_label, "{by_heartbeat}");
    for error in [by_lookup, by_heartbeat] {
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.tries_next(), "an HTTP status is final: {error}");
    }
}

#[test]
fn statuses_are_distinguished() {
    let error = |status, text: &str| Fault::Error(status, text.to_owned());
    let raw = |status, body: &str| Fault::Status(status, body.to_owned());
    for (fault, lookup, heartbeat, words) in [
        (error(400, "Something else."), L::ClientError, H::ClientError, "400: Something else."),
        (error(401, "Who?"), L::ClientError, H::ClientError, "401"),
        (error(404, "Resource could not be found."), L::NotFound, H::NotFound, "could not be found"),
        (error(406, "Version?"), L::ClientError, H::ClientError, "406"),
        (error(409, "Node x is locked by host y"), L::Conflict, H::Conflict, "is locked by host y"),
        (error(500, "Oops"), L::ServerError, H::ServerError, "500: Oops"),
        (error(503, "no free conductor workers"), L::ServerError, H::ServerError, "503"),
        (raw(502, "<h1>Bad\x1b Gateway</h1>"), L::ServerError, H::ServerError, "Bad\\u{1b} Gateway"),
        (raw(500, ""), L::ServerError, H::ServerError, "500: no text"),
        (raw(204, ""), L::InvalidResponse, H::ServerError, "204"),
        (
            Fault::Redirect("https://elsewhere/".to_owned()),
            L::ClientError,
            H::ClientError,
            "https://elsewhere/",
        ),
    ] {
        assert_both(&fault, lookup, heartbeat, words);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let (stand_in, target) = (plain(), plain());
    stand_in.push_fault(Path::Heartbeat, Fault::Redirect(target.url()));
    let error = heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::Redirect));
    assert_eq!(target.connections(), 0);
}

#[test]
fn a_server_that_echoes_the_token_does_not_get_it_shown() {
    let stand_in = plain();
    let echo = format!("you sent {TOKEN} in http://10.0.0.5:9999/v1/commands/?agent_token={TOKEN}&wait=true");
    stand_in.set_fault(Path::Any, Some(Fault::Error(500, echo)));
    let error = heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap_err();
    assert!(error.to_string().contains("you sent ****** in"), "{error}");
    assert!(error.to_string().contains("agent_token=******&wait"), "{error}");
}

#[test]
fn long_texts_are_cut() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::Error(500, "x".repeat(50_000)));
    let error = lookup(&stand_in).unwrap_err();
    assert!(error.to_string().len() < 500, "{}", error.to_string().len());
}

#[test]
fn garbage_is_an_invalid_response() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::GarbageJson);
    let error = lookup(&stand_in).unwrap_err();
    assert_eq!(error.lookup_result(), L::InvalidResponse);
    assert!(error.may_have_been_served(), "the lookup may have taken the token");
    for body in ["{}", "null", r#"{"node": {"uuid": "1"}}"#, r#"{"node": {"uuid": "../../x"}, "config": {}}"#]
    {
        stand_in.push_fault(Path::Lookup, Fault::Status(200, body.to_owned()));
        let error = lookup(&stand_in).unwrap_err();
        assert_eq!(error.lookup_result(), L::InvalidResponse, "{body}");
    }
}

#[test]
fn deep_json_is_an_invalid_response() {
    let stand_in = plain();
    for opening in ["[", r#"{"node":"#, r#"{"config":["#] {
        stand_in.push_fault(Path::Lookup, Fault::Status(200, opening.repeat(50_000)));
        let error = lookup(&stand_in).unwrap_err();
        assert_eq!(error.lookup_result(), L::InvalidResponse, "{opening}");
        assert!(error.to_string().contains("no JSON object"), "{error}");
        // As an error's text, in the outer and in the inner document.
        let inner = serde_json::Value::from(opening.repeat(50_000));
        for body in [opening.repeat(50_000), format!(r#"{{"error_message": {inner}}}"#)] {
            stand_in.push_fault(Path::Lookup, Fault::Status(503, body));
            let error = lookup(&stand_in).unwrap_err();
            assert_eq!(error.lookup_result(), L::ServerError, "{opening}");
            assert!(error.to_string().len() < 500, "{}", error.to_string().len());
        }
    }
}

#[test]
fn a_huge_body_is_not_read() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::HugeBody(1 << 40));
    let error = lookup(&stand_in).unwrap_err();
    assert_eq!(error.lookup_result(), L::InvalidResponse);
    assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
    // The status of a heartbeat's answer has said all.
    stand_in.push_fault(Path::Heartbeat, Fault::HugeBody(1 << 40));
    heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap();
}

#[test]
fn a_huge_head_is_not_read() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::HugeHead(1 << 20));
    let error = lookup(&stand_in).unwrap_err();
    assert_eq!(error.lookup_result(), L::InvalidResponse);
    assert!(error.to_string().contains("head is too large"), "{error}");
}

#[test]
fn a_lookup_gets_the_token_once() {
    let stand_in = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
    let first = lookup(&stand_in).unwrap();
    let token = first.value.agent_token.as_ref().unwrap();
    assert_eq!(Some(token.expose()), stand_in.token().as_deref());
    assert_eq!(first.value.result(), L::Ok);
    assert_eq!(first.value.heartbeat_timeout.as_secs(), 300);
    assert_no_token(&format!("{first:?}"), token.expose());
    let later = lookup(&stand_in).unwrap().value;
    assert_eq!((later.agent_token, later.token_masked), (None, true));
    assert_eq!(later.agent_url, None);
    heartbeat(&stand_in, &beat(Some(token.expose()))).unwrap();
    let read_back = lookup(&stand_in).unwrap().value;
    assert_eq!(read_back.result(), L::MaskedToken);
    assert_eq!(read_back.agent_url.as_deref(), Some(URL));
}

#[test]
fn a_locked_node_is_a_conflict() {
    let stand_in = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
    stand_in.set_locked(true);
    assert_eq!(lookup(&stand_in).unwrap_err().lookup_result(), L::Conflict);
    stand_in.set_locked(false);
    let token = lookup(&stand_in).unwrap().value.agent_token.unwrap();
    stand_in.set_locked(true);
    let error = heartbeat(&stand_in, &beat(Some(token.expose()))).unwrap_err();
    assert_eq!(error.heartbeat_result(), H::Conflict);
}

#[test]
fn heartbeats_are_refused_for_ironics_reasons() {
    let stand_in = plain();
    let refused = |beat: &Heartbeat| heartbeat(&stand_in, beat).unwrap_err();
    let error = refused(&beat(None));
    assert_eq!((error.refusal(), error.heartbeat_result()), (Some(Refusal::TokenRequired), H::TokenRefused));
    let error = refused(&beat(Some("wrong")));
    assert_eq!((error.refusal(), error.heartbeat_result()), (Some(Refusal::TokenInvalid), H::TokenRefused));
    let mut malformed = beat(Some(TOKEN));
    malformed.callback_url = "ftp://10.0.0.5:9999".to_owned();
    let error = refused(&malformed);
    assert_eq!(
        (error.refusal(), error.heartbeat_result()),
        (Some(Refusal::CallbackUrlMalformed), H::ClientError)
    );
    let mut unknown = beat(Some(TOKEN));
    unknown.uuid = UUID.replace('1', "2");
    assert_eq!(refused(&unknown).heartbeat_result(), H::NotFound);

    let mut first = beat(Some(TOKEN));
    first.agent_verify_ca = Some("PEM".to_owned());
    heartbeat(&stand_in, &first).unwrap();
    assert_eq!(stand_in.agent_verify_ca().as_deref(), Some("PEM"));
    let mut moved = first.clone();
    moved.callback_url = "http://10.0.0.6:9999".to_owned();
    let error = refused(&moved);
    assert_eq!((error.refusal(), error.heartbeat_result()), (Some(Refusal::PinnedUrl), H::PinnedRefused));
    assert!(error.to_string().contains("powered off"), "{error}");
    let mut other = first.clone();
    other.agent_verify_ca = Some("PEM of another".to_owned());
    let error = refused(&other);
    assert_eq!(
        (error.refusal(), error.heartbeat_result()),
        (Some(Refusal::PinnedCertificate), H::PinnedRefused)
    );
    assert_eq!((stand_in.agent_url().as_deref(), stand_in.heartbeats()), (Some(URL), 1));
    stand_in.power_cycle();
    heartbeat(&stand_in, &moved).unwrap();
}

#[test]
fn require_tls_is_reported() {
    let behaviour =
        Behaviour { require_tls: true, pregenerated_token: Some(TOKEN.to_owned()), ..Behaviour::default() };
    let stand_in = StandIn::on("127.0.0.1", behaviour).unwrap();
    let error = heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap_err();
    assert_eq!((error.refusal(), error.heartbeat_result()), (Some(Refusal::TlsRequired), H::TlsRequired));
}

/// The version header of every request so far.
fn versions(stand_in: &StandIn) -> Vec<Option<String>> {
    let header =
        |r: &testbed::stand_in::Recorded| r.header("x-openstack-ironic-api-version").map(str::to_owned);
    stand_in.requests().iter().map(header).collect()
}

#[test]
fn versions_are_negotiated_and_remembered() {
    for (max_minor, lookup, heartbeat) in [(102, "1.62", "1.72"), (65, "1.62", "1.65"), (50, "1.50", "1.50")]
    {
        let behaviour =
            Behaviour { max_minor, pregenerated_token: Some(TOKEN.to_owned()), ..Behaviour::default() };
        let stand_in = StandIn::on("127.0.0.1", behaviour).unwrap();
        let client = Client::new(&parameters(&[&stand_in.url()])).unwrap();
        let endpoints = endpoints(&stand_in);
        run(async {
            client.lookup(&endpoints, &query()).await.unwrap();
            client.heartbeat(&endpoints, &beat(Some(TOKEN))).await.unwrap();
        });
        let wanted = [None, Some(lookup.to_owned()), Some(heartbeat.to_owned())];
        assert_eq!(versions(&stand_in), wanted);
        let sent = stand_in.requests()[2].json();
        assert_eq!(sent.get("agent_token").is_some(), max_minor >= 62, "{sent}");
    }
}

#[test]
fn a_406_makes_the_client_ask_again() {
    let stand_in = plain();
    let client = Client::new(&parameters(&[&stand_in.url()])).unwrap();
    let endpoints = endpoints(&stand_in);
    stand_in.push_fault(Path::Lookup, Fault::Error(406, "no".to_owned()));
    run(async {
        let error = client.lookup(&endpoints, &query()).await.unwrap_err();
        assert_eq!(error.refusal(), Some(Refusal::VersionNotAccepted));
        client.lookup(&endpoints, &query()).await.unwrap();
    });
    assert_eq!(stand_in.requests().iter().filter(|r| r.path() == "/").count(), 2);
}

#[test]
fn an_old_version_by_parameter_never_weakens_the_lookup() {
    let stand_in = plain();
    let mut parameters = parameters(&[&stand_in.url()]);
    parameters.api_version = Some(ApiVersion { major: 1, minor: 31 });
    let client = Client::new(&parameters).unwrap();
    let endpoints = endpoints(&stand_in);
    run(client.lookup(&endpoints, &query())).unwrap();
    assert_eq!(versions(&stand_in), [None, Some("1.62".to_owned())]);
    // Where the server cannot be asked, there is no lookup.
    stand_in.set_fault(Path::Root, Some(Fault::Status(500, String::new())));
    let client = Client::new(&parameters).unwrap();
    let error = run(client.lookup(&endpoints, &query())).unwrap_err();
    assert_eq!(error.lookup_result(), L::ServerError);
    assert_eq!(stand_in.requests().iter().filter(|r| r.path() == "/v1/lookup").count(), 1);
}

#[test]
fn a_server_of_the_older_api_is_named() {
    let stand_in = StandIn::on("127.0.0.1", Behaviour { max_minor: 16, ..Behaviour::default() }).unwrap();
    let client = Client::new(&parameters(&[&stand_in.url()])).unwrap();
    let error = run(client.lookup(&endpoints(&stand_in), &query())).unwrap_err();
    assert!(matches!(error, IronicError::VersionTooOld { .. }), "{error}");
    assert_names(error.to_string(), &["1.16", "1.22"]);
    stand_in.set_fault(Path::Root, Some(Fault::Status(200, "<html>".to_owned())));
    let error = run(client.discover(&endpoints(&stand_in))).unwrap_err();
    assert_eq!(error.lookup_result(), L::InvalidResponse);
}

#[test]
fn requests_look_as_ironic_wants_them() {
    let stand_in = plain();
    let url = format!("{}/baremetal", stand_in.url());
    let mut parameters = parameters(&[&url]);
    parameters.api_version = Some(ApiVersion { major: 1, minor: 102 });
    parameters.global_request_id = Some("req-1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned());
    let client = Client::new(&parameters).unwrap();
    let prefixed = [endpoint(&url, &[stand_in.address().ip()])];
    assert_eq!(run(client.lookup(&prefixed, &query())).unwrap_err().lookup_result(), L::NotFound);
    run(client.heartbeat(&endpoints(&stand_in), &beat(Some(TOKEN)))).unwrap();
    let requests = stand_in.requests();
    assert_eq!(requests[0].target, "/baremetal/v1/lookup?addresses=52%3A54%3A00%3A12%3A34%3A56");
    assert_eq!(
        (requests[1].method.as_str(), requests[1].path()),
        ("POST", &*format!("/v1/heartbeat/{UUID}"))
    );
    let wanted = serde_json::json!({"callback_url": URL, "agent_version": "1.0", "agent_token": TOKEN});
    assert_eq!(requests[1].json(), wanted);
    for request in &requests {
        assert_eq!(request.header("host"), Some(&*stand_in.address().to_string()));
        assert_eq!(
            request.header("x-openstack-request-id"),
            Some("req-1be26c0b-03f2-4d2e-ae87-c02d7f33c123")
        );
        assert!(request.header("user-agent").unwrap().starts_with("ipa-sidecar/"));
        assert_eq!(request.header("accept"), Some("application/json"));
    }
}
