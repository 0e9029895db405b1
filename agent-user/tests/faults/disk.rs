//! The drop-in on a disk that fails, and a directory that goes.

use std::fs;
use std::path::Path;

use testbed::needs_root;

use super::*;

pub const NAME: &str = "zz-ipa-sidecar.conf";
pub const TEMPORARY: &str = ".zz-ipa-sidecar.new";
pub const CONFIGURE: &str = "--mode=configure";

pub fn config_dir(directory: &Path) -> String {
    format!("--ipa.config-dir={}", directory.display())
}

/// The drop-in for an address, as a whole.
pub fn whole(address: &str) -> String {
    agent_user::ipa::dropin::content(&callback_url::Host::parse(address).unwrap(), &[])
}

pub fn wait_drop_in(daemon: &Daemon, directory: &Path, address: &str) {
    let is_there = || (fs::read_to_string(directory.join(NAME)).ok()? == whole(address)).then_some(());
    daemon.wait(&format!("the drop-in of {address}"), LATER, is_there).unwrap();
}

pub fn names(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
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
fn an_error_at_every_step_of_the_write_is_said_and_recovered_from() {
    if !needs_root("an_error_at_every_step_of_the_write") || !has_strace() {
        return;
    }
    for (step, (calls, name)) in STEPS.into_iter().enumerate() {
        let site = Site::new();
        let directory = Directory::new(&format!("error-{step}"));
        let path = directory.file(name);
        let path = path.to_str().unwrap().trim_end_matches('/');
        let inject = format!("{calls}:error=EIO:when=1");
        let flags = [CONFIGURE, API_FLAG, &config_dir(directory.path())];
        let mut daemon = daemon_with_injected(&site, &inject, &[path], &flags);
        daemon.wait_log("IPA's drop-in is not as it should be", LATER).unwrap();
        assert!(daemon.log().contains("Input/output error"), "{}", daemon.log());
        wait_drop_in(&daemon, directory.path(), FIRST);
        daemon.wait("ready", LATER, || (ready(&daemon).0 == 200).then_some(())).unwrap();
        assert_eq!(names(directory.path()), [NAME], "step {step}");
        end_traced(&mut daemon);
    }
    seen(format!("EIO at each of {} steps: said, written at the next try", STEPS.len()));
}

#[test]
fn a_directory_that_vanishes_is_written_again_when_it_is_back() {
    if !needs_root("a_directory_that_vanishes") {
        return;
    }
    let site = Site::new();
    let parent = Directory::new("vanishes");
    let directory = parent.file("ipa.d");
    fs::create_dir(&directory).unwrap();
    let daemon = site.daemon(&[CONFIGURE, API_FLAG, &config_dir(&directory)]);
    wait_drop_in(&daemon, &directory, FIRST);
    fs::remove_dir_all(&directory).unwrap();
    // Nothing announces that: it is looked at again every 30 s.
    daemon.wait("that it is seen", LATER * 2, || (ready(&daemon).0 == 503).then_some(())).unwrap();
    assert!(ready(&daemon).1.contains("--ipa.config-dir"), "{}", ready(&daemon).1);
    fs::create_dir(&directory).unwrap();
    wait_drop_in(&daemon, &directory, FIRST);
    seen("not ready while it is gone; written again once it is back");
}
