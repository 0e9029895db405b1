//! Mode configure: the drop-in on disk, what systemd gets and when, and every way in which the disk can fail.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

use crate::reach::{SILENT, two_ways, urls};

const CONFIGURE: &str = "--mode=configure";
const WRITTEN: &str = r#"dropin_writes_total{result="ok"}"#;
const FAILED: &str = r#"dropin_writes_total{result="error"}"#;

/// The value of `advertise_host` in the section `[DEFAULT]`; panics where the file holds anything else.
fn advertise_host(content: &str) -> String {
    let mut lines = content.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.next(), Some("[DEFAULT]"), "{content:?}");
    let value = lines
        .next()
        .and_then(|line| line.strip_prefix("advertise_host = "))
        .unwrap_or_else(|| panic!("{content:?}"));
    assert_eq!(lines.next(), None, "{content:?}");
    assert!(content.ends_with('\n'), "{content:?}");
    value.to_owned()
}

/// Waits until the drop-in gives this host, or is not there.
fn wait_host(daemon: &Daemon, directory: &Path, host: Option<&str>) {
    let is_so = || {
        let found = fs::read_to_string(directory.join(DROP_IN)).ok();
        (found.as_deref().map(advertise_host).as_deref() == host).then_some(())
    };
    daemon.wait(&format!("drop-in {host:?}"), SOON, is_so).unwrap();
}

fn wait_ready(daemon: &Daemon, status: u16, text: &str) {
    let is_so = || {
        let answer = daemon.get("/-/ready").ok()?;
        (answer.status == status && answer.text().contains(text)).then_some(())
    };
    daemon.wait(&format!("{status} {text:?}"), SOON, is_so).unwrap();
}

#[test]
fn the_drop_in_follows_the_address() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("follows");
    let mut daemon = site.configure(directory.path());
    wait_host(&daemon, directory.path(), Some(FIRST));
    wait_ready(&daemon, 200, FIRST);
    assert_eq!(names(directory.path()), [DROP_IN]);
    site.remove(FIRST);
    wait_host(&daemon, directory.path(), None);
    wait_ready(&daemon, 503, "no_route");
    assert!(names(directory.path()).is_empty());
    site.add(SECOND);
    wait_host(&daemon, directory.path(), Some(SECOND));
    assert_eq!(daemon.metric(WRITTEN).unwrap(), Some(3.0));
    assert_eq!(daemon.metric(FAILED).unwrap(), Some(0.0));
    let dropin = serde_json::json!({"state": "written", "address": SECOND, "error": null});
    assert_eq!(daemon.state().unwrap()["dropin"], dropin);
    assert_ends(&mut daemon, "written");
    // IPA is better off with it than without.
    assert_eq!(names(directory.path()), [DROP_IN]);
}

#[test]
fn ipv6_stands_there_without_brackets() {
    root_test!();
    let site = Site::bare();
    site.node.ip(&format!("addr add fd77::5/64 dev {DEVICE} nodad")).unwrap();
    let directory = Directory::new("ipv6");
    let api = "--ironic.api-url=http://[fd77::1]:6385";
    let daemon = site.daemon(&[CONFIGURE, api, &config_dir(directory.path())]);
    wait_host(&daemon, directory.path(), Some("fd77::5"));
    assert_eq!(daemon.state().unwrap()["callback_url"], "http://[fd77::5]:9999");
}

#[test]
fn what_an_earlier_run_left_is_replaced_or_removed() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("earlier");
    let flag = config_dir(directory.path());
    let old = "[DEFAULT]\nadvertise_host = 192.0.2.99\n";
    let leave = || {
        directory.write(DROP_IN, old);
        directory.write(".zz-ipa-sidecar.new", "[DEF");
        directory.write("10-site.conf", "[DEFAULT]\ndebug = true\n");
    };
    leave();
    let daemon = site.configure(directory.path());
    wait_host(&daemon, directory.path(), Some(FIRST));
    assert_eq!(names(directory.path()), ["10-site.conf", DROP_IN]);
    drop(daemon);

    leave();
    let daemon = site.daemon(&["--mode=observe", API_FLAG, &flag]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(fs::read_to_string(directory.file(DROP_IN)).unwrap(), old, "observe writes nothing");
    drop(daemon);

    site.remove(FIRST);
    let daemon = site.configure(directory.path());
    wait_host(&daemon, directory.path(), None);
    assert_eq!(names(directory.path()), ["10-site.conf"]);
}

