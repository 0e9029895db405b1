//! The token in the daemon's memory: the copies that it needs, and none that a heartbeat leaves behind.

use std::io::{Read, Seek, SeekFrom};

use super::*;

/// How often the bytes stand in the writable memory of a process.
fn copies(process: u32, wanted: &[u8]) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = 0;
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut bytes).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    found
}

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
        seen_copies.push(copies(daemon.pid(), TOKEN.as_bytes()));
    }
    // The parameter, the agent's, and that of its session with Ironic.
    assert_eq!(seen_copies, [3; 3]);
    seen(format!("copies after each of three heartbeats: {seen_copies:?}"));
}
