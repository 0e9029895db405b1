//! The token in the daemon's memory: the copies that it needs, and none that a heartbeat leaves behind.

use super::*;

#[test]
fn a_heartbeat_leaves_no_copy_of_the_token_behind() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(testbed::stand_in::Behaviour { heartbeat_timeout: 10, ..pregenerated() });
    let directory = Directory::new("memory");
    let token = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    let daemon = site.agent(&[WITHOUT_LISTENER, &token]);
    let mut seen_copies = Vec::new();
    for count in [1, 2, 3] {
        wait_beats(&daemon, &ironic, count, LATER);
        std::thread::sleep(Duration::from_millis(500));
        seen_copies.push(copies_in_memory(daemon.pid(), TOKEN.as_bytes()));
    }
    // The parameter, the agent's, and that of its session with Ironic.
    assert_eq!(seen_copies, [3; 3]);
    seen(format!("copies after each of three heartbeats: {seen_copies:?}"));
}
