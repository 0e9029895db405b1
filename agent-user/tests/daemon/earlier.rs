//! Drop-ins that an earlier run has left behind: of another mode, in another directory, with an address that is lost.

use std::fs;

use testbed::root_test;
use testbed::site::*;

/// As the guard of earlier versions wrote it: IPA would go to a port on which nothing listens any more.
const OLD_FORMAT: &str = "# Written by ipa-sidecar: the address from which the kernel reaches the Ironic API.\n\
                          # Without this file ironic-python-agent chooses for itself.\n\
                          [DEFAULT]\n\
                          advertise_host = 10.77.0.5\n\
                          # The guard first; when it does not answer, Ironic itself.\n\
                          api_url = http://127.0.0.1:6385/advertise/10.77.0.5,http://10.77.0.1:6385\n";
const FOREIGN: &str = "[DEFAULT]\ndebug = true\n";

/// The directories below /etc that images give to IPA.
const KNOWN: [&str; 3] = ["ironic-python-agent.d", "ironic-python-agent.conf.d", "ironic-python-agent"];

/// A directory that stands for /etc, with this drop-in in each place.
fn etc(content: &str) -> Directory {
    let etc = Directory::new("earlier-etc");
    for place in KNOWN {
        etc.write(&format!("{place}/{DROP_IN}"), content);
        etc.write(&format!("{place}/10-site.conf"), FOREIGN);
    }
    etc
}

/// Which of the places still have one.
fn left(etc: &Directory) -> Vec<&'static str> {
    KNOWN.into_iter().filter(|place| etc.file(&format!("{place}/{DROP_IN}")).exists()).collect()
}

fn bind_etc(etc: &Directory) -> String {
    format!("mount --bind {} /etc; exec \"$@\"", etc.path().display())
}

#[test]
fn modes_that_keep_none_remove_it_in_every_place() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    for mode in ["--mode=observe", "--mode=agent"] {
        let etc = etc(OLD_FORMAT);
        let daemon = site.daemon_after(&bind_etc(&etc), &[mode, API_FLAG, WITHOUT_LISTENER]);
        wait_until(&daemon, "no drop-in", SOON, || left(&etc).is_empty());
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        let foreign = etc.file("ironic-python-agent/10-site.conf");
        assert_eq!(fs::read_to_string(foreign).unwrap(), FOREIGN);
        drop(daemon);
    }
}

#[test]
fn a_mode_that_keeps_one_removes_those_of_other_places() {
    root_test!();
    let site = Site::new();
    let etc = etc(OLD_FORMAT);
    let flags = ["--mode=configure", API_FLAG, "--ipa.config-dir=/etc/ironic-python-agent.conf.d"];
    let daemon = site.daemon_after(&bind_etc(&etc), &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_eq!(left(&etc), ["ironic-python-agent.conf.d"]);
    let content = fs::read_to_string(etc.file(&format!("ironic-python-agent.conf.d/{DROP_IN}"))).unwrap();
    assert!(!content.contains("api_url"), "{content}");
    assert_names(&content, &["advertise_host = 10.77.0.5\n"]);
}

#[test]
fn in_ipas_plain_directory_the_drop_in_follows_the_address_too() {
    root_test!();
    let site = Site::new();
    let etc = Directory::new("plain-etc");
    etc.write("ironic-python-agent/10-site.conf", FOREIGN);
    let flags = ["--mode=configure", API_FLAG, "--ipa.config-dir=/etc/ironic-python-agent"];
    let daemon = site.daemon_after(&bind_etc(&etc), &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_eq!(left(&etc), ["ironic-python-agent"], "our own is not one of an earlier run");
    site.change(FIRST, SECOND);
    wait_drop_in(&daemon, SECOND, SOON);
    // The next run finds its own file, which is not the operator's word.
    drop(daemon);
    site.change(SECOND, FIRST);
    let daemon = site.daemon_after(&bind_etc(&etc), &flags);
    wait_drop_in(&daemon, FIRST, SOON);
    assert_eq!(daemon.state().unwrap()["origin"], "route");
}

#[test]
fn what_others_wrote_under_our_name_stays() {
    root_test!();
    let site = Site::new();
    let etc = etc(FOREIGN);
    let daemon = site.daemon_after(&bind_etc(&etc), &["--mode=observe", API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(left(&etc), KNOWN);
}

#[test]
fn an_address_that_was_lost_while_we_were_away_is_replaced_or_removed() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("lost");
    directory.write(DROP_IN, OLD_FORMAT);
    site.change(FIRST, SECOND);
    let daemon = site.configure(directory.path());
    wait_drop_in(&daemon, SECOND, SOON);
    assert_names(fs::read_to_string(directory.file(DROP_IN)).unwrap(), &["= 10.77.0.6\n"]);
    drop(daemon);
    site.remove(SECOND);
    let daemon = site.configure(directory.path());
    wait_until(&daemon, "no drop-in", SOON, || names(directory.path()).is_empty());
    assert_unready(&daemon, &["no drop-in"]);
}