/// What systemd would receive.
struct Systemd {
    socket: UnixDatagram,
    directory: Directory,
}

impl Systemd {
    fn new(name: &str) -> Self {
        let directory = Directory::new(name);
        let socket = UnixDatagram::bind(directory.file("notify")).unwrap();
        Self { socket, directory }
    }

    fn daemon(&self, site: &Site, cmdline: &str, flags: &[&str]) -> Daemon {
        self.directory.write("cmdline", cmdline);
        let socket = self.directory.file("notify");
        site.daemon_with(&self.directory.file("cmdline"), &[("NOTIFY_SOCKET", &socket)], flags)
    }

    /// Everything received until a datagram holds `wanted`, or until `limit`.
    fn until(&self, wanted: &str, limit: Duration) -> (bool, String) {
        let begun = Instant::now();
        let mut all = String::new();
        while let Some(left) = limit.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 4096];
            let Ok(length) = self.socket.recv(&mut buffer) else {
                break;
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            all.push_str(&text);
            all.push('\n');
            if text.lines().any(|line| line == wanted) {
                return (true, all);
            }
        }
        (false, all)
    }
}

#[test]
fn systemd_gets_ready_only_when_the_drop_in_is_on_disk() {
    root_test!();
    let site = Site::bare();
    let systemd = Systemd::new("notify");
    let directory = systemd.directory.file("ipa.d");
    let flag = config_dir(&directory);
    let mut daemon = systemd.daemon(&site, "", &[CONFIGURE, API_FLAG, &flag]);
    let (ready, text) = systemd.until("READY=1", Duration::from_secs(2));
    assert!(!ready, "no address: {text}");
    assert!(text.contains("EXTEND_TIMEOUT_USEC=30000000\n"), "{text}");
    assert!(text.contains("STATUS=no advertise address (no_route): "), "{text}");
    site.add(FIRST);
    let (ready, text) = systemd.until("READY=1", Duration::from_secs(2));
    assert!(!ready, "no directory: {text}");
    fs::create_dir(&directory).unwrap();
    let (ready, text) = systemd.until("READY=1", SOON);
    assert!(ready, "{text}\n{}", daemon.log());
    assert_eq!(advertise_host(&fs::read_to_string(directory.join(DROP_IN)).unwrap()), FIRST);
    assert!(text.contains("STATUS=advertise 10.77.0.5 on eth0.77"), "{text}");
    site.change(FIRST, SECOND);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    assert_ends(&mut daemon, "ready");
    let (stopping, text) = systemd.until("STOPPING=1", SOON);
    assert!(stopping && text.contains("STATUS=advertise 10.77.0.6"), "{text}");
    assert!(!text.contains("READY=1"), "once is enough: {text}");
}

/// Two ways to Ironic: IPA must not start with the one that is only routed.
#[test]
fn systemd_hears_ready_only_after_the_first_round_of_connects() {
    root_test!();
    let site = two_ways();
    let _ironic = site.ironic(node_with_mac());
    let systemd = Systemd::new("reach");
    let directory = systemd.directory.file("ipa.d");
    fs::create_dir(&directory).unwrap();
    let _daemon = systemd.daemon(&site, "", &[CONFIGURE, &urls(SILENT), &config_dir(&directory)]);
    let (ready, text) = systemd.until("READY=1", SOON);
    assert!(ready, "{text}");
    assert_eq!(advertise_host(&fs::read_to_string(directory.join(DROP_IN)).unwrap()), FIRST, "{text}");
}

