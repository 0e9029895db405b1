//! A kernel that does not answer for 60 s: requests go on, and so do the pages.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// Delays each `bind` of the daemon's: its questions begin with one, and nothing else binds while it runs.
struct Hung {
    strace: Child,
    /// Closed, it would end strace.
    _output: BufReader<ChildStderr>,
}

impl Hung {
    fn begin(daemon: &Daemon) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=bind", "-e", "inject=bind:delay_enter=60000000"]);
        let mut strace =
            command.args(["-p", &daemon.pid().to_string()]).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        Self { strace, _output: output }
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.strace), Signal::TERM).unwrap();
        self.strace.wait().unwrap();
    }
}

#[test]
fn a_kernel_question_of_60_s_keeps_neither_ipa_nor_the_pages() {
    root_test!("strace");
    let lab = Lab::new(&["--log.level=debug"]);
    let hung = Hung::begin(&lab.daemon);
    // Whose connection it is cannot be asked: there is one Ironic only.
    let token = token(&lab.lookup());
    lab.daemon.wait_log("the kernel did not answer in time", SOON).unwrap();
    let mut raw = lab.sent(beat(FIRST_URL, &token));
    assert_eq!(ready(&lab.daemon).0, 200, "the page answers while the question hangs");
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
    assert_eq!(lab.beats("accepted"), 1.0);
    drop(hung);
    let mut raw = lab.sent(beat(FIRST_URL, &token));
    assert!(raw.answer().0.starts_with("HTTP/1.1 202 "));
}
