//! The real ironic-python-agent of the testbed, and the stand-in for the seed's, do what the other tests lean on beside
//! the real Ironic: lookup, heartbeat, certificate, configuration, and nothing of them is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::ipa::{IpaOptions, ONE_URL_VERSION, RealIpa, VERSION};
use testbed::ironic::{Options, RealIronic};
use testbed::needs_root;
use testbed::netns::Netns;
use testbed::seed_ipa::{SeedIpa, SeedOptions};

const MAC: &str = "52:54:00:aa:00:01";
const SERVER: &str = "10.77.0.1";
/// How long IPA may take from its start to its first heartbeat, on a machine with other work.
const FIRST: Duration = Duration::from_secs(60);

/// A node and a server joined by a veth pair, with an Ironic on the server.
struct Lab {
    ironic: RealIronic,
    server: Arc<Netns>,
    node: Arc<Netns>,
    directory: PathBuf,
}

impl Lab {
    fn new(name: &str, require_tls: bool) -> Self {
        let (server, node) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        server.join("server", &node, "eth0.77").unwrap();
        server.ip("addr add 10.77.0.1/24 dev server").unwrap();
        let lines = "link set eth0.77 address MAC\naddr add 10.77.0.2/24 dev eth0.77\naddr add 10.77.0.3/24 dev eth0.77";
        node.ip_lines(&lines.replace("MAC", MAC)).unwrap();
        let ironic = RealIronic::start(&Options {
            bind: SERVER.parse().unwrap(),
            netns: Some(Arc::clone(&server)),
            require_tls,
            ..Options::default()
        })
        .unwrap();
        let directory = std::env::temp_dir().join(format!("ipa-real-control-{}-{name}", std::process::id()));
        Self { ironic, server, node, directory }
    }