/// Two ways to Ironic, and it answers by neither: IPA starts as without us, and the address comes with the first answer.
#[test]
fn before_ironic_answers_by_one_of_two_ways_there_is_no_drop_in() {
    root_test!();
    let site = two_ways();
    let systemd = Systemd::new("undecided");
    let directory = systemd.directory.path();
    systemd.directory.write(DROP_IN, "[DEFAULT]\nadvertise_host = 192.0.2.99\n");
    let daemon = systemd.daemon(&site, "", &[CONFIGURE, &urls(SILENT), &config_dir(directory)]);
    let (ready, text) = systemd.until("READY=1", SOON);
    assert!(ready, "{text}\n{}", daemon.log());
    assert!(!directory.join(DROP_IN).exists());
    wait_ready(&daemon, 503, "Ironic answers from none of them");
    let _ironic = site.ironic(node_with_mac());
    let written = |state: &serde_json::Value| state["dropin"]["address"] == FIRST;
    daemon.wait_state("the next round of connects", Duration::from_secs(45), written).unwrap();
    assert_eq!(advertise_host(&fs::read_to_string(directory.join(DROP_IN)).unwrap()), FIRST);
    wait_ready(&daemon, 200, "the drop-in says 10.77.0.5");
}

#[test]
fn an_ipa_that_makes_the_network_itself_does_not_wait_for_one() {
    root_test!();
    let site = Site::bare();
    let systemd = Systemd::new("vlan");
    let flag = config_dir(systemd.directory.path());
    let daemon = systemd.daemon(&site, "ipa-enable-vlan-interfaces=eth0.100", &[CONFIGURE, API_FLAG, &flag]);
    let (ready, text) = systemd.until("READY=1", SOON);
    assert!(ready, "{text}");
    daemon.wait_log("enable_vlan_interfaces", SOON).unwrap();
    site.add(FIRST);
    wait_host(&daemon, systemd.directory.path(), Some(FIRST));
    drop(daemon);
    // Another program makes it: what has an address may soon have a route.
    site.node.ip(&format!("route del 10.77.0.0/24 dev {DEVICE}")).unwrap();
    let _daemon = systemd.daemon(&site, "ipa-enable-vlan-interfaces=all", &[CONFIGURE, API_FLAG, &flag]);
    let (ready, text) = systemd.until("READY=1", Duration::from_secs(2));
    assert!(!ready, "{text}");
}

