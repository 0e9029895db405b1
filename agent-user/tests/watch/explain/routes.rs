//! Which source: compared with what the real `ip route get` prints.

use testbed::netns::Netns;
use testbed::root_test;

use crate::machine::{
    Explained, add_nic, addressed, assert_address, assert_refused, explain, explain_api, ip_says, prepared,
    two_nics, unprivileged, url,
};

/// `explain` and `ip route get` must agree about each API; gives how many were asked.
fn agree(netns: &Netns, apis: &[&str]) -> usize {
    for api in apis {
        for port in [6385, 443] {
            let (source, device) = ip_says(netns, api, port);
            let explained = explain(netns, &["--ironic.api-url", &url(api, port)]);
            assert_address(&explained, &source, Some(&device));
        }
    }
    apis.len()
}

#[test]
fn two_nics_and_a_default_route() {
    root_test!();
    let netns = addressed();
    let apis = ["10.0.0.9", "10.1.0.9", "203.0.113.1", "fd00::9", "fd01::9", "2001:db8::1"];
    assert_eq!(agree(&netns, &apis), 6);
    assert_address(&explain_api(&netns, "203.0.113.1"), "10.0.0.2", Some("n0"));
    assert_address(&explain_api(&netns, "fd01::9"), "fd01::2", Some("m0"));
}

#[test]
fn a_device_called_srcnic_and_the_seeds_addresses() {
    root_test!();
    let netns = addressed();
    add_nic(&netns, "srcnic", "srcpeer");
    netns
        .ip_lines(
            "addr add 172.25.134.128/20 dev srcnic
             addr add fd02::2/64 dev srcnic nodad",
        )
        .unwrap();
    agree(&netns, &["172.25.134.35", "fd02::9"]);
    assert_address(&explain_api(&netns, "172.25.134.35"), "172.25.134.128", Some("srcnic"));
}

#[test]
fn two_tables_and_a_rule_by_source() {
    root_test!();
    let netns = prepared(
        addressed(),
        "route add default via 10.1.0.1 dev m0 table 100
             route add default via fd01::1 dev m0 table 100
             rule add from 10.1.0.2 lookup 100
             -6 rule add from fd01::2 lookup 100
             rule add to 198.51.100.0/24 lookup 100
             -6 rule add to 2001:db8:51::/48 lookup 100",
    );
    let apis = ["203.0.113.1", "198.51.100.1", "2001:db8::1", "2001:db8:51::1"];
    agree(&netns, &apis);
    for (api, address, device, table) in [
        ("203.0.113.1", "10.0.0.2", "n0", 254),
        ("198.51.100.1", "10.1.0.2", "m0", 100),
        ("2001:db8::1", "fd00::2", "n0", 254),
        ("2001:db8:51::1", "fd01::2", "m0", 100),
    ] {
        let explained = explain_api(&netns, api);
        assert_address(&explained, address, Some(device));
        assert_eq!(explained.candidate("table"), table, "{api}");
    }
}

#[test]
fn a_rule_by_uid_counts_as_for_root_whoever_asks() {
    root_test!();
    let netns = prepared(
        addressed(),
        "addr add 10.0.0.7/24 dev n0
             addr add fd00::7/64 dev n0 nodad
             route add 203.0.113.0/24 via 10.0.0.1 dev n0 src 10.0.0.7 table 100
             route add 2001:db8::/32 via fd00::1 dev n0 src fd00::7 table 100
             rule add uidrange 0-0 lookup 100
             -6 rule add uidrange 0-0 lookup 100",
    );
    agree(&netns, &["203.0.113.1", "2001:db8::1"]);
    for (api, address) in [("203.0.113.1", "10.0.0.7"), ("2001:db8::1", "fd00::7")] {
        let flags = ["--ironic.api-url", &url(api, 6385)];
        assert_address(&explain(&netns, &flags), address, Some("n0"));
        let as_nobody = Explained::by(unprivileged(&netns), &flags);
        assert_address(&as_nobody, address, Some("n0"));
    }
}

