//! The real ironic-python-agent of the testbed, and the stand-in for the seed's, do what the other tests lean on beside
//! the real Ironic: lookup, heartbeat, certificate, configuration, and nothing of them is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::ipa::{IpaOptions, ONE_URL_VERSION, RealIpa, VERSION};
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::seed_ipa::{SeedIpa, SeedOptions};
use testbed::site::{FIRST, SECOND, Site};

use crate::{PATIENCE, eventually, start_ironic, wait_recorded};

/// The URL of the route's address, and that of the other one.
const ROUTE: &str = "https://10.77.0.5:9999";
const OTHER: &str = "https://10.77.0.6:9999";

/// A site with a node of two addresses, and with an Ironic.
struct Lab {
    ironic: RealIronic,
    site: Site,
}

impl Lab {
    fn new(require_tls: bool) -> Self {
        let site = Site::new();
        site.add(SECOND);
        let bind = "10.77.0.1".parse().unwrap();
        let ironic = start_ironic(&site, Options { bind, require_tls, ..Options::default() });
        Self { ironic, site }
    }

    /// It learns of Ironic by the kernel command line, as by its conductor.
    fn options(&self) -> IpaOptions {
        let mut options = IpaOptions::new(&self.site.node, self.site.directory.path());
        options.cmdline = format!("BOOT_IMAGE=testbed ipa-api-url={} quiet", self.ironic.url());
        options
    }

    /// What Ironic holds as the node's agent.
    fn recorded(&self) -> Option<String> {
        self.ironic.agent_url().unwrap()
    }