#[test]
fn systemd_waits_no_longer_than_the_extended_time() {
    root_test!();
    let site = Site::bare();
    let systemd = Systemd::new("wait");
    let flag = config_dir(systemd.directory.path());
    let begun = Instant::now();
    let daemon = systemd.daemon(&site, "", &[CONFIGURE, API_FLAG, &flag, "--advertise.wait=2"]);
    let (ready, text) = systemd.until("READY=1", SOON);
    assert!(ready, "{text}");
    assert!((2.0..4.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert!(!systemd.directory.file(DROP_IN).exists());
    daemon.wait_log("IPA starts as if ipa-sidecar were not there", SOON).unwrap();
    wait_ready(&daemon, 503, "no drop-in");
    site.add(FIRST);
    wait_host(&daemon, systemd.directory.path(), Some(FIRST));
}

#[test]
fn without_an_api_url_it_is_ready_at_once_and_says_why() {
    root_test!();
    let site = Site::new();
    let systemd = Systemd::new("mdns");
    let flag = config_dir(systemd.directory.path());
    for (cmdline, why) in [
        ("ipa-api-url=mdns ipa-advertise-port=none", "multicast DNS"),
        ("ipa-advertise-port=none", "no API URL was given"),
    ] {
        fs::write(systemd.directory.file(DROP_IN), "[DEFAULT]\nadvertise_host = 192.0.2.99\n").unwrap();
        let mut daemon = systemd.daemon(&site, cmdline, &[CONFIGURE, &flag]);
        let (ready, text) = systemd.until("READY=1", Duration::from_millis(1500));
        assert!(ready, "{cmdline}: {text}");
        wait_ready(&daemon, 503, why);
        let state = daemon.state().unwrap();
        assert_eq!(state["mode"], "configure");
        assert_eq!(state["acting_mode"], "observe");
        assert_eq!(state["address"], serde_json::Value::Null);
        assert!(!systemd.directory.file(DROP_IN).exists(), "nobody keeps it right now");
        assert_ends(&mut daemon, cmdline);
    }
}

#[test]
fn a_missing_directory_is_reported_and_waited_for() {
    root_test!();
    let site = Site::new();
    let parent = Directory::new("missing");
    let directory = parent.file("ipa.d");
    let daemon = site.configure(&directory);
    wait_ready(&daemon, 503, "--ipa.config-dir");
    assert!(ready(&daemon).1.contains(directory.to_str().unwrap()));
    wait_until(&daemon, "a second try", SOON, || metric(&daemon, FAILED) >= 2.0);
    let said = daemon.log().matches("could not write IPA's drop-in").count();
    assert_eq!(said, 1, "the journal of a ramdisk is small");
    fs::create_dir(&directory).unwrap();
    wait_host(&daemon, &directory, Some(FIRST));
    wait_ready(&daemon, 200, FIRST);
}

/// A daemon whose configuration directory is a small file system of its own, after a `prepare` in it.
fn on_small_disk(site: &Site, directory: &Path, prepare: &str) -> (Daemon, std::path::PathBuf) {
    let place = directory.display();
    let script = format!("mount -t tmpfs -o size=4k,mode=755 tmpfs {place}; {prepare}; exec \"$@\"");
    let daemon = site.daemon_after(&script, &[CONFIGURE, API_FLAG, &config_dir(directory)]);
    let inside = format!("/proc/{}/root{place}", daemon.pid());
    (daemon, inside.into())
}

#[test]
fn a_read_only_directory_is_reported_and_recovered_from() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("read-only");
    let place = directory.path().display();
    let (daemon, inside) = on_small_disk(&site, directory.path(), &format!("mount -o remount,ro {place}"));
    wait_ready(&daemon, 503, "must be writable");
    let remount = Command::new("nsenter")
        .arg(format!("--mount=/proc/{}/ns/mnt", daemon.pid()))
        .args(["--", "mount", "-o", "remount,rw"])
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(remount.success());
    wait_host(&daemon, &inside, Some(FIRST));
    wait_ready(&daemon, 200, FIRST);
}

#[test]
fn a_full_disk_is_reported_and_recovered_from() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("full");
    let fill = format!("head -c 4096 /dev/zero > {}/filler", directory.path().display());
    let (daemon, inside) = on_small_disk(&site, directory.path(), &fill);
    wait_ready(&daemon, 503, "make room");
    assert_eq!(names(&inside), ["filler"], "nothing half-written stays");
    fs::remove_file(inside.join("filler")).unwrap();
    wait_host(&daemon, &inside, Some(FIRST));
    wait_ready(&daemon, 200, FIRST);
}

#[test]
fn whenever_it_is_killed_the_drop_in_is_whole_or_absent() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("killed");
    // From the start, and from a change of the address, to the kill. A round that finds no drop-in makes the
    // wait longer, one that finds it makes it shorter: the kills gather around the write, however slow it is.
    let mut waits = [Duration::from_millis(20), Duration::from_millis(5)];
    let mut seen = 0;
    let mut now = (FIRST, SECOND);
    for round in 0..40 {
        fs::remove_file(directory.file(DROP_IN)).or_else(absent).unwrap();
        let daemon = site.configure(directory.path());
        let wait = &mut waits[round % 2];
        if round % 2 == 1 {
            wait_host(&daemon, directory.path(), Some(now.0));
            site.change(now.0, now.1);
            now = (now.1, now.0);
        }
        std::thread::sleep(*wait);
        drop(daemon); // SIGKILL
        match fs::read_to_string(directory.file(DROP_IN)) {
            Ok(content) => {
                let host = advertise_host(&content);
                assert!([FIRST, SECOND].contains(&host.as_str()), "round {round}: {host}");
                seen += 1;
                *wait = *wait * 4 / 5;
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "round {round}");
                *wait = *wait * 3 / 2;
            }
        }
    }
    assert!((1..40).contains(&seen), "{seen} of 40 rounds came as far as a drop-in");
    let daemon = site.configure(directory.path());
    wait_host(&daemon, directory.path(), Some(now.0));
    assert_eq!(names(directory.path()), [DROP_IN]);
}

