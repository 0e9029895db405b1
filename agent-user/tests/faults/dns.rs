//! Name servers that answer badly, or not at all: the daemon says so, goes on, and finds the address once they answer.

use std::net::Ipv4Addr;
use std::time::Instant;

use super::*;

/// Ironic's.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

fn recovers_from(says: Says) {
    root_test!();
    let site = Site::new();
    let server = NameServer::start(&site.node, "127.0.0.53", says);
    let etc = Directory::new("dns");
    etc.write("resolv.conf", "nameserver 127.0.0.53\n");
    let mut command = with_etc(&site.node, etc.path());
    command.args(Daemon::words(&["--ironic.api-url=http://ironic.test:6385"]));
    let daemon = Daemon::from_command(command, &site.node).unwrap();
    let started = Instant::now();
    let answer = daemon
        .wait_state("the reason", LATER, |state| {
            state["reason"] == "name_unresolved" && !state.to_string().contains("is not resolved yet")
        })
        .unwrap();
    let asked = Instant::now();
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    assert!(asked.elapsed() < ANSWERS_WITHIN, "{:?}", asked.elapsed());
    assert_eq!(answer["address"], serde_json::Value::Null);
    let warnings = daemon.log().matches("WARN").count();
    assert!(warnings <= 3, "{warnings} warnings in {:?}: {}", started.elapsed(), daemon.log());
    server.set(Says::Address(ADDRESS));
    let healed = Instant::now();
    daemon.wait_address(Some(FIRST), LATER).unwrap();
    seen(format!(
        "name_unresolved after {:.1} s; found {:.1} s after the server was well",
        (asked - started).as_secs_f64(),
        healed.elapsed().as_secs_f64()
    ));
}

#[test]
fn a_silent_server() {
    recovers_from(Says::Nothing);
}

#[test]
fn servfail() {
    recovers_from(Says::Code(2));
}

#[test]
fn nxdomain() {
    recovers_from(Says::Code(3));
}

#[test]
fn refused() {
    recovers_from(Says::Code(5));
}

#[test]
fn a_truncated_answer_and_no_tcp() {
    recovers_from(Says::Truncated);
}

#[test]
fn garbage() {
    recovers_from(Says::Garbage);
}

#[test]
fn an_answer_to_another_question_is_not_believed() {
    recovers_from(Says::OtherId(ADDRESS));
}