#[test]
fn a_rule_by_port_counts() {
    root_test!();
    let netns = prepared(
        addressed(),
        "route add default via 10.1.0.1 dev m0 table 100
             route add default via fd01::1 dev m0 table 100
             rule add ipproto 6 dport 6385 lookup 100
             -6 rule add ipproto 6 dport 6385 lookup 100
             rule add ipproto 17 dport 443 prohibit",
    );
    agree(&netns, &["203.0.113.1", "2001:db8::1"]);
    for (api, port, address, device) in [
        ("203.0.113.1", 6385, "10.1.0.2", "m0"),
        ("203.0.113.1", 443, "10.0.0.2", "n0"),
        ("2001:db8::1", 6385, "fd01::2", "m0"),
        ("2001:db8::1", 443, "fd00::2", "n0"),
    ] {
        let explained = explain(&netns, &["--ironic.api-url", &url(api, port)]);
        assert_address(&explained, address, Some(device));
    }
}

#[test]
fn an_unnumbered_nic_borrows_the_address_of_lo() {
    root_test!();
    let netns = prepared(
        addressed(),
        "addr add 192.0.2.50/32 dev lo
             addr add 2001:db8:50::1/128 dev lo nodad
             addr flush dev m0
             link set m0 down
             link set m0 up
             route add 198.51.100.0/24 dev m0 src 192.0.2.50
             route add 2001:db8:51::/48 dev m0 src 2001:db8:50::1",
    );
    agree(&netns, &["198.51.100.1", "2001:db8:51::1"]);
    let explained = explain_api(&netns, "198.51.100.1");
    assert_address(&explained, "192.0.2.50", Some("m0"));
    let explained = explain_api(&netns, "2001:db8:51::1");
    assert_address(&explained, "2001:db8:50::1", Some("m0"));
    // The outgoing device counts, not the one that has the address.
    netns.ip("link set m1 down").unwrap();
    let explained = explain_api(&netns, "198.51.100.1");
    crate::machine::assert_refused(&explained, "no_carrier");
}

#[test]
fn the_named_interface_wins_over_the_route() {
    root_test!();
    let netns = addressed();
    let ask = |api: &str, name: &str| {
        explain(&netns, &["--ironic.api-url", &url(api, 6385), "--advertise.interface", name])
    };
    // n0 has the default route. m0 has none: its first usable address, as IPA does.
    for (api, n0, m0) in [("203.0.113.1", "10.0.0.2", "10.1.0.2"), ("2001:db8::1", "fd00::2", "fd01::2")] {
        assert_address(&ask(api, "n0"), n0, Some("n0"));
        let explained = ask(api, "m0");
        assert_address(&explained, m0, Some("m0"));
        assert!(explained.candidate("table").is_null(), "no table had a route");
    }
    netns.ip("route add default via 10.1.0.1 dev m0 metric 900").unwrap();
    let explained = ask("203.0.113.1", "m0");
    assert_address(&explained, "10.1.0.2", Some("m0"));
    assert_eq!(explained.candidate("table"), 254);
}

#[test]
fn an_ipv4_mapped_url_is_its_ipv4() {
    root_test!();
    let netns = addressed();
    let explained = explain_api(&netns, "::ffff:10.1.0.9");
    assert_address(&explained, "10.1.0.2", Some("m0"));
    assert_eq!(explained.text("family"), Some("inet"));
}

/// A connect to a broadcast address fails with ENETUNREACH, though there is a route.
#[test]
fn a_broadcast_address_of_a_network_is_no_destination() {
    root_test!();
    assert_refused(&explain_api(&addressed(), "10.0.0.255"), "no_route");
}

/// `from PREFIX`: no route is for every source, and a connect chooses its source first.
#[test]
fn a_default_route_for_one_source_prefix_is_found() {
    root_test!();
    let netns = prepared(two_nics(), "addr add fd00::2/64 dev n0 nodad");
    netns.ip("-6 route add default from fd00::/64 via fd00::1 dev n0").unwrap();
    assert_address(&explain_api(&netns, "2001:db8::1"), "fd00::2", Some("n0"));
}