#[test]
fn systemd_hears_that_it_lives() {
    root_test!();
    let (site, systemd) = (Site::new(), Systemd::new("watchdog"));
    let variables = [("NOTIFY_SOCKET", systemd.directory.file("notify")), ("WATCHDOG_USEC", "400000".into())];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_path()));
    let mut daemon = site.daemon_with(Path::new("/dev/null"), &variables, &[API_FLAG]);
    for _ in 0..3 {
        let (heard, all) = systemd.until("WATCHDOG=1", SOON);
        assert!(heard, "{all}");
    }
    assert_ends(&mut daemon, "watched");
}

#[test]
fn the_console_gets_one_line_for_each_decision_and_nothing_else() {
    root_test!();
    let site = Site::new();
    let mut command = site.node.command(binary());
    command.args(Daemon::words(&[API_FLAG])).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().map(Result::unwrap);
    let line = |address: &str| {
        Some(format!(
            "ipa-sidecar: mode observe: advertise {address} on {DEVICE}, the source of the route to http://{API}"
        ))
    };
    assert_eq!(next(), line(FIRST));
    site.add(SECOND);
    site.remove(FIRST);
    assert_eq!(next(), line(SECOND));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(next(), None);
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// This machine's own /etc stays as it is: the daemon gets an empty one in a mount namespace of its own.
const OWN_ETC: &str = "mount -t tmpfs tmpfs /etc";

#[test]
fn a_rescued_machine_is_left_alone() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(testbed::stand_in::Behaviour::default());
    let directory = Directory::new("rescued");
    let flag = config_dir(directory.path());
    let script = format!("{OWN_ETC}; exec \"$@\"");
    let mut daemon = site.daemon_after(&script, &[CONFIGURE, API_FLAG, &flag]);
    wait_host(&daemon, directory.path(), Some(FIRST));
    fs::write(format!("/proc/{}/root/etc/.rescued", daemon.pid()), "").unwrap();
    let status = daemon.ended(Duration::from_secs(2)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert!(names(directory.path()).is_empty());

    let mut daemon = site.daemon_after(&script, &["--mode=agent", API_FLAG, WITHOUT_LISTENER]);
    wait_beats(&daemon, &ironic, 1, SOON);
    fs::write(format!("/proc/{}/root/etc/.rescued", daemon.pid()), "").unwrap();
    assert_eq!(daemon.ended(Duration::from_secs(2)).unwrap().code(), Some(0), "{}", daemon.log());

    // It was there before: nothing is written and nothing is sent.
    let connections = ironic.connections();
    let script = format!("{OWN_ETC}; touch /etc/.rescued; exec \"$@\"");
    let old = "[DEFAULT]\nadvertise_host = 192.0.2.99\n";
    directory.write(DROP_IN, old);
    for mode in [CONFIGURE, "--mode=agent"] {
        let mut daemon = site.daemon_after(&script, &[mode, API_FLAG, &flag]);
        assert_eq!(daemon.ended(Duration::from_secs(2)).unwrap().code(), Some(0), "{}", daemon.log());
        assert!(names(directory.path()).is_empty(), "{mode}");
    }
    assert_eq!(ironic.connections(), connections);
    assert!(!Path::new("/etc/.rescued").exists());
}
