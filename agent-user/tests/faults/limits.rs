//! Resource limits: descriptors, threads, address space, core dumps.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, prlimit};

use super::*;

/// A user that runs nothing else here.
const NOBODY_ELSE: &str = "61234";

/// Changes the limit that counts, and leaves what it may be raised to: our own, which the daemon has inherited.
fn limit_descriptors(daemon: &Daemon, count: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(pid(daemon)), Resource::Nofile, Rlimit { current: Some(count), maximum }).unwrap();
}

/// As a user without privileges whose processes are counted; the binary is opened before, since that user may not be
/// allowed into its directory.
fn as_nobody_else(site: &Site, prlimit: &str) -> Daemon {
    let script = format!(
        "exec 9<\"$1\"; shift; exec prlimit {prlimit} setpriv --reuid={NOBODY_ELSE} --regid={NOBODY_ELSE} --clear-groups \
         --pdeathsig KILL /proc/self/fd/9 \"$@\""
    );
    let mut command = site.node.command("sh");
    command.args(["-c", &script, "sh", binary()]);
    command.args(Daemon::words(&["--cmdline.path=/proc/sys/kernel/ostype", API_FLAG]));
    Daemon::from_command(command, &site.node).unwrap()
}

#[test]
fn too_few_descriptors_at_the_start_are_reported() {
    root_test!();
    let site = Site::new();
    let mut ends = Vec::new();
    for count in [5, 8, 11] {
        let mut daemon = site.daemon_under(&["prlimit", &format!("--nofile={count}")], &[API_FLAG]);
        let status = daemon.ended(SOON).unwrap();
        let log = daemon.log();
        assert!(!log.contains("panicked"), "{count}: {log}");
        assert!(matches!(status.code(), Some(69 | 70)), "{count}: {status} {log}");
        let last = log.lines().last().unwrap_or_default().to_owned();
        assert_names(&last, &["ipa-sidecar: ", "Too many open files"]);
        ends.push(format!("{count}: exit {}", status.code().unwrap()));
    }
    seen(ends.join(", "));
}

#[test]
fn without_a_descriptor_left_it_decides_on_and_serves_again_later() {
    root_test!();
    let (site, daemon) = Site::observed();
    limit_descriptors(&daemon, 3);
    // It waits in the kernel's queue: taking it needs a descriptor.
    let waits = site.node.enter(|| std::net::TcpStream::connect(WEB).unwrap()).unwrap();
    daemon.wait_log("could not accept a connection", SOON).unwrap();
    site.change(FIRST, SECOND);
    daemon.wait_log(&format!("callback_url=\"{SECOND_URL}\""), SOON).unwrap(); // No page is served.
    limit_descriptors(&daemon, 1024);
    drop(waits);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    seen("the change was followed meanwhile; pages are served again");
}

#[test]
fn without_a_thread_to_be_had_it_says_so_or_goes_on() {
    root_test!();
    let site = Site::new();
    let mut daemon = as_nobody_else(&site, "--nproc=1");
    let status = daemon.ended(SOON).unwrap();
    let log = daemon.log();
    assert!(matches!(status.code(), Some(69 | 70)) && !log.contains("panicked"), "{status} {log}");
    assert_names(&log, &["thread", "Resource temporarily unavailable"]);

    if !testbed::have_program("strace") {
        return;
    }
    // Later there is none to be had by anybody, as with TasksMax: from the seventh on, after the one that is tried at the
    // start, those that load the probes and sight's, the child that tries a return probe, the watch's, and one for other
    // questions.
    let mut daemon = daemon_with_injected(&site, "clone,clone3:error=EAGAIN:when=7+", &[], &[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    // Longer than an idle thread of the runtime would be kept otherwise.
    std::thread::sleep(Duration::from_secs(12));
    follows_a_change(&site, &daemon);
    end_traced(&mut daemon);
    seen(format!("at the start: exit {}; later: every change followed", status.code().unwrap()));
}

#[test]
fn little_address_space_is_enough() {
    root_test!();
    const MIB: u64 = 512;
    let site = Site::new();
    let mut daemon = site.daemon_under(&["prlimit", &format!("--as={}", MIB << 20)], &[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    follows_a_change(&site, &daemon);
    assert_eq!(daemon.get("/metrics").unwrap().status, 200);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmPeak")).unwrap();
    seen(format!("works in {MIB} MiB: {}, resident {} KiB", peak.replace('\t', " "), resident(daemon.pid())));
    assert_ends(&mut daemon, "little address space");
}

/// The token is in its memory. What the kernel did is in the status of the end, whatever `core_pattern` says.
#[test]
fn no_core_is_dumped() {
    root_test!();
    let directory = Directory::new("core");
    let unlimited = |program: &str| {
        let mut command = std::process::Command::new("prlimit");
        command.args(["--core=unlimited", program]).current_dir(directory.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let mut control = unlimited("sleep").arg("100").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let abort =
        |id: u32| kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), Signal::ABORT).unwrap();
    abort(control.id());
    let dumped = control.wait().unwrap().core_dumped();
    if !dumped {
        eprintln!("this machine dumps no core of other programs either");
    }
    let site = Site::new();
    let started = Instant::now();
    let mut command = site.node.command("prlimit");
    command.args(["--core=unlimited", binary()]).args(Daemon::words(&[API_FLAG]));
    command.current_dir(directory.path());
    let mut daemon = Daemon::from_command(command, &site.node).unwrap();
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    abort(daemon.pid());
    let status = daemon.ended(SOON).unwrap();
    assert_eq!(status.signal(), Some(6), "{status} after {:?}", started.elapsed());
    assert!(!status.core_dumped(), "{status}");
    seen(format!("control dumped: {dumped}; the daemon: {status}"));
}
