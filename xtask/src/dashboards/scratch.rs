//! A directory for the files of one run, which goes with this process however that ends, by Ctrl-C too: a shell waits for
//! the end of a pipe whose other end is ours, and removes it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The pause lets those end that are killed with us, and still write.
const SCRIPT: &str = "cat >/dev/null; sleep 0.3; rm -rf -- \"$1\"";

/// The directory; removed when dropped.
pub struct Scratch {
    path: PathBuf,
    sweeper: Child,
}

impl Scratch {
    /// A new one.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("ipa-sidecar-dashboards-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        let sweeper = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&path)
            .process_group(0) // Ctrl-C is for us.
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { path, sweeper })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_all_that_is_in_it() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path.clone();
        std::fs::write(scratch.directory("a").unwrap().join("b"), "c").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
