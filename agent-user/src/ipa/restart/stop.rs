//! A process that is stopped while it is decided about: it sends nothing meanwhile, and dies without sending anything.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use crate::ipa::process;
use crate::kept::IpaId;

/// A thread in a system call that cannot be broken off stops after it.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// A stopped process. It goes on when this is dropped.
///
/// The process alone is stopped and not its cgroup: its threads are those that speak to Ironic. So it works in a container,
/// without cgroup2, and without any capability.
#[derive(Debug)]
pub struct Stopped {
    handle: OwnedFd,
    ended: bool,
}

impl Stopped {
    /// Stops a process, and waits until each of its threads has stopped.
    ///
    /// # Errors
    /// Where it is gone, or may not be stopped.
    pub async fn stop(id: IpaId) -> io::Result<Self> {
        let pid = i32::try_from(id.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let handle = pidfd_open(pid, PidfdFlags::empty())?;
        // Only now: the handle is that of a process that cannot be confused any more.
        if process::start_ticks_of(id.pid) != Some(id.start_ticks) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        pidfd_send_signal(&handle, Signal::STOP)?;
        let stopped = Self { handle, ended: false };
        let begun = Instant::now();
        while !threads_are_stopped(id.pid)? {
            if begun.elapsed() >= PATIENCE {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            sleep(PAUSE).await;
        }
        Ok(stopped)
    }

    /// Ends it where it stands.
    ///
    /// # Errors
    /// Where it may not be ended.
    pub fn kill(mut self) -> io::Result<()> {
        pidfd_send_signal(&self.handle, Signal::KILL)?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if !self.ended {
            // It may be gone by now.
            let _ = pidfd_send_signal(&self.handle, Signal::CONT);
        }
    }
}

/// Field 3 of proc_pid_stat(5) of each thread: `T` is stopped, `Z` and `X` have ended.
fn threads_are_stopped(pid: u32) -> io::Result<bool> {
    let mut all = true;
    for thread in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
        // A thread that is gone by now sends nothing.
        let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        all &= matches!(state, None | Some('T' | 'Z' | 'X'));
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // A process to stop.
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct Reader(Child);

    impl Drop for Reader {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn state(pid: u32) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    #[tokio::test]
    async fn it_stops_goes_on_and_ends() {
        let child = Command::new("sh").args(["-c", "read end"]).stdin(Stdio::piped()).spawn().unwrap();
        let child = Reader(child);
        let pid = child.0.id();
        let start_ticks = process::start_ticks_of(pid).unwrap();
        assert!(
            Stopped::stop(IpaId { pid, start_ticks: start_ticks + 1 }).await.is_err(),
            "it is another one"
        );
        let id = IpaId { pid, start_ticks };
        let stopped = Stopped::stop(id).await.unwrap();
        assert_eq!(state(pid), Some('T'));
        drop(stopped);
        while state(pid) == Some('T') {
            sleep(PAUSE).await;
        }
        Stopped::stop(id).await.unwrap().kill().unwrap();
        while state(pid) != Some('Z') {
            sleep(PAUSE).await;
        }
    }
}
