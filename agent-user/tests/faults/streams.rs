//! Standard output and error that are closed, full, or that nobody reads.

use super::*;

fn works_with(redirection: &str) {
    root_test!();
    let site = Site::new();
    let script = format!("exec \"$@\" {redirection}");
    let mut daemon = site.daemon_under(&["sh", "-c", &script, "sh"], &[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    follows_a_change(&site, &daemon);
    assert_eq!(daemon.get("/").unwrap().status, 200);
    assert_eq!(daemon.log(), "", "nothing of the log went elsewhere");
    for descriptor in [1, 2] {
        let path = format!("/proc/{}/fd/{descriptor}", daemon.pid());
        let behind = std::fs::read_link(&path).unwrap();
        assert!(behind.starts_with("/dev/"), "{path} is {}: the log goes into it", behind.display());
    }
    assert_ends(&mut daemon, redirection);
    seen("works, ends with 0");
}

#[test]
fn closed() {
    works_with(">&- 2>&-");
}

#[test]
fn on_a_full_disk() {
    works_with(">/dev/full 2>/dev/full");
}
