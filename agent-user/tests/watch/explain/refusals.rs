//! No address: the reason, the exit code, and no URL.

use testbed::netns::Netns;
use testbed::root_test;

use crate::machine::{
    addressed, assert_address, assert_refused, explain, explain_api, prepared, two_nics, url,
};

const FAR: [&str; 2] = ["203.0.113.1", "2001:db8::1"];

/// There is no address towards either API, for this reason.
fn all_refused(netns: &Netns, reason: &str) {
    for api in FAR {
        assert_refused(&explain_api(netns, api), reason);
    }
}

/// The kernel's refusals, by route and by rule.
#[test]
fn routes_and_rules_that_refuse() {
    root_test!();
    let netns = addressed();
    for kind in ["blackhole", "unreachable", "prohibit"] {
        let change =
            |verb: &str| format!("route {verb} {kind} 203.0.113.0/24\n-6 route {verb} {kind} 2001:db8::/32");
        netns.ip_lines(&change("add")).unwrap();
        all_refused(&netns, kind);
        netns.ip_lines(&change("del")).unwrap();
    }
    // A rule that says unreachable is ENETUNREACH, the same as no route.
    for (kind, reason) in [("blackhole", "blackhole"), ("unreachable", "no_route"), ("prohibit", "prohibit")]
    {
        let change = |verb: &str| {
            format!("rule {verb} to 203.0.113.0/24 {kind}\n-6 rule {verb} to 2001:db8::/32 {kind}")
        };
        netns.ip_lines(&change("add")).unwrap();
        all_refused(&netns, reason);
        netns.ip_lines(&change("del")).unwrap();
    }
    assert_address(&explain_api(&netns, FAR[0]), "10.0.0.2", Some("n0"));
}

#[test]
fn a_rule_that_prohibits_the_source() {
    root_test!();
    let netns = prepared(
        addressed(),
        "rule add from 10.0.0.2 prohibit
             -6 rule add from fd00::2 prohibit",
    );
    for (api, source) in [(FAR[0], "10.0.0.2"), (FAR[1], "fd00::2")] {
        let explained = explain_api(&netns, api);
        assert_refused(&explained, "source_route_refused");
        assert_eq!(explained.candidate("source"), source);
        assert_eq!(explained.candidate("accepted"), false);
    }
}

#[test]
fn no_route() {
    root_test!();
    let netns = two_nics();
    netns.ip("addr add 10.0.0.2/24 dev n0").unwrap();
    all_refused(&netns, "no_route");
    assert_refused(&explain(&netns, &[]), "no_api_url");
}

#[test]
fn only_link_local() {
    root_test!();
    let netns = prepared(
        two_nics(),
        "addr add 169.254.3.4/16 dev n0
             route add default via 169.254.0.1 dev n0
             addr add fe80::3/64 dev n0 nodad
             -6 route add default via fe80::1 dev n0",
    );
    all_refused(&netns, "link_local");
}

#[test]
fn the_api_on_loopback() {
    root_test!();
    let netns = addressed();
    for api in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_refused(&explain_api(&netns, api), "loopback");
    }
    // The operator may say so.
    let flags = ["--ironic.api-url", "http://127.0.0.1:6385", "--advertise.host", "10.1.0.2"];
    assert_address(&explain(&netns, &flags), "10.1.0.2", None);
}

fn with_interface(netns: &Netns, api: &str, name: &str) -> crate::machine::Explained {
    explain(netns, &["--ironic.api-url", &url(api, 6385), "--advertise.interface", name])
}

#[test]
fn interfaces_that_do_not_exist_or_have_no_address() {
    root_test!();
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
    root_test!();
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
    root_test!();
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
