//! The script for an initramfs without systemd, with a program in the daemon's place.

use std::process::{Command, Output};

use testbed::root_test;
use testbed::site::Directory;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ramdisk/initramfs/ipa-sidecar");

/// Runs these lines with a /run of their own; `$s` is the script, and `$b` the program that stands for the daemon.
fn run(name: &str, program: &str, lines: &str) -> Output {
    let directory = Directory::new(name);
    directory.write("daemon", format!("#!/bin/sh\n{program}\n"));
    let start = "mount -t tmpfs tmpfs /run; chmod +x \"$b\"; export IPA_SIDECAR_BINARY=\"$b\"; \
                 export IPA_SIDECAR_IPA_CONFIG_DIR=/run/x; set +e; ";
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &format!("{start}{lines}")])
        .env("s", SCRIPT)
        .env("b", directory.file("daemon"))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{out}{err}")
}

#[test]
fn stopped_in_the_pause_between_two_starts_it_does_not_start_again() {
    root_test!();
    let program = "echo started >>/run/starts; exit 3";
    let lines = "sh \"$s\" start; sleep 1; sh \"$s\" stop; sleep 3; wc -l </run/starts; ls /run/*.pid 2>/dev/null; true";
    let output = run("initramfs-pause", program, lines);
    let text = text(&output);
    assert!(text.contains("ended with status 3, see /run/ipa-sidecar.log"), "{text}");
    assert_eq!(text.lines().last().map(str::trim), Some("1"), "{text}");
}

#[test]
fn a_hang_up_ends_the_daemon_too() {
    root_test!();
    let program = "trap 'echo ended >/run/ended; exit 0' TERM; echo >>/run/up; while :; do sleep 0.1; done";
    let lines = "until_there() { n=0; until [ -e \"$1\" ] || [ $n -gt 200 ]; do sleep 0.1; n=$((n + 1)); done; }; \
                 sh \"$s\" start; until_there /run/up; kill -HUP $(cat /run/ipa-sidecar.pid); \
                 until_there /run/ended; cat /run/ended; rm /run/up; sleep 1; \
                 sh \"$s\" start; until_there /run/up; kill -0 $(cat /run/ipa-sidecar.pid) && echo again; \
                 sh \"$s\" stop; ls /run/*.pid 2>/dev/null; true";
    let output = run("initramfs-hang-up", program, lines);
    let lines: Vec<_> = text(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines, ["ended", "again"]);
}

#[test]
fn the_log_is_bounded() {
    root_test!();
    let program = "trap 'exit 0' TERM; head -c 3000000 /dev/zero >&2; while :; do sleep 0.1; done";
    let lines = "sh \"$s\" start; sleep 12; wc -c </run/ipa-sidecar.log; sh \"$s\" stop";
    let output = run("initramfs-log", program, lines);
    let text = text(&output);
    assert_eq!(text.trim(), "0", "{text}");
}
