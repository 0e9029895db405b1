//! `ipa-sidecar status`: a running daemon, none, one that was killed, one that may not write, and clients that hold on.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// What a command has printed.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

fn command(site: &Site, words: &[&str]) -> std::process::Command {
    let mut command = site.node.command(binary());
    command.arg("status").args(words).env("RUNTIME_DIRECTORY", site.node.runtime_directory().unwrap());
    command
}

/// Runs `ipa-sidecar status` on the node.
pub fn status(site: &Site, words: &[&str]) -> Run {
    let output = command(site, words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn socket(site: &Site) -> PathBuf {
    site.node.runtime_directory().unwrap().join("status.sock")
}

fn wait_socket(daemon: &Daemon, site: &Site) {
    wait_until(daemon, "the socket", SOON, || UnixStream::connect(socket(site)).is_ok());
}

/// The words of a text, however its lines are cut.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn it_says_what_the_page_says() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("status");
    let daemon = site.configure(directory.path());
    wait_drop_in(&daemon, FIRST, SOON);
    let ready = status(&site, &[]);
    assert_eq!((ready.code, ready.err.as_str()), (Some(0), ""), "{}", ready.out);
    assert!(ready.out.starts_with("  Ready: the drop-in says 10.77.0.5\n"), "{}", ready.out);
    let page = daemon.get("/").unwrap().text();
    for sentence in [
        "Decision: advertise 10.77.0.5 on eth0.77, the source of the route to http://10.77.0.1:6385",
        "Which address, and why",
        "It does not answer on this machine.",
        "Its configuration drop-in makes it advertise 10.77.0.5.",
        "No heartbeat seen.",
        "eBPF probes",
    ] {
        assert!(words(&ready.out).contains(sentence) && page.contains(sentence), "{sentence}: {}", ready.out);
    }
    assert!(ready.out.lines().all(|line| line.chars().count() <= 80), "{}", ready.out);
    let mode = socket(&site).metadata().unwrap();
    assert!(mode.file_type().is_socket() && mode.mode() & 0o777 == 0o600, "{mode:?}");

    site.remove(FIRST);
    wait_until(&daemon, "not ready", SOON, || status(&site, &[]).code == Some(1));
    let not_ready = status(&site, &[]);
    assert!(
        not_ready.out.starts_with("! Not ready: no drop-in: no advertise address (no_route)"),
        "{}",
        not_ready.out
    );
    let json = status(&site, &["--json"]);
    assert_eq!(json.code, Some(1));
    let state: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&state["ready"], &state["reason"]), (&false.into(), &"no_route".into()));
}

