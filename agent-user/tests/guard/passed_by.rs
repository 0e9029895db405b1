//! An IPA that goes past the guard, or through it with another address than ours.

use super::*;

/// IPA's process, begun after the drop-in was written.
fn ipa(lab: &Lab, variables: &[(&str, &str)]) -> IpaProcess {
    std::thread::sleep(Duration::from_millis(50)); // More than the tick to which its start is rounded.
    let place = lab.directory.path().to_str().unwrap();
    IpaProcess::with(&lab.node, &["--config-dir", place], variables)
}

fn wait_passed_by(lab: &Lab, why: &str, names: &[&str]) {
    lab.daemon.wait_state(why, LATER, |state| state["passed_by"]["why"] == why).unwrap();
    assert_unready(&lab.daemon, names);
    assert_eq!(lab.metric(&format!("passed_by_info{{why=\"{why}\"}}")), 1.0);
}

/// After the start the daemon may not read the environment of a process: IPA's unit says it.
#[test]
fn a_proxy_of_ipas_unit_takes_its_requests_past_the_guard() {
    root_test!("python3");
    let site = Site::new();
    let (etc, there) = (Directory::new("proxy-etc"), "10.77.0.1:3128");
    let variables = [("HTTP_PROXY", &*format!("http://user:pw@{there}"))];
    ipa_unit(&etc, &variables);
    let ironic = site.ironic(node_with_mac());
    let _proxy = Proxy::start(&site.conductor, there.parse().unwrap(), API.parse().unwrap());
    let config = site.directory.config_dir();
    let mut command = with_etc(&site.node, etc.path());
    command.args(Daemon::words(&["--mode=guard", API_FLAG, &config]));
    let daemon = Daemon::from_command(command, &site.node).unwrap();
    wait_drop_in(&daemon, FIRST, SOON);
    wait_redirect(&daemon);
    let lab = Lab { daemon, ironic, site };
    let place = lab.directory.path().to_str().unwrap();
    let agent =
        AgentProcess::start(&lab.node, &format!("http://{API}"), &["--config-dir", place], &variables);
    wait_beats(&lab.daemon, &lab.ironic, 1, LATER);
    wait_passed_by(&lab, "proxy", &["http_proxy", "no_proxy"]);
    assert_names(lab.daemon.get("/").unwrap().text(), &["<strong>Bypassed:</strong>"]);
    let (code, status) = lab.site.status();
    assert_eq!(code, Some(1), "{status}");
    assert_names(status, &["! Bypassed:", "http_proxy (in small or capital letters) leads there"]);
    assert_eq!(taken(&lab.daemon), 0, "{}", agent.log());
    assert!(!lab.daemon.log().contains("user:pw"), "a proxy's password is nobody's");
    // What still comes through the guard speaks against it.
    lab.lookup();
    lab.daemon.wait_state("a lookup", LATER, |state| state["passed_by"].is_null()).unwrap();
}

#[test]
fn another_address_than_the_drop_in_gave_is_not_ready() {
    root_test!();
    let (lab, token) = Lab::asked();
    lab.add(SECOND);
    let _ipa = ipa(&lab, &[]);
    let has_process = |state: &serde_json::Value| state["ipa"]["process"].is_object();
    lab.daemon.wait_state("IPA's process", LATER, has_process).unwrap();
    let other = "http://192.0.2.66:9999";
    lab.ironic.push_fault(Path::Heartbeat, Fault::Error(409, "locked".to_owned()));
    assert_eq!(lab.heartbeat(other, &token).status, 409);
    wait_passed_by(&lab, "other_url", &[other, FIRST]);
    assert_names(lab.daemon.get("/").unwrap().text(), &["<strong>Bypassed:</strong>"]);
    // A sound one that Ironic holds is ours from then on.
    assert_eq!(lab.heartbeat(SECOND_URL, &token).status, 202);
    lab.daemon.wait_state("it is ours", LATER, |state| state["passed_by"].is_null()).unwrap();
    wait_drop_in(&lab.daemon, SECOND, SOON);
}

#[test]
fn what_the_guard_repairs_is_not_passed_by() {
    root_test!();
    let (lab, token) = Lab::asked();
    let _ipa = ipa(&lab, &[]);
    let has_process = |state: &serde_json::Value| state["ipa"]["process"].is_object();
    lab.daemon.wait_state("IPA's process", LATER, has_process).unwrap();
    assert_eq!(lab.heartbeat(SEED_URL, &token).status, 202);
    wait_until(&lab.daemon, "the repair", SOON, || lab.bad("repaired") == 1.0);
    let state = lab.daemon.state().unwrap();
    assert!(state["passed_by"].is_null() && state["ready"] == true, "{state:#}");
}
