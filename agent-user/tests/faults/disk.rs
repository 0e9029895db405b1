//! The drop-in on a disk that fails, and a directory that goes.

use std::fs;
use std::path::Path;

use super::*;

pub const TEMPORARY: &str = ".zz-ipa-sidecar.new";

/// Writes of the drop-in that failed.
const FAILED: &str = r#"dropin_writes_total{result="error"}"#;

/// The drop-in for an address, as a whole.
pub fn whole(address: &str) -> String {
    ipa_sidecar::inside::content(&callback_url::Host::parse(address).unwrap())
}

pub fn wait_whole(daemon: &Daemon, directory: &Path, address: &str) {
    let is_there = || (fs::read_to_string(directory.join(DROP_IN)).ok()? == whole(address)).then_some(());
    daemon.wait(&format!("the drop-in of {address}"), LATER, is_there).unwrap();
}

/// The system calls of a write, in their order, and the paths that they work on.
pub const STEPS: [(&str, &str); 5] = [
    ("openat", TEMPORARY),
    ("write", TEMPORARY),
    ("fsync", TEMPORARY),
    ("rename,renameat,renameat2", TEMPORARY),
    ("fsync", ""),
];

#[test]
fn an_error_at_every_step_of_the_write_is_reported_and_recovered_from() {
    root_test!("strace");
    for (step, (calls, name)) in STEPS.into_iter().enumerate() {
        let site = Site::new();
        let directory = Directory::new("error");
        let path = directory.file(name);
        let path = path.to_str().unwrap().trim_end_matches('/');
        let inject = format!("{calls}:error=EIO:when=1");
        let flags = ["--mode=configure", API_FLAG, &directory.config_dir()];
        let mut daemon = daemon_with_injected(&site, &inject, &[path], &flags);
        wait_counted(&daemon, FAILED, LATER);
        assert!(daemon.log().contains("Input/output error"), "{}", daemon.log());
        wait_whole(&daemon, directory.path(), FIRST);
        wait_until(&daemon, "ready", LATER, || ready(&daemon).0 == 200);
        assert_eq!(names(directory.path()), [DROP_IN], "step {step}");
        end_traced(&mut daemon);
    }
    seen(format!("EIO at each of {} steps: said, written at the next try", STEPS.len()));
}

#[test]
fn a_directory_that_vanishes_is_written_again_when_it_is_back() {
    root_test!();
    let site = Site::new();
    let parent = Directory::new("vanishes");
    let directory = parent.file("ipa.d");
    fs::create_dir(&directory).unwrap();
    let daemon = site.configure(&directory);
    wait_whole(&daemon, &directory, FIRST);
    fs::remove_dir_all(&directory).unwrap();
    // Nothing announces that: it is looked at again every 30 s.
    wait_until(&daemon, "that it is seen", LATER * 2, || ready(&daemon).0 == 503);
    assert_unready(&daemon, &["--ipa.config-dir"]);
    fs::create_dir(&directory).unwrap();
    wait_whole(&daemon, &directory, FIRST);
    seen("not ready while it is gone; written again once it is back");
}
