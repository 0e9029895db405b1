//! An API name with addresses of both families: IPA alone advertises one or the other, by chance.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use testbed::root_test;
use testbed::site::{DROP_IN, metric};

use super::lab::{Lab, Setup, wait_written};
use crate::PATIENCE;

/// So many starts: by chance they agree once in 512 times.
const STARTS: usize = 10;

const HOSTS: &str = "127.0.0.1 localhost\n10.77.0.1 ironic.testbed\nfd77::1 ironic.testbed";

#[test]
fn ten_starts_advertise_the_same_address() {
    root_test!();
    let setup = Setup {
        bind: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        api_url: "http://ironic.testbed:6385",
        hosts: HOSTS,
        ..Setup::default()
    };
    let lab = Lab::new(setup);
    let mut alone: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..STARTS {
        *alone.entry(announced(&lab)).or_default() += 1;
    }
    lab.tell(&format!("{STARTS} starts without the sidecar: {alone:?}"));
    let mut guarded: BTreeMap<String, usize> = BTreeMap::new();
    for start in 0..STARTS {
        // Name servers rotate their answers.
        let mut hosts: Vec<_> = HOSTS.lines().collect();
        hosts.rotate_left(start % 2 + 1);
        fs::write(lab.etc.file("hosts"), hosts.join("\n") + "\n").unwrap();
        fs::remove_file(lab.site.directory.file(DROP_IN)).unwrap_or_default();
        let sidecar = lab.sidecar();
        wait_written(&sidecar);
        let url = announced(&lab);
        let looked_up = metric(&sidecar, "lookup_attempts_total{result=\"ok\",sender=\"ipa\"}");
        assert!(looked_up >= 1.0, "IPA did not come by the guard:\n{}", sidecar.log());
        lab.assert_secret(&sidecar);
        *guarded.entry(url).or_default() += 1;
    }
    lab.tell(&format!("{STARTS} starts with it: {guarded:?}"));
    assert_eq!(guarded.len(), 1);
    assert_eq!(guarded.into_values().sum::<usize>(), STARTS);
}

/// Starts IPA until it sends its first heartbeat; gives the URL in it.
fn announced(lab: &Lab) -> String {
    lab.ironic.power_cycle().unwrap();
    let ipa = lab.ipa();
    let line = ipa.wait_log("announcing callback URL", PATIENCE).unwrap();
    let (_, rest) = line.split_once("callback URL ").unwrap();
    rest.split(',').next().unwrap().to_owned()
}
