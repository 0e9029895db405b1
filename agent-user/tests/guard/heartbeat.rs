//! Heartbeats over the wire: what is repaired, what passes, and what is remembered.

use testbed::seed_ipa::{Dialect, SeedIpa, SeedOptions};

use super::*;

#[test]
fn what_is_certain_to_fail_is_repaired_on_a_kept_connection() {
    root_test!();
    let lab = Lab::new(&[]);
    let mut raw = lab.raw();
    for (index, url) in [
        "http://10.77.0.5%20uid%200:9999",
        SEED_URL,
        "http://None:9999",
        "http://127.0.0.1:9999",
        "http://10.77.0.5",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let token = token(&lab.lookup());
        for _ in 0..2 {
            raw.send(beat(url, &token));
            assert!(raw.answer().0.starts_with("HTTP/1.1 202 Accepted\r\n"), "{url}");
            assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL), "{url}");
            let sent = lab.ironic.requests().pop().unwrap();
            assert_eq!(sent.header("x-odd-case"), Some("y"));
            assert_eq!(sent.json()["agent_version"], "13.0.0");
        }
        assert_eq!(lab.bad("repaired"), 2.0 * (index + 1) as f64, "{url}");
        lab.ironic.power_cycle();
    }
    let (status, words) = ready(&lab.daemon);
    assert_eq!(status, 200, "{words}");
    assert_names(words, &["depends on the guard", FIRST_URL]);
}

#[test]
fn the_agent_of_the_seed_registers_without_a_change_to_its_configuration() {
    root_test!();
    for dialect in [Dialect::Modern, Dialect::Passthru { driver: "agent_ipmitool".to_owned() }] {
        let behaviour = match dialect {
            Dialect::Modern => node_with_mac(),
            Dialect::Passthru { .. } => {
                Behaviour { max_minor: Behaviour::mitaka().max_minor, ..node_with_mac() }
            }
        };
        let lab = Lab::with(behaviour, &[]);
        let options = SeedOptions { dialect, ..SeedOptions::new(&lab.node, format!("http://{API}")) };
        let mut seed = SeedIpa::new(options);
        assert_eq!(seed.advertised_url().unwrap(), SEED_URL, "it has its fault");
        for _ in 0..2 {
            assert_eq!(seed.beat().unwrap().0, 202);
        }
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(FIRST_URL));
        assert_eq!(lab.bad("repaired"), 2.0);
    }
}

/// Without the guard such an agent ends with a URL that the conductor cannot use.
#[test]
fn without_the_guard_the_agent_of_the_seed_registers_wrong() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    let mut seed = SeedIpa::new(SeedOptions::new(&site.node, format!("http://{API}")));
    assert_eq!(seed.beat().unwrap().0, 202);
    assert_eq!(ironic.agent_url().as_deref(), Some(SEED_URL));
}

#[test]
fn a_sound_heartbeat_passes_byte_for_byte_whatever_ironic_holds() {
    root_test!();
    let site = Site::new();
    site.add(SECOND);
    let lab = Lab::on(site, node_with_mac(), &[]);
    let answer = lab.lookup();
    let token = token(&answer);
    // Assigned here, though it is not the decided one; a stranger, perhaps of a NAT; one of https without a certificate.
    for url in [SECOND_URL, FIRST_URL, "http://192.0.2.9:9999", "https://10.77.0.6:9999"] {
        let request = beat(url, &token);
        let mut raw = lab.sent(&request);
        raw.answer();
        let sent = lab.ironic.requests().pop().unwrap();
        let body = request.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(String::from_utf8_lossy(&sent.body), body);
        assert_eq!(sent.header("x-odd-case"), Some("y"));
    }
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(SECOND_URL));
    assert_eq!((lab.bad("repaired"), lab.beats("accepted")), (0.0, 1.0));
    assert_eq!(lab.beats("pinned_refused"), 3.0);
}

/// A second NIC's lease with a better route comes after the lookup: the address with which IPA started is still good.
#[test]
fn a_late_lease_changes_nothing_for_an_address_that_is_still_here() {
    root_test!();
    let (lab, token) = Lab::asked();
    lab.add(SECOND);
    lab.prefer(SECOND);
    for url in ["https://10.77.0.5:9999"; 2] {
        let answer = lab.heartbeat(url, &token);
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(lab.ironic.agent_url().as_deref(), Some(url));
    }
    assert_eq!(lab.bad("repaired"), 0.0);
}

#[test]
fn an_address_that_was_lost_before_the_first_heartbeat_is_repaired() {
    root_test!();
    let (lab, token) = Lab::asked();
    lab.change(FIRST, SECOND);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(SECOND_URL), "{}", lab.daemon.log());
}

#[test]
fn nothing_is_repaired_to_where_ipa_does_not_listen() {
    root_test!();
    let (lab, token) = Lab::asked();
    lab.add(SECOND);
    let _ipa = lab.listen("10.77.0.6:9999");
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(SEED_URL));
    assert_eq!((lab.bad("forwarded"), lab.bad("repaired")), (1.0, 0.0));
}

#[test]
fn after_a_restart_the_repaired_url_is_still_known() {
    root_test!();
    let (mut lab, token) = Lab::asked();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    assert_ends(&mut lab.daemon, "repaired");
    // Its route has another source by now: what Ironic sees stays.
    lab.add(SECOND);
    lab.prefer(SECOND);
    lab.daemon = lab.site.guard(&[]);
    wait_redirect(&lab.daemon);
    lab.daemon.wait_state("generation", SOON, |state| state["generation"] != 0).unwrap();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    assert_eq!(beat_urls(&lab.ironic), [FIRST_URL, FIRST_URL]);
    assert_names(ready(&lab.daemon).1, &["depends on the guard"]);
    // Nothing of the token is kept.
    let directory = lab.node.runtime_directory().unwrap();
    let kept = std::fs::read_to_string(directory.join("kept.json")).unwrap();
    assert!(kept.contains(FIRST_URL) && !kept.contains(&token), "{kept}");
    // A gap over one heartbeat: the next one is accepted again.
    assert_ends(&mut lab.daemon, "again");
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 400, "IPA's own goes to Ironic");
    lab.daemon = lab.site.guard(&[]);
    wait_redirect(&lab.daemon);
    lab.daemon.wait_state("generation", SOON, |state| state["generation"] != 0).unwrap();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
}

/// The daemon that comes back has never seen the address that IPA goes on sending.
#[test]
fn after_a_restart_a_lost_address_is_repaired_again() {
    root_test!();
    let (mut lab, token) = Lab::asked();
    lab.change(FIRST, SECOND);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202);
    assert_ends(&mut lab.daemon, "repaired");
    lab.daemon = lab.site.guard(&[]);
    wait_redirect(&lab.daemon);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(lab.heartbeat(FIRST_URL, &token).status, 202, "{}", lab.daemon.log());
    assert_eq!(beat_urls(&lab.ironic), [SECOND_URL, SECOND_URL]);
}

#[test]
fn a_repair_ends_where_its_address_is_lost_or_ironic_holds_another() {
    root_test!();
    let (lab, token) = Lab::asked();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    lab.change(FIRST, SECOND);
    lab.daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 400);
    assert_eq!(beat_urls(&lab.ironic), [FIRST_URL, SEED_URL], "as it came");
    let said = events(&lab.daemon).join("\n");
    assert_names(said, &["no longer repaired", "no longer assigned here"]);
    assert!(!ready(&lab.daemon).1.contains("depends on the guard"));
}
