//! Where the drop-in goes: into the directory that the IPA of this image reads, as its unit says and its process shows.

use std::process::Stdio;

use serde_json::json;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

const CONFIGURE: [&str; 2] = ["--mode=configure", API_FLAG];

/// A directory that stands for /etc, with a unit of this name that starts IPA so.
fn etc(unit: &str, command: &str) -> Directory {
    let etc = Directory::new("place-etc");
    etc.write(&format!("systemd/system/{unit}"), format!("[Service]\nExecStart={command}\n"));
    etc
}

fn daemon(site: &Site, etc: &Directory, flags: &[&str]) -> Daemon {
    site.daemon_after(&format!("mount --bind {} /etc; exec \"$@\"", etc.path().display()), flags)
}

#[test]
fn without_a_flag_it_goes_where_the_unit_reads_and_leaves_no_other_place() {
    root_test!();
    let site = Site::new();
    let unit = "openstack-ironic-python-agent.service";
    let etc = etc(unit, "/usr/bin/ironic-python-agent --use-journal");
    let old = "# Written by ipa-sidecar\n[DEFAULT]\nadvertise_host = 192.0.2.9\n";
    etc.write(&format!("ironic-python-agent.d/{DROP_IN}"), old);
    etc.write(&format!("ironic-python-agent.conf.d/{DROP_IN}"), old);
    let here = etc.file("ironic-python-agent.conf.d").join(DROP_IN);
    let mut running = daemon(&site, &etc, &CONFIGURE);
    wait_drop_in(&running, FIRST, SOON);
    let content = std::fs::read_to_string(&here).unwrap();
    assert_names(&content, &["advertise_host = 10.77.0.5\n"]);
    assert!(names(&etc.file("ironic-python-agent.d")).is_empty());
    let place = json!({
        "directory": "/etc/ironic-python-agent.conf.d", "unit": unit, "known_by": "unit", "reads_it": "yes", "why": null,
    });
    let state = running.state().unwrap();
    assert_eq!(state["place"], place);
    assert_eq!(
        (&state["origin"], &state["callback_url"]),
        (&json!("route"), &json!("https://10.77.0.5:9999"))
    );
    assert_ends(&mut running, "written");
    // The next run knows its own file, and a directory that is given goes before the unit.
    std::fs::create_dir(etc.file("mine")).unwrap();
    let running = daemon(&site, &etc, &[&CONFIGURE[..], &["--ipa.config-dir=/etc/mine"]].concat());
    wait_drop_in(&running, FIRST, SOON);
    assert!(!here.exists() && etc.file("mine").join(DROP_IN).exists());
    let state = running.state().unwrap();
    assert_eq!((&state["origin"], &state["place"]["reads_it"]), (&json!("route"), &json!("no")));
    running.wait_log("does not read /etc/mine", SOON).unwrap();
    assert_names(running.get("/").unwrap().text(), &["does not read /etc/mine"]);
}

#[test]
fn an_ipa_that_runs_with_other_arguments_is_seen() {
    root_test!();
    let site = Site::new();
    let etc = etc("ironic-python-agent.service", "/usr/local/bin/ironic-python-agent --config-dir /etc/a.d");
    for directory in ["a.d", "b.d"] {
        std::fs::create_dir(etc.file(directory)).unwrap();
    }
    let running = daemon(&site, &etc, &CONFIGURE);
    wait_drop_in(&running, FIRST, SOON);
    assert_eq!(running.state().unwrap()["place"]["reads_it"], "yes");
    let script = etc.file("ironic-python-agent");
    etc.write("ironic-python-agent", "read end");
    let mut command = site.node.command("sh");
    command.arg(&script).args(["--config-dir", "/etc/b.d"]).stdin(Stdio::piped());
    let mut ipa = command.spawn().unwrap();
    let is_seen = || running.state().unwrap()["place"]["reads_it"] == "no";
    wait_until(&running, "the process was looked at", LATER, is_seen);
    let why = running.state().unwrap()["place"]["why"].as_str().unwrap().to_owned();
    assert_names(&why, &["it reads /etc/ironic-python-agent.conf, /etc/b.d and not /etc/a.d"]);
    drop(running);
    // The next daemon goes where it reads.
    let running = daemon(&site, &etc, &CONFIGURE);
    wait_drop_in(&running, FIRST, SOON);
    assert_eq!((names(&etc.file("a.d")).len(), names(&etc.file("b.d")).len()), (0, 1));
    assert_eq!(running.state().unwrap()["place"]["known_by"], "process");
    ipa.kill().unwrap();
    ipa.wait().unwrap();
}
