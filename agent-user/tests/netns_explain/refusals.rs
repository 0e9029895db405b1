//! No address: the reason, the exit code, and no URL.

use testbed::needs_root;
use testbed::netns::Netns;

use crate::netns_setup::{addressed, assert_address, assert_refused, explain, explain_api, two_nics, url};

const FAR: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

/// The kernel's refusals, by route and by rule.
#[test]
fn routes_and_rules_that_refuse() {
    if !needs_root("refusing routes") {
        return;
    }
    let netns = addressed();
    for kind in ["blackhole", "unreachable", "prohibit"] {
        let change = |verb: &str| {
            netns
                .ip_lines(&format!(
                    "route {verb} {kind} 203.0.113.0/24
                     -6 route {verb} {kind} 2001:db8::/32"
                ))
                .unwrap();
        };
        change("add");
        for api in FAR {
            assert_refused(&explain_api(&netns, api), kind);
        }
        change("del");
    }
    // A rule that says unreachable is ENETUNREACH, the same as no route.
    for (kind, reason) in [("blackhole", "blackhole"), ("unreachable", "no_route"), ("prohibit", "prohibit")]
    {
        let change = |verb: &str| {
            netns
                .ip_lines(&format!(
                    "rule {verb} to 203.0.113.0/24 {kind}
                     -6 rule {verb} to 2001:db8::/32 {kind}"
                ))
                .unwrap();
        };
        change("add");
        for api in FAR {
            assert_refused(&explain_api(&netns, api), reason);
        }
        change("del");
    }
    assert_address(&explain_api(&netns, FAR[0]), "10.0.0.2", Some("n0"));
}

#[test]
fn a_rule_that_prohibits_the_source() {
    if !needs_root("source rule") {
        return;
    }
    let netns = addressed();
    netns
        .ip_lines(
            "rule add from 10.0.0.2 prohibit
             -6 rule add from fd00::2 prohibit",
        )
        .unwrap();
    for (api, source) in [(FAR[0], "10.0.0.2"), (FAR[1], "fd00::2")] {
        let explained = explain_api(&netns, api);
        assert_refused(&explained, "source_route_refused");
        assert_eq!(explained.candidate("source"), source);
        assert_eq!(explained.candidate("accepted"), false);
    }
}

#[test]
fn no_route() {
    if !needs_root("no route") {
        return;
    }
    let netns = two_nics();
    netns.ip("addr add 10.0.0.2/24 dev n0").unwrap();
    for api in FAR {
        assert_refused(&explain_api(&netns, api), "no_route");
    }
    assert_refused(&explain(&netns, &[]), "no_api_url");
}

#[test]
fn only_link_local() {
    if !needs_root("link-local") {
        return;
    }
    let netns = two_nics();
    netns
        .ip_lines(
            "addr add 169.254.3.4/16 dev n0
             route add default via 169.254.0.1 dev n0
             addr add fe80::3/64 dev n0 nodad
             -6 route add default via fe80::1 dev n0",
        )
        .unwrap();
    for api in FAR {
        assert_refused(&explain_api(&netns, api), "link_local");
    }
}

#[test]
fn the_api_on_loopback() {
    if !needs_root("loopback") {
        return;
    }
    let netns = addressed();
    for api in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_refused(&explain_api(&netns, api), "loopback");
    }
    // The operator may say so.
    let flags = ["--ironic.api-url", "http://127.0.0.1:6385", "--advertise.host", "10.1.0.2"];
    assert_address(&explain(&netns, &flags), "10.1.0.2", None);
}

fn with_interface(netns: &Netns, api: &str, name: &str) -> crate::netns_setup::Explained {
    explain(netns, &["--ironic.api-url", &url(api, 6385), "--advertise.interface", name])
}

#[test]
fn interfaces_that_do_not_exist_or_have_no_address() {
    if !needs_root("interfaces") {
        return;
    }
    let netns = addressed();
    for api in FAR {
        assert_refused(&with_interface(&netns, api, "eth9"), "wrong_device");
    }
    netns.ip("addr flush dev m0 scope global").unwrap();
    assert_refused(&with_interface(&netns, FAR[0], "m0"), "no_route");
    assert_refused(&with_interface(&netns, FAR[1], "m0"), "link_local");
}

#[test]
fn a_device_that_is_down() {
    if !needs_root("device down") {
        return;
    }
    let netns = addressed();
    netns.ip("link set n0 down").unwrap();
    for api in FAR {
        // Its routes went with it: without a name the kernel knows of no way.
        assert_refused(&explain_api(&netns, api), "no_route");
        assert_refused(&with_interface(&netns, api, "n0"), "device_down");
    }
}

#[test]
fn no_carrier() {
    if !needs_root("carrier") {
        return;
    }
    let netns = addressed();
    netns.ip("link set n1 down").unwrap();
    for api in FAR {
        assert_refused(&explain_api(&netns, api), "no_carrier");
        assert_refused(&with_interface(&netns, api, "n0"), "no_carrier");
    }
    // The next URL helps out.
    let both = "http://203.0.113.1:6385,http://10.1.0.9:6385";
    assert_address(&explain(&netns, &["--ironic.api-url", both]), "10.1.0.2", Some("m0"));
    netns.ip("link set n1 up").unwrap();
    assert_address(&explain_api(&netns, FAR[0]), "10.0.0.2", Some("n0"));
}