    /// `GET https://ADDRESS:9999PATH` from the server, with the certificate that Ironic was given, as the conductor
    /// does it.
    fn ask_agent(&self, address: &str, path: &str) -> Result<serde_json::Value, String> {
        let node = self.ironic.node().unwrap();
        let certificate = node["driver_internal_info"]["agent_verify_ca"].as_str().unwrap();
        let output = self
            .site
            .conductor
            .command("curl")
            .args(["-sS", "--max-time", "10", "--noproxy", "*", "--cacert", certificate])
            .arg(format!("https://{address}:9999{path}"))
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// Starts it and waits until Ironic has recorded its URL; tells how long that took.
fn start_recorded(lab: &Lab, options: &IpaOptions) -> (RealIpa, String) {
    RealIpa::install(&options.version, &mut |line| println!("{line}")).unwrap();
    let start = Instant::now();
    let ipa = RealIpa::start(options).unwrap();
    ipa.wait_log("Heartbeat: announcing callback URL", PATIENCE).unwrap();
    println!(
        "IPA {}: {:.1} s from its start to the first heartbeat",
        options.version,
        start.elapsed().as_secs_f64()
    );
    let url = wait_recorded(&lab.ironic);
    assert_eq!(ipa.ended(), None, "{}", ipa.log());
    (ipa, url)
}

#[test]
fn it_heartbeats_over_tls_with_the_address_of_the_route() {
    root_test!();
    let lab = Lab::new(true);
    let (ipa, url) = start_recorded(&lab, &lab.options());
    assert_eq!(url, ROUTE);
    let status = lab.ask_agent(FIRST, "/v1/status").unwrap();
    assert_eq!(status["version"], VERSION);
    let other = lab.ask_agent(SECOND, "/v1/status").unwrap_err();
    assert!(other.contains(SECOND), "the certificate holds the other address only: {other}");
    assert_eq!(lab.ironic.node().unwrap()["provision_state"], "manageable");
    let command = fs::read(format!("/proc/{}/cmdline", ipa.pid())).unwrap();
    assert!(String::from_utf8_lossy(&command).contains("venv/bin/ironic-python-agent"));
    println!("refused calls:\n{}", ipa.refused().unwrap());
}

#[test]
fn a_drop_in_beats_the_route_and_a_restart_reads_it_again() {
    root_test!();
    let lab = Lab::new(true);
    lab.site.directory.write("zz-test.conf", "[DEFAULT]\nadvertise_host = 10.77.0.6\n");
    let (mut ipa, url) = start_recorded(&lab, &lab.options());
    assert_eq!(url, OTHER);
    assert_eq!(lab.ask_agent(SECOND, "/v1/status").unwrap()["version"], VERSION);

    // After a power cycle there is a new token to be had, and the drop-in is what it is now.
    lab.ironic.power_cycle().unwrap();
    lab.site.directory.write("zz-test.conf", "[DEFAULT]\nadvertise_host = 10.77.0.5\n");
    let before = ipa.pid();
    ipa.restart().unwrap();
    assert_ne!(ipa.pid(), before);
    assert!(!Path::new(&format!("/proc/{before}")).exists());
    eventually("the other URL is recorded", PATIENCE, || lab.recorded().as_deref() == Some(ROUTE));
    assert_eq!(lab.ask_agent(FIRST, "/v1/status").unwrap()["version"], VERSION);
}

#[test]
fn a_name_in_its_own_hosts_file_is_found() {
    root_test!();
    let lab = Lab::new(true);
    let options = IpaOptions {
        cmdline: "ipa-api-url=http://ironic.testbed:6385".to_owned(),
        hosts: Some("10.77.0.1 ironic.testbed".to_owned()),
        resolv_conf: Some(String::new()),
        ..lab.options()
    };
    let (_ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, ROUTE);
}

#[test]
fn the_next_url_of_a_list_is_used_where_the_first_is_dead() {
    root_test!();
    let lab = Lab::new(true);
    let mut options = lab.options();
    options.cmdline = format!("ipa-api-url=http://127.0.0.1:6385,{}", lab.ironic.url());
    let (ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, ROUTE);
    assert!(ipa.log().contains("trying the next URL"), "{}", ipa.log());
}

#[test]
fn a_version_of_one_url_takes_a_list_for_one() {
    root_test!();
    let lab = Lab::new(true);
    let mut options = IpaOptions { version: ONE_URL_VERSION.to_owned(), ..lab.options() };
    let (ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, ROUTE);
    assert_eq!(lab.ask_agent(FIRST, "/v1/status").unwrap()["version"], ONE_URL_VERSION);
    drop(ipa);
    lab.ironic.power_cycle().unwrap();
    options.cmdline = format!("ipa-api-url=http://127.0.0.1:1,{}", lab.ironic.url());
    let ipa = RealIpa::start(&options).unwrap();
    let list = format!("127.0.0.1:1,{}", lab.ironic.url());
    ipa.wait_log("Failed to parse", PATIENCE).unwrap();
    assert!(ipa.log().contains(&list), "{}", ipa.log());
    assert_eq!(lab.recorded(), None);
}

#[test]
fn an_end_of_its_own_is_reported_with_the_reason() {
    root_test!();
    let netns = Arc::new(Netns::new().unwrap());
    let directory = std::env::temp_dir().join(format!("ipa-real-control-{}-end", std::process::id()));
    let mut options = IpaOptions::new(&netns, &directory);
    options.extra_args = vec!["--no-such-flag".to_owned()];
    let ipa = RealIpa::start(&options).unwrap();
    let error = ipa.wait_log("Heartbeat", PATIENCE).unwrap_err().to_string();
    assert!(error.contains("unrecognized arguments: --no-such-flag"), "{error}");
    assert_eq!(ipa.ended(), Some(2));
    fs::remove_dir(directory).unwrap();
}

#[test]
fn the_agent_of_the_seed_pins_what_nobody_can_reach() {
    root_test!();
    let lab = Lab::new(false);
    let mut seed = SeedIpa::new(SeedOptions::new(&lab.site.node, lab.ironic.url()));
    assert_eq!(seed.beat().unwrap(), (202, String::new()));
    let wrong = "http://10.77.0.5 uid 0:9999";
    assert_eq!(wait_recorded(&lab.ironic), wrong);
    seed.set_advertise_host(FIRST);
    let (status, body) = seed.beat().unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("Detected change"), "{body}");
    assert_eq!(lab.recorded().as_deref(), Some(wrong));
}

#[test]
fn a_killed_test_leaves_nothing() {
    root_test!();
    crate::leaves_nothing_when_killed("ipa_control::runs_until_it_is_killed", "ipa");
    let _ = fs::remove_dir(config_dir_of(std::process::id()));
}

fn config_dir_of(test: u32) -> PathBuf {
    std::env::temp_dir().join(format!("ipa-real-control-{test}-killed"))
}

#[test]
#[ignore = "not a test: what a_killed_test_leaves_nothing kills"]
fn runs_until_it_is_killed() {
    let netns = Arc::new(Netns::new().unwrap());
    let options = IpaOptions::new(&netns, config_dir_of(std::os::unix::process::parent_id()));
    let ipa = RealIpa::start(&options).unwrap();
    ipa.wait_log("Configuration:", PATIENCE).unwrap();
    println!("it runs");
    std::thread::sleep(Duration::from_secs(60));
    drop(ipa);
    panic!("nobody killed this");
}
