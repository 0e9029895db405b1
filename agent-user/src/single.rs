//! One daemon at a time does something on a machine: two would write each other's drop-in, and heartbeat twice.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The file that is locked; it stays, and holds nothing.
pub const FILE: &str = "daemon.lock";
/// One that was killed takes the kernel a second to let its probes go.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);

/// Who holds it is the only one; it ends with its process (flock(2)).
#[derive(Debug)]
pub struct Single(#[expect(dead_code, reason = "it is held, not read")] File);

/// What became of the lock.
#[derive(Debug)]
pub enum Outcome {
    /// This one is the only one.
    Held(Single),
    /// Another daemon has it.
    Another,
    /// Nobody can know: the directory is missing or another user's.
    Unknown(io::Error),
}

/// Takes the lock of this directory; waits a moment for another one that ends.
pub fn take(directory: &Path) -> Outcome {
    let begun = Instant::now();
    loop {
        match try_take(directory) {
            Outcome::Another if begun.elapsed() < PATIENCE => std::thread::sleep(POLL),
            outcome => return outcome,
        }
    }
}

/// The same without waiting.
pub fn try_take(directory: &Path) -> Outcome {
    let opened = fs::create_dir_all(directory).and_then(|()| {
        let mut options = File::options();
        options.create(true).truncate(false).write(true).mode(0o600).open(directory.join(FILE))
    });
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Outcome::Unknown(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Outcome::Held(Single(file)),
        Err(Errno::WOULDBLOCK) => Outcome::Another,
        Err(error) => Outcome::Unknown(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    #[test]
    fn one_holds_it_until_it_ends() {
        let directory = Directory::new("single");
        let Outcome::Held(first) = try_take(directory.path()) else { panic!("nobody has it") };
        assert!(matches!(try_take(directory.path()), Outcome::Another));
        let waiting = directory.path().to_owned();
        let second = std::thread::spawn(move || matches!(take(&waiting), Outcome::Held(_)));
        std::thread::sleep(POLL * 2);
        drop(first);
        assert!(second.join().unwrap());
        assert!(matches!(try_take(Path::new("/proc/nothing")), Outcome::Unknown(_)));
    }
}
