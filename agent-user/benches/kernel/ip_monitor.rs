//! `ip monitor address`, and when it printed each change.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use testbed::netns::Netns;

pub struct IpMonitor {
    child: Child,
    printed: Receiver<(Instant, String)>,
}

impl IpMonitor {
    /// Runs it inside, and waits until it hears.
    pub fn start(netns: &Netns) -> Self {
        let mut command = netns.command("ip");
        let mut child = command.args(["monitor", "address"]).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send((Instant::now(), line));
            }
        });
        let monitor = Self { child, printed };
        let limit = Instant::now() + Duration::from_secs(10);
        while monitor.printed.recv_timeout(Duration::from_millis(50)).is_err() {
            assert!(Instant::now() < limit, "ip monitor prints nothing");
            netns.ip("addr add 127.0.0.9/8 dev lo").unwrap();
            netns.ip("addr del 127.0.0.9/8 dev lo").unwrap();
        }
        monitor.forget();
        monitor
    }

    /// When it printed the first line that holds `text`; what it printed before is passed over.
    pub fn printed(&self, text: &str) -> Instant {
        loop {
            let (at, line) = self.printed.recv_timeout(Duration::from_secs(10)).unwrap();
            if line.contains(text) {
                return at;
            }
        }
    }

    /// What was printed so far is of no interest.
    pub fn forget(&self) {
        while self.printed.recv_timeout(Duration::from_millis(100)).is_ok() {}
    }
}

impl Drop for IpMonitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