    /// Told of Ironic by the kernel command line, as by its conductor.
    fn options(&self) -> IpaOptions {
        let mut options = IpaOptions::new(&self.node, &self.directory);
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
            .server
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

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Starts it and waits until Ironic has recorded its URL; tells how long that took.
fn start_recorded(lab: &Lab, options: &IpaOptions) -> (RealIpa, String) {
    RealIpa::install(&options.version, &mut |line| println!("{line}")).unwrap();
    let start = Instant::now();
    let ipa = RealIpa::start(options).unwrap();
    ipa.wait_log("Heartbeat: announcing callback URL", FIRST).unwrap();
    println!(
        "IPA {}: {:.1} s from its start to the first heartbeat",
        options.version,
        start.elapsed().as_secs_f64()
    );
    eventually("the URL is recorded", Duration::from_secs(10), || {
        assert_eq!(ipa.ended(), None, "{}", ipa.log());
        lab.recorded().is_some()
    });
    let url = lab.recorded().unwrap();
    (ipa, url)
}

#[test]
fn it_heartbeats_over_tls_with_the_address_of_the_route() {
    if !needs_root("it_heartbeats_over_tls_with_the_address_of_the_route") {
        return;
    }
    let lab = Lab::new("tls", true);
    let (ipa, url) = start_recorded(&lab, &lab.options());
    assert_eq!(url, "https://10.77.0.2:9999");
    let status = lab.ask_agent("10.77.0.2", "/v1/status").unwrap();
    assert_eq!(status["version"], VERSION);
    let other = lab.ask_agent("10.77.0.3", "/v1/status").unwrap_err();
    assert!(other.contains("10.77.0.3"), "the certificate holds the other address only: {other}");
    assert_eq!(lab.ironic.node().unwrap()["provision_state"], "manageable");
    let command = fs::read(format!("/proc/{}/cmdline", ipa.pid())).unwrap();
    assert!(String::from_utf8_lossy(&command).contains("venv/bin/ironic-python-agent"));
    println!("refused calls:\n{}", ipa.refused().unwrap());
}

#[test]
fn a_drop_in_beats_the_route_and_a_restart_reads_it_again() {
    if !needs_root("a_drop_in_beats_the_route_and_a_restart_reads_it_again") {
        return;
    }
    let lab = Lab::new("dropin", true);
    let drop_in = lab.directory.join("zz-test.conf");
    fs::create_dir_all(&lab.directory).unwrap();
    fs::write(&drop_in, "[DEFAULT]\nadvertise_host = 10.77.0.3\n").unwrap();
    let (mut ipa, url) = start_recorded(&lab, &lab.options());
    assert_eq!(url, "https://10.77.0.3:9999");
    assert_eq!(lab.ask_agent("10.77.0.3", "/v1/status").unwrap()["version"], VERSION);

    // After a power cycle there is a new token to be had, and the drop-in is what it is now.
    lab.ironic.power_cycle().unwrap();
    fs::write(&drop_in, "[DEFAULT]\nadvertise_host = 10.77.0.2\n").unwrap();
    let before = ipa.pid();
    ipa.restart().unwrap();
    assert_ne!(ipa.pid(), before);
    assert!(!Path::new(&format!("/proc/{before}")).exists());
    eventually("the other URL is recorded", FIRST, || {
        lab.recorded().as_deref() == Some("https://10.77.0.2:9999")
    });
    assert_eq!(lab.ask_agent("10.77.0.2", "/v1/status").unwrap()["version"], VERSION);
}

#[test]
fn a_name_in_its_own_hosts_file_is_found() {
    if !needs_root("a_name_in_its_own_hosts_file_is_found") {
        return;
    }
    let lab = Lab::new("hosts", true);
    let options = IpaOptions {
        cmdline: "ipa-api-url=http://ironic.testbed:6385".to_owned(),
        hosts: Some(format!("{SERVER} ironic.testbed")),
        resolv_conf: Some(String::new()),
        ..lab.options()
    };
    let (_ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, "https://10.77.0.2:9999");
}

#[test]
fn the_next_url_of_a_list_is_used_where_the_first_is_dead() {
    if !needs_root("the_next_url_of_a_list_is_used_where_the_first_is_dead") {
        return;
    }
    let lab = Lab::new("list", true);
    let mut options = lab.options();
    options.cmdline = format!("ipa-api-url=http://127.0.0.1:6385,{}", lab.ironic.url());
    let (ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, "https://10.77.0.2:9999");
    assert!(ipa.log().contains("trying the next URL"), "{}", ipa.log());
}

#[test]
fn a_version_of_one_url_takes_a_list_for_one() {
    if !needs_root("a_version_of_one_url_takes_a_list_for_one") {
        return;
    }
    let lab = Lab::new("one-url", true);
    let mut options = IpaOptions { version: ONE_URL_VERSION.to_owned(), ..lab.options() };
    let (ipa, url) = start_recorded(&lab, &options);
    assert_eq!(url, "https://10.77.0.2:9999");
    assert_eq!(lab.ask_agent("10.77.0.2", "/v1/status").unwrap()["version"], ONE_URL_VERSION);
    drop(ipa);
    lab.ironic.power_cycle().unwrap();
    options.cmdline = format!("ipa-api-url=http://127.0.0.1:1,{}", lab.ironic.url());
    let ipa = RealIpa::start(&options).unwrap();
    let list = format!("127.0.0.1:1,{}", lab.ironic.url());
    ipa.wait_log("Failed to parse", FIRST).unwrap();
    assert!(ipa.log().contains(&list), "{}", ipa.log());
    assert_eq!(lab.recorded(), None);
}

#[test]
fn an_end_of_its_own_is_told_with_the_reason() {
    if !needs_root("an_end_of_its_own_is_told_with_the_reason") {
        return;
    }
    let netns = Arc::new(Netns::new().unwrap());
    let directory = std::env::temp_dir().join(format!("ipa-real-control-{}-end", std::process::id()));
    let mut options = IpaOptions::new(&netns, &directory);
    options.extra_args = vec!["--no-such-flag".to_owned()];
    let ipa = RealIpa::start(&options).unwrap();
    let error = ipa.wait_log("Heartbeat", FIRST).unwrap_err().to_string();
    assert!(error.contains("unrecognized arguments: --no-such-flag"), "{error}");
    assert_eq!(ipa.ended(), Some(2));
    fs::remove_dir(directory).unwrap();
}

#[test]
fn the_agent_of_the_seed_pins_what_nobody_can_reach() {
    if !needs_root("the_agent_of_the_seed_pins_what_nobody_can_reach") {
        return;
    }
    let lab = Lab::new("seed", false);
    let mut seed = SeedIpa::new(SeedOptions::new(&lab.node, lab.ironic.url()));
    assert_eq!(seed.beat().unwrap(), (202, String::new()));
    let wrong = "http://10.77.0.2 uid 0:9999";
    eventually("the URL is recorded", Duration::from_secs(10), || lab.recorded().is_some());
    assert_eq!(lab.recorded().as_deref(), Some(wrong));
    seed.set_advertise_host("10.77.0.2");
    let (status, body) = seed.beat().unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("Detected change"), "{body}");
    assert_eq!(lab.recorded().as_deref(), Some(wrong));
}

#[test]
fn a_killed_test_leaves_nothing() {
    if !needs_root("a_killed_test_leaves_nothing") {
        return;
    }
    let arguments = ["--exact", "runs_until_it_is_killed", "--ignored", "--nocapture"];
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("it runs")), "the other test failed");
    let name = format!("ipa-sidecar-ipa-{}-0", test.id());
    let directory = std::env::temp_dir().join(&name);
    assert!(directory.exists());
    assert!(processes_with(&name) >= 2, "IPA and its guardian run");
    test.kill().unwrap();
    test.wait().unwrap();
    let limit = Duration::from_secs(10);
    eventually("no process is left", limit, || processes_with(&name) == 0);
    eventually("no file is left", limit, || !directory.exists());
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(&name));
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
    ipa.wait_log("Configuration:", FIRST).unwrap();
    println!("it runs");
    std::thread::sleep(Duration::from_secs(60));
    drop(ipa);
    panic!("nobody killed this");
}

/// How many processes have the text in their command line.
fn processes_with(text: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}