#[test]
fn without_a_daemon_it_says_where_it_asked_and_what_to_do() {
    root_test!();
    let site = Site::new();
    let none = status(&site, &[]);
    assert_eq!((none.code, none.out.as_str()), (Some(69), ""));
    let path = socket(&site).display().to_string();
    assert_names(&none.err, &["no daemon: there is no socket", &path, "systemctl restart ipa-sidecar"]);
    assert_eq!(status(&site, &["--watch"]).code, Some(69));
    assert_eq!(status(&site, &["--nonsense"]).code, Some(64));

    // A daemon that is killed leaves its socket, and the next one replaces it.
    let mut daemon = site.daemon(&[API_FLAG]);
    wait_socket(&daemon, &site);
    signal(&daemon, Signal::KILL);
    daemon.ended(SOON).unwrap();
    let stale = status(&site, &[]);
    assert_eq!(stale.code, Some(69));
    assert_names(&stale.err, &["a killed daemon left behind", &path, "systemctl restart ipa-sidecar"]);
    let mut daemon = site.daemon(&[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_eq!(status(&site, &[]).code, Some(0));

    // One that ends takes it along.
    assert_ends(&mut daemon, "asked");
    assert!(!socket(&site).exists());
}

/// It has no directory to write to, or one that is its own.
#[test]
fn an_unprivileged_daemon_works_without_a_socket_and_says_so_once() {
    root_test!();
    let site = Site::new();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"];
    // The binary may lie where nobody else may go.
    let copies = Directory::new("status-copy");
    let copy = copies.file("ipa-sidecar");
    std::fs::copy(binary(), &copy).unwrap();
    let start = || {
        let mut command = site.node.command(nobody[0]);
        command.args(&nobody[1..]).arg(&copy).args(Daemon::words(&[API_FLAG]));
        Daemon::from_command(command, &site.node).unwrap()
    };
    let daemon = start();
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_eq!(daemon.log().matches("could not create its socket").count(), 1, "{}", daemon.log());
    assert_eq!(status(&site, &[]).code, Some(69));
    drop(daemon);

    std::os::unix::fs::chown(site.node.runtime_directory().unwrap(), Some(65534), None).unwrap();
    let daemon = start();
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_eq!(status(&site, &[]).code, Some(0), "root may ask: {}", daemon.log());
    let mut own = site.node.command(nobody[0]);
    own.args(&nobody[1..]).arg(&copy).arg("status");
    own.env("RUNTIME_DIRECTORY", site.node.runtime_directory().unwrap());
    assert_eq!(own.output().unwrap().status.code(), Some(0), "so may its own user");
    let mut other = site.node.command("setpriv");
    other.args(["--reuid=65533", "--regid=65533", "--clear-groups", "--"]).arg(&copy).arg("status");
    other.env("RUNTIME_DIRECTORY", site.node.runtime_directory().unwrap());
    let other = other.output().unwrap();
    assert_eq!(other.status.code(), Some(69));
    assert_names(String::from_utf8_lossy(&other.stderr), &["run this as root"]);
}

#[test]
fn clients_that_hold_on_or_ask_nonsense_do_not_hold_the_daemon() {
    root_test!();
    let (site, daemon) = Site::observed();
    let connect = || UnixStream::connect(socket(&site)).unwrap();
    let held: Vec<_> = (0..20).map(|_| connect()).collect();
    assert_eq!(daemon.get("/-/ready").unwrap().status, 200, "the pages do not wait for them");
    // The eight that are served end after their time, and whoever waits is served then.
    wait_until(&daemon, "an answer", LATER, || status(&site, &[]).code == Some(0));
    drop(held);
    for question in
        ["\n", "no question\n", "more than the longest question there is, without an end", "\0\u{1b}\n"]
    {
        let mut stream = connect();
        let _ = stream.write_all(question.as_bytes());
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert_eq!(answer, "", "{question:?}");
    }
    drop((connect(), connect()));
    assert_eq!(status(&site, &[]).code, Some(0));
}

/// The text of another user, a device's name here, is no command to the terminal.
#[test]
fn foreign_text_is_written_out() {
    root_test!();
    let site = Site::new();
    let hostile = "ipa-advertise-protocol=\u{1b}[2Jx\u{202e}";
    let cmdline = site.directory.flag("--cmdline.path", "cmdline", hostile);
    let daemon = site.daemon(&[API_FLAG, &cmdline]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    let run = status(&site, &[]);
    assert_names(&run.out, &["Problems", "\\u{1b}[2Jx\\u{202e}"]);
    assert!(!run.out.contains(['\u{1b}', '\u{202e}']), "{}", run.out);
}

#[test]
fn watch_asks_again_and_goes_on_while_the_daemon_is_away() {
    root_test!();
    let (site, mut daemon) = Site::observed();
    let mut watching = command(&site, &["--watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut until = |wanted: &str| lines.any(|line| line.contains(wanted));
    assert!(until("Watching:") && until("Watching:"));
    assert_ends(&mut daemon, "watched");
    assert!(until("no daemon: there is no socket"));
    let daemon = site.daemon(&[API_FLAG]);
    assert!(until("Watching:"));
    drop(daemon);
    watching.kill().unwrap();
    watching.wait().unwrap();
}
