//! Where there can be no guard: the mode does what configure does, is ready, and says why.

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// Demands that the daemon acts as configure for this reason.
#[track_caller]
fn acts_as_configure(daemon: &Daemon, site: &Site, reason: &str, names: &[&str]) {
    wait_drop_in(daemon, FIRST, SOON);
    let (status, words) = ready(daemon);
    assert_eq!(status, 200, "{words}");
    assert_names(&words, names);
    assert_names(&words, &["acts as configure", "10.77.0.5"]);
    let state = daemon.state().unwrap();
    assert_eq!((&state["mode"], &state["acting_mode"]), (&"guard".into(), &"configure".into()));
    assert_eq!(state["guard"]["off"]["reason"], reason, "{state:#}");
    let content = site.drop_in();
    assert!(content.contains("advertise_host = 10.77.0.5\n") && !content.contains("api_url"), "{content}");
    let direct = site.node.enter(|| std::net::TcpStream::connect(API).unwrap().peer_addr().unwrap());
    assert_eq!(direct.unwrap().to_string(), API);
}

#[test]
fn with_an_https_url_or_switched_off_it_acts_as_configure() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let daemon = site.guard(&["--ironic.api-url=http://10.77.0.1:6385,https://10.77.0.1:6386"]);
    acts_as_configure(&daemon, &site, "https", &["https://10.77.0.1:6386"]);
    drop(daemon);
    let daemon = site.guard(&["--guard.redirect=off"]);
    acts_as_configure(&daemon, &site, "switched_off", &["--guard.redirect=off"]);
}

#[test]
fn without_privilege_it_acts_as_configure() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"];
    let config = site.directory.config_dir();
    let daemon = site.daemon_under(&words, &["--mode=guard", API_FLAG, &config]);
    let reason = if cfg!(feature = "ebpf") { "not_permitted" } else { "not_built" };
    acts_as_configure(&daemon, &site, reason, &[]);
}

#[cfg(feature = "ebpf")]
#[test]
fn with_its_port_taken_it_acts_as_configure() {
    root_test!();
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let _other = site.listen(GUARD);
    let daemon = site.guard(&[]);
    acts_as_configure(&daemon, &site, "error", &["--guard.listen-address"]);
}

#[test]
fn what_is_gone_is_named_with_what_replaces_it() {
    root_test!();
    let site = Site::new();
    for (flag, instead) in
        [("--ipa.api-url-list=always", "--guard.redirect"), ("--guard.stand-in", "its address")]
    {
        let mut daemon = site.guard(&[flag]);
        assert_refuses(&mut daemon, 64, &["is gone", flag.split('=').next().unwrap(), instead]);
    }
}
