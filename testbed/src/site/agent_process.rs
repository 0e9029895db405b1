//! A process that is called as IPA's, and reads, speaks and answers as IPA does.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::Directory;
use crate::netns::Netns;

const SCRIPT: &str = include_str!("agent.py");
const POLL: Duration = Duration::from_millis(20);

/// A stand-in for ironic-python-agent with a process of its own: what it is started with decides what it does. It looks
/// up, chooses its address, opens port 9999, and heartbeats at IPA's pace.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    directory: Directory,
}

impl AgentProcess {
    /// Begins inside, with IPA's own arguments beside that of its API URL, and variables.
    pub fn start(netns: &Netns, api_url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = Directory::new("agent-process");
        directory.write("ironic-python-agent", SCRIPT);
        let log = File::create(directory.file("log")).unwrap();
        let mut child = netns
            .command("python3")
            .arg(directory.file("ironic-python-agent"))
            .args(["--api-url", api_url])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = child.stdout.take().unwrap().read_exact(&mut [0; 6]);
        let agent = Self { child, directory };
        begun.unwrap_or_else(|error| panic!("{error}: {}", agent.log()));
        agent
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has complained of.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.file("log")).unwrap_or_default()
    }

    /// Waits for its end by itself.
    pub fn wait_end(&mut self, limit: Duration) {
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < limit, "it goes on: {}", self.log());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
