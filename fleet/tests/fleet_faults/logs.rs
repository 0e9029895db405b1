//! `explain-log` as a program: streams, exit codes, memory.

use std::io::Write;
use std::process::Stdio;

use testbed::site::Directory;

use crate::fake::{Run, TOKEN, command, fleet};

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/conductor.log");

fn with_input(write: impl FnOnce(&mut dyn Write) + Send + 'static) -> (Run, u64) {
    let mut child = command(&["explain-log", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (id, mut input) = (child.id(), child.stdin.take().unwrap());
    let writer = std::thread::spawn(move || {
        write(&mut input);
        // Before its end: afterwards there is nothing to look at.
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().to_owned();
        line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default()
    });
    let output = child.wait_with_output().unwrap();
    (output.into(), writer.join().unwrap())
}

#[test]
fn the_first_report_is_one_node_one_url_and_one_cause() {
    let run = fleet(&["explain-log", LOG]);
    println!("{}", run.out);
    assert_eq!(run.code, Some(1), "{}", run.err);
    for words in
        ["f80db967-a8d4-4a05-9443-41b0855f1ec3", "percent_encoded_host", "One cause", "172.25.134.128:9999"]
    {
        assert!(run.out.contains(words), "{words}: {}", run.out);
    }
    let input = std::fs::read(LOG).unwrap();
    let (piped, _) = with_input(move |out| out.write_all(&input).unwrap());
    assert_eq!(piped.out, run.out);
}

#[test]
fn exit_codes_tell_nothing_found_from_nothing_read() {
    let directory = Directory::new("fleet-log");
    directory.write("quiet.log", "2026-01-02 03:04:05.678 1 INFO ironic all is well\n");
    let quiet = directory.file("quiet.log");
    assert_eq!(fleet(&["explain-log", quiet.to_str().unwrap()]).code, Some(0));
    for path in ["/nowhere/conductor.log", directory.path().to_str().unwrap()] {
        let run = fleet(&["explain-log", path]);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{}", run.err);
        assert!(run.err.contains(path), "{}", run.err);
    }
}

#[test]
fn a_large_log_is_streamed() {
    const MEBIBYTES: usize = 64;
    let (run, peak) = with_input(|out| {
        let line =
            format!("2026-01-02 03:04:05.678 1 DEBUG ironic {} agent_token={TOKEN}\n", "x".repeat(200));
        let block = line.repeat((1 << 20) / line.len());
        for _ in 0..MEBIBYTES {
            out.write_all(block.as_bytes()).unwrap();
        }
        // A line without an end, binary, and then what counts.
        out.write_all(&vec![0xfe; 8 << 20]).unwrap();
        out.write_all(b"\n").unwrap();
        out.write_all(&std::fs::read(LOG).unwrap()).unwrap();
        out.write_all(block.as_bytes()).unwrap();
    });
    println!("{MEBIBYTES} MiB: at most {peak} KiB resident");
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.out.contains("percent_encoded_host") && !run.out.contains(TOKEN), "{}", run.out);
    assert!(peak > 0 && peak < 32 << 10, "{peak} KiB");
}

#[test]
fn a_closed_pipe_changes_no_exit_code() {
    let mut child = command(&["explain-log", LOG]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1), "what was found, not that all is well");
}
