//! Two ways to Ironic, from different addresses: what Ironic answers counts, not what is merely routed.

use std::io::Read;

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// Routed by way of the second NIC, and nobody answers there.
pub const SILENT: &str = "http://172.18.0.2:6385";
/// The address of the second NIC.
const BESIDE: &str = "10.78.0.5";

/// A second NIC has the default route, and the conductor does not forward.
pub fn two_ways() -> Site {
    let site = Site::new();
    site.node.join("eth1.78", &site.conductor, "beside").unwrap();
    site.conductor.ip("addr add 10.78.0.1/24 dev beside").unwrap();
    site.conductor.ip("addr add fd78::1/64 dev beside nodad").unwrap();
    site.node.ip(&format!("addr add {BESIDE}/24 dev eth1.78")).unwrap();
    site.node.ip("addr add fd78::5/64 dev eth1.78 nodad").unwrap();
    site.node.ip("route add default via 10.78.0.1 dev eth1.78").unwrap();
    site.node.ip("-6 route add default via fd78::1 dev eth1.78").unwrap();
    site
}

pub fn urls(first: &str) -> String {
    format!("--ironic.api-url={first},http://{API}")
}

fn wait_origin(daemon: &Daemon, origin: &str, address: &str) {
    daemon
        .wait_state(&format!("{address} by {origin}"), SOON, |state| {
            state["origin"] == origin && state["address"] == address
        })
        .unwrap();
}

#[test]
fn mode_agent_pins_the_source_that_ironic_answers() {
    root_test!();
    for first in [SILENT, "http://[fd00::99]:6385"] {
        let site = two_ways();
        let ironic = site.ironic(node_with_mac());
        let daemon = site.daemon(&["--mode=agent", &urls(first), WITHOUT_LISTENER]);
        wait_beats(&daemon, &ironic, 1, LATER);
        assert_eq!(beat_urls(&ironic), [FIRST_URL], "{first}");
        wait_origin(&daemon, "pinned", FIRST);
    }
}

#[test]
fn the_drop_in_has_the_source_that_ironic_answers_until_that_is_lost() {
    root_test!();
    let site = two_ways();
    let _ironic = site.ironic(node_with_mac());
    let directory = site.directory.path();
    let daemon = site.daemon(&["--mode=configure", &urls(SILENT), &config_dir(directory)]);
    wait_origin(&daemon, "answered", FIRST);
    daemon.wait_state("the drop-in", SOON, |state| state["dropin"]["address"] == FIRST).unwrap();
    assert!(daemon.metric("advertise_address_valid").unwrap() == Some(1.0));
    site.remove(FIRST);
    wait_origin(&daemon, "route", BESIDE);
    daemon.wait_state("the drop-in", SOON, |state| state["dropin"]["address"] == BESIDE).unwrap();
}

#[test]
fn the_first_of_the_order_counts_where_both_answer_and_a_reset_is_no_answer() {
    root_test!();
    let site = two_ways();
    let _ironic = site.ironic(node_with_mac());
    let directory = site.directory.path();
    let beside = "http://10.78.0.1:6385";
    let flags = ["--mode=configure", &urls(beside), &config_dir(directory)];
    {
        let _other = site.listener("10.78.0.1:6385");
        let daemon = site.daemon(&flags);
        wait_origin(&daemon, "answered", BESIDE);
    }
    let daemon = site.daemon(&flags);
    wait_origin(&daemon, "answered", FIRST);
}

#[test]
fn a_connect_carries_no_byte_and_mode_observe_makes_none() {
    root_test!();
    let site = two_ways();
    let api = site.listener(API);
    api.set_nonblocking(true).unwrap();
    {
        let daemon = site.daemon(&[&urls(SILENT)]);
        wait_origin(&daemon, "route", BESIDE);
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(api.accept().is_err(), "observe speaks to nobody");
    }
    let directory = site.directory.path();
    let daemon = site.daemon(&["--mode=configure", &urls(SILENT), &config_dir(directory)]);
    wait_origin(&daemon, "answered", FIRST);
    let (mut connection, _) = api.accept().unwrap();
    connection.set_nonblocking(false).unwrap();
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).unwrap();
    assert!(bytes.is_empty(), "{bytes:?}");
}
