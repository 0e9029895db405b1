//! A wall clock that jumps, as when NTP first hears of the time: by libfaketime, which changes what the process sees,
//! not this machine's clock. CLOCK_MONOTONIC goes on as it is.

use std::path::PathBuf;
use std::time::Instant;

use super::*;

/// libfaketime, as Debian installs it.
fn libfaketime() -> Option<PathBuf> {
    let candidates = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = candidates
        .map(|directory| directory.path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file());
    testbed::have("libfaketime", found.is_some());
    found
}

#[test]
fn heartbeats_and_decisions_go_on_when_the_wall_clock_jumps() {
    root_test!();
    let Some(library) = libfaketime() else { return };
    let site = Site::new();
    let ironic = site.ironic(fast());
    let directory = Directory::new("clock");
    let offset = directory.file("offset");
    std::fs::write(&offset, "+0\n").unwrap();
    let mut command = site.node.command(binary());
    command
        .args(Daemon::words(&["--mode=agent", API_FLAG, WITHOUT_LISTENER]))
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &offset)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let daemon = Daemon::from_command(command, &site.node).unwrap();
    wait_beats(&daemon, &ironic, 1, SOON);
    let last = || daemon.metric("heartbeat_last_accepted_timestamp_seconds").unwrap().unwrap();
    let before = last();
    let mut gaps = Vec::new();
    for (jump, years) in [("+3650d", 10.0), ("-3650d", -10.0), ("+0", 0.0)] {
        std::fs::write(&offset, format!("{jump}\n")).unwrap();
        let (count, jumped) = (beats(&ironic).len(), Instant::now());
        wait_beats(&daemon, &ironic, count + 1, LATER);
        gaps.push(jumped.elapsed().as_secs_f64());
        // The jump was one: what it shows as the time of the heartbeat is on the other clock.
        let years_off = (last() - before) / 86_400.0 / 365.0;
        assert!((years_off - years).abs() < 0.1, "{jump}: {years_off} years");
        assert!(daemon.log().lines().count() < 500, "no storm of work: {}", daemon.log());
    }
    follows_a_change(&site, &daemon);
    seen(format!("the next heartbeats {:.1}, {:.1} and {:.1} s after the jumps", gaps[0], gaps[1], gaps[2]));
}
