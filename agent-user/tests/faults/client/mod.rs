//! Every fault of Ironic and of the network against the client: the typed result, the metric label, and no token in
//! any text.

mod answers;
mod network;
mod tls;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use callback_url::ApiUrl;
use ipa_sidecar::inside::{
    Answer, Client, Endpoint, Heartbeat, IronicError, IronicParameters, LookupQuery, LookupReply,
};
use testbed::site::assert_names;
use testbed::stand_in::{Behaviour, StandIn};
use text::Secret;

const UUID: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const URL: &str = "http://10.0.0.5:9999";
/// Handed in wherever a heartbeat needs one; must never be seen again.
const TOKEN: &str = "T0ken-that-must-not-be-seen_0123456789abcdef";

/// Runs on a runtime like the daemon's.
fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

fn endpoint(url: &str, addresses: &[IpAddr]) -> Endpoint {
    Endpoint { url: ApiUrl::parse(url).unwrap(), addresses: addresses.to_vec() }
}

/// Parameters for these URLs, with a request time-out that a test can wait for.
fn parameters(urls: &[&str]) -> IronicParameters {
    IronicParameters {
        api_urls: urls.iter().map(|url| ApiUrl::parse(url).unwrap()).collect(),
        request_timeout: Duration::from_millis(700),
        ..IronicParameters::default()
    }
}

fn plain() -> StandIn {
    let behaviour = Behaviour { pregenerated_token: Some(TOKEN.to_owned()), ..Behaviour::default() };
    StandIn::on("127.0.0.1", behaviour).unwrap()
}

fn endpoints(stand_in: &StandIn) -> Vec<Endpoint> {
    vec![endpoint(&stand_in.url(), &[stand_in.address().ip()])]
}

/// A client for one stand-in that never has to ask for the version: one request per call.
fn client(stand_in: &StandIn) -> Client {
    let mut parameters = parameters(&[&stand_in.url()]);
    parameters.api_version = Some(ipa_sidecar::inside::ApiVersion { major: 1, minor: 102 });
    Client::new(&parameters).unwrap()
}

fn query() -> LookupQuery {
    LookupQuery { addresses: vec!["52:54:00:12:34:56".to_owned()], node_uuid: None }
}

fn beat(token: Option<&str>) -> Heartbeat {
    Heartbeat {
        uuid: UUID.to_owned(),
        callback_url: URL.to_owned(),
        agent_version: "1.0".to_owned(),
        agent_token: token.map(|token| Secret::new(token.to_owned())),
        agent_verify_ca: None,
        agent_status: None,
        agent_status_message: None,
    }
}

fn lookup(stand_in: &StandIn) -> Result<Answer<LookupReply>, IronicError> {
    checked(run(client(stand_in).lookup(&endpoints(stand_in), &query())))
}

fn heartbeat(stand_in: &StandIn, beat: &Heartbeat) -> Result<Answer<()>, IronicError> {
    checked(run(client(stand_in).heartbeat(&endpoints(stand_in), beat)))
}

/// No error may carry the token, whatever the server did.
fn checked<T>(result: Result<T, IronicError>) -> Result<T, IronicError> {
    if let Err(error) = &result {
        assert_no_token(&format!("{error} {error:?}"), TOKEN);
    }
    result
}

fn assert_no_token(text: &str, token: &str) {
    assert!(!text.contains(token), "the token shows: {text}");
}

/// A loopback address where nothing listens.
fn closed_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
