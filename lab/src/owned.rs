//! What goes with its owner: a directory for the files of one run, and another program.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The pause lets those end that are killed with us, and still write.
const SCRIPT: &str = "cat >/dev/null; sleep 0.3; rm -rf --one-file-system -- \"$1\"";

/// A directory, removed when dropped. It goes with this process however that ends, by Ctrl-C too: a shell waits for the
/// end of a pipe whose other end is ours, and removes it.
pub struct Scratch {
    path: PathBuf,
    sweeper: Child,
}

impl Scratch {
    /// A new one.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(name: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ipa-sidecar-{name}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        let sweeper = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&path)
            .process_group(0) // Ctrl-C is for us.
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { path, sweeper })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in it.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// A process, killed when dropped.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_all_that_is_in_it() {
        let scratch = Scratch::new("test").unwrap();
        let path = scratch.path.clone();
        std::fs::write(scratch.directory("a").unwrap().join("b"), "c").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
