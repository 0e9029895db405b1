//! What the network does, and which endpoint is taken.

use std::net::IpAddr;
use std::time::Instant;

use ipa_sidecar::inside::{HeartbeatResult as H, HttpError, IronicError, LookupResult as L, Phase};
use testbed::stand_in::{Fault, Path, StandIn};

use super::*;

#[test]
fn a_refused_connection_names_the_errno() {
    let closed = closed_port();
    let url = format!("http://{closed}");
    let client = Client::new(&parameters(&[&url])).unwrap();
    let error = run(client.lookup(&[endpoint(&url, &[closed.ip()])], &query())).unwrap_err();
    assert_eq!((error.lookup_result(), error.heartbeat_result()), (L::ConnectError, H::ConnectError));
    assert!(matches!(error, IronicError::Http(HttpError::Connect { errno: Some(111), .. })), "{error:?}");
    assert!(error.to_string().contains(&closed.to_string()), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(!error.may_have_been_served());
}

#[test]
fn no_address_is_an_error_of_its_own() {
    let client = Client::new(&parameters(&["http://ironic.example.com"])).unwrap();
    for endpoints in [vec![], vec![endpoint("http://ironic.example.com", &[])]] {
        let error = run(client.lookup(&endpoints, &query())).unwrap_err();
        assert_eq!((error.clone(), error.lookup_result()), (IronicError::NoEndpoint, L::ConnectError));
    }
}

#[test]
fn silence_ends_in_time() {
    let stand_in = plain();
    stand_in.set_fault(Path::Any, Some(Fault::Silent));
    let begun = Instant::now();
    let error = lookup(&stand_in).unwrap_err();
    let taken = begun.elapsed();
    assert!((0.6..4.0).contains(&taken.as_secs_f64()), "{taken:?}");
    assert_eq!((error.lookup_result(), error.heartbeat_result()), (L::Timeout, H::Timeout));
    assert!(
        matches!(error, IronicError::Http(HttpError::Timeout { phase: Phase::Response, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("did not answer within 700ms"), "{error}");
    assert!(error.tries_next() && error.may_have_been_served());
}

#[test]
fn a_connect_without_an_answer_ends_in_time() {
    // A full accept queue drops our SYN: the second of two connections to a backlog of 0 hangs.
    let listener = rustix_listener();
    let address = listener.local_addr().unwrap();
    let _fill: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(100)))
        .collect();
    let url = format!("http://{address}");
    let client = Client::new(&parameters(&[&url])).unwrap();
    let error = run(client.discover(&[endpoint(&url, &[address.ip()])])).unwrap_err();
    assert!(
        matches!(error, IronicError::Http(HttpError::Timeout { phase: Phase::Connect, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("accept the connection"), "{error}");
}

fn rustix_listener() -> std::net::TcpListener {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &"127.0.0.1:0".parse::<std::net::SocketAddrV4>().unwrap()).unwrap();
    listen(&socket, 0).unwrap();
    socket.into()
}

#[test]
fn a_slow_body_ends_in_time_and_is_final() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::SlowBody(std::time::Duration::from_millis(50)));
    let error = lookup(&stand_in).unwrap_err();
    assert!(matches!(error, IronicError::Http(HttpError::Timeout { phase: Phase::Body, .. })), "{error:?}");
    assert!(!error.tries_next());
}

#[test]
fn a_connection_lost_before_the_answer_is_a_connect_error() {
    for (fault, words) in
        [(Fault::CloseBeforeResponse, "closed"), (Fault::ResetBeforeResponse, "reset by peer")]
    {
        let stand_in = plain();
        stand_in.set_fault(Path::Any, Some(fault));
        let error = lookup(&stand_in).unwrap_err();
        assert!(matches!(error, IronicError::Http(HttpError::ConnectionLost { .. })), "{error:?}");
        assert_eq!((error.lookup_result(), error.heartbeat_result()), (L::ConnectError, H::ConnectError));
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_reset_inside_the_body_is_an_invalid_response() {
    let stand_in = plain();
    stand_in.push_fault(Path::Lookup, Fault::ResetMidBody);
    let error = lookup(&stand_in).unwrap_err();
    assert_eq!(error.lookup_result(), L::InvalidResponse);
    assert!(error.to_string().contains("broke off inside the body"), "{error}");
    assert!(error.to_string().contains("reset by peer"), "{error}");
    assert!(!error.tries_next() && error.may_have_been_served());
    // 202 stands in the head: accepted.
    stand_in.push_fault(Path::Heartbeat, Fault::ResetMidBody);
    heartbeat(&stand_in, &beat(Some(TOKEN))).unwrap();
}

#[test]
fn another_protocol_is_named() {
    let stand_in = plain();
    stand_in.set_fault(Path::Any, Some(Fault::NotHttp));
    let error = lookup(&stand_in).unwrap_err();
    assert!(matches!(error, IronicError::Http(HttpError::NotHttp { .. })), "{error:?}");
    assert_eq!((error.lookup_result(), error.heartbeat_result()), (L::InvalidResponse, H::ServerError));
}

/// The stand-ins' URLs as two endpoints, and a client for them.
fn two(first: &str, second: &StandIn) -> (Client, Vec<Endpoint>) {
    let mut parameters = parameters(&[first, &second.url()]);
    parameters.api_version = Some(ipa_sidecar::inside::ApiVersion { major: 1, minor: 102 });
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let endpoints = vec![endpoint(first, &[loopback]), endpoint(&second.url(), &[loopback])];
    (Client::new(&parameters).unwrap(), endpoints)
}

#[test]
fn the_second_endpoint_is_taken_where_the_first_gives_no_answer_and_kept() {
    let closed = format!("http://{}", closed_port());
    let second = plain();
    let (client, endpoints) = two(&closed, &second);
    let answer = run(client.lookup(&endpoints, &query())).unwrap();
    assert_eq!(answer.connection.url.to_string(), second.url());

    for fault in [Fault::Silent, Fault::CloseBeforeResponse, Fault::ResetBeforeResponse, Fault::NotHttp] {
        let (first, second) = (plain(), plain());
        first.push_fault(Path::Any, fault.clone());
        let (client, endpoints) = two(&first.url(), &second);
        for _ in 0..2 {
            let answer = run(client.heartbeat(&endpoints, &beat(Some(TOKEN)))).unwrap();
            assert_eq!(answer.connection.url.to_string(), second.url(), "{fault:?}");
        }
        assert_eq!(
            (first.connections(), second.heartbeats()),
            (1, 2),
            "the working one comes first: {fault:?}"
        );
        // And back, when that one fails.
        second.push_fault(Path::Any, Fault::CloseBeforeResponse);
        let answer = run(client.heartbeat(&endpoints, &beat(Some(TOKEN)))).unwrap();
        assert_eq!(answer.connection.url.to_string(), first.url(), "{fault:?}");
    }
}

/// A silent URL costs its time-out once, whoever speaks on the connection; the others keep the operator's order.
#[test]
fn what_answered_last_is_tried_first_and_then_the_operators_order() {
    let (first, second, third) = (plain(), plain(), plain());
    let stand_ins = [&first, &second, &third];
    let texts = stand_ins.map(|one| one.url());
    let all: Vec<_> = stand_ins.iter().map(|one| endpoint(&one.url(), &[one.address().ip()])).collect();
    let mut parameters = parameters(&texts.each_ref().map(String::as_str));
    parameters.api_version = Some(ipa_sidecar::inside::ApiVersion { major: 1, minor: 102 });
    let client = Client::new(&parameters).unwrap();
    let beats = || run(client.heartbeat(&all, &beat(Some(TOKEN)))).unwrap().connection.url.to_string();
    first.push_fault(Path::Any, Fault::CloseBeforeResponse);
    second.push_fault(Path::Any, Fault::CloseBeforeResponse);
    assert_eq!((beats(), beats()), (third.url(), third.url()));
    // The third fails: the first goes before the second.
    third.push_fault(Path::Any, Fault::CloseBeforeResponse);
    assert_eq!(beats(), first.url());
    assert_eq!(stand_ins.map(StandIn::connections), [2, 1, 3]);

    // The same for a caller's own HTTP: the closed port is tried once.
    let second = plain();
    let closed = format!("http://{}", closed_port());
    let (client, endpoints) = two(&closed, &second);
    let connect =
        || run(client.connect(&endpoints, Duration::from_secs(5))).map(|(_, open)| open.url.to_string());
    assert_eq!(connect().unwrap(), second.url());
    let _first_is_there = std::net::TcpListener::bind(closed.trim_start_matches("http://")).unwrap();
    assert_eq!(connect().unwrap(), second.url());
}

#[test]
fn the_second_endpoint_is_not_taken_on_any_status() {
    for status in [302, 400, 404, 406, 409, 500, 503] {
        let (first, second) = (plain(), plain());
        first.push_fault(Path::Any, Fault::Error(status, "no".to_owned()));
        let (client, endpoints) = two(&first.url(), &second);
        checked(run(client.lookup(&endpoints, &query()))).unwrap_err();
        assert_eq!((first.connections(), second.connections()), (1, 0), "{status}");
    }
    for fault in [Fault::GarbageJson, Fault::ResetMidBody] {
        let (first, second) = (plain(), plain());
        first.push_fault(Path::Any, fault);
        let (client, endpoints) = two(&first.url(), &second);
        checked(run(client.lookup(&endpoints, &query()))).unwrap_err();
        assert_eq!(second.connections(), 0);
    }
}

#[test]
fn every_address_of_a_name_is_tried() {
    let stand_in = plain();
    let port = stand_in.address().port();
    let url = format!("http://ironic.example.com:{port}");
    let client = Client::new(&parameters(&[&url])).unwrap();
    // Nothing listens on 127.0.0.2.
    let endpoints = [endpoint(&url, &["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()])];
    let answer = run(client.lookup(&endpoints, &query())).unwrap();
    assert_eq!(answer.connection.remote, stand_in.address());
    assert_eq!(answer.connection.local.ip(), stand_in.address().ip());
    assert_ne!(answer.connection.local.port(), 0);
    let host = format!("ironic.example.com:{port}");
    assert!(stand_in.requests().iter().all(|r| r.header("host") == Some(&host)));
}

#[test]
fn an_ipv6_literal_is_reached() {
    let Ok(stand_in) = StandIn::on("::1", Behaviour::default()) else {
        testbed::have("IPv6 loopback", false);
        return;
    };
    let answer = lookup(&stand_in).unwrap();
    assert!(answer.connection.local.is_ipv6());
    let host = format!("[::1]:{}", stand_in.address().port());
    assert_eq!(stand_in.requests()[0].header("host"), Some(&*host));
}

#[test]
fn a_stream_for_the_callers_own_http_is_opened_at_the_first_that_lets_us() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let second = plain();
    let (client, endpoints) = two(&format!("http://{}", closed_port()), &second);
    let text = run(async {
        let (mut stream, connection) = client.connect(&endpoints, Duration::from_secs(5)).await.unwrap();
        assert_eq!(connection.remote, second.address());
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    });
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
}
