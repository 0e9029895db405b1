//! Signals, also at the worst moment.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use super::disk::{STEPS, TEMPORARY, wait_whole, whole};
use super::*;

#[test]
fn term_int_and_hup_end_it_well_and_soon() {
    root_test!();
    for which in [Signal::TERM, Signal::INT, Signal::HUP] {
        let site = Site::new();
        let directory = Directory::new("signals");
        let mut daemon = site.configure(directory.path());
        wait_whole(&daemon, directory.path(), FIRST);
        let started = Instant::now();
        signal(&daemon, which);
        let status = daemon.ended(SOON).unwrap();
        assert_eq!(status.code(), Some(0), "{which:?}: {status} {}", daemon.log());
        assert!(started.elapsed() < Duration::from_secs(2), "{which:?}: {:?}", started.elapsed());
        assert_eq!(names(directory.path()), [DROP_IN], "IPA goes on with the right address");
        seen(format!("{which:?}: exit 0 after {} ms", started.elapsed().as_millis()));
    }
}

#[test]
fn a_broken_pipe_and_a_long_stop_are_nothing() {
    root_test!();
    let (site, daemon) = Site::observed();
    signal(&daemon, Signal::PIPE);
    follows_a_change(&site, &daemon);
    signal(&daemon, Signal::STOP);
    site.remove(FIRST);
    for n in 0..200 {
        site.node.ip(&format!("route replace 198.51.100.{n}/32 via 10.77.0.1 dev {DEVICE} onlink")).unwrap();
    }
    site.add(SECOND);
    std::thread::sleep(Duration::from_secs(2));
    signal(&daemon, Signal::CONT);
    let started = Instant::now();
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    seen(format!("SIGPIPE ignored; right {} ms after SIGCONT", started.elapsed().as_millis()));
}

#[test]
fn killed_at_every_step_of_the_write_the_drop_in_is_whole_or_absent() {
    root_test!("strace");
    let mut outcomes = Vec::new();
    for before in [None, Some(SECOND)] {
        for (step, (calls, name)) in STEPS.into_iter().enumerate() {
            let site = Site::new();
            let directory = Directory::new("killed");
            if let Some(address) = before {
                directory.write(DROP_IN, whole(address));
            }
            let path = directory.file(name);
            let path = path.to_str().unwrap().trim_end_matches('/');
            let inject = format!("{calls}:signal=KILL:when=1");
            let flags = ["--mode=configure", API_FLAG, &directory.config_dir()];
            let mut daemon = daemon_with_injected(&site, &inject, &[path], &flags);
            // strace ends as what it has traced.
            assert_eq!(daemon.ended(LATER).unwrap().signal(), Some(9), "step {step}: {}", daemon.log());
            let found = fs::read_to_string(directory.file(DROP_IN)).ok();
            let renamed = step + 1 == STEPS.len();
            let expected = if renamed { Some(FIRST) } else { before };
            assert_eq!(found, expected.map(whole), "step {step} after {before:?}");
            outcomes.push(found.map_or("absent", |_| "whole"));
            // What lies about is cleared away by the next one.
            let lies = step > 0 && !renamed;
            assert_eq!(directory.file(TEMPORARY).exists(), lies, "step {step}");
            let daemon = site.daemon(&flags);
            wait_whole(&daemon, directory.path(), FIRST);
            assert_eq!(names(directory.path()), [DROP_IN], "step {step}");
        }
    }
    seen(format!("{} kills: {}", outcomes.len(), outcomes.join(", ")));
}
