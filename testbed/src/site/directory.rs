//! A directory for the files of one test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory; removed when dropped. Every user may read it.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A new one; its path holds the name.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ipa-sidecar-{name}-{}-{count}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path); // Of a killed process that had our id.
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and makes the directories above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Replaces a file in one step: no reader sees half of it.
    pub fn replace(&self, name: &str, content: &str) {
        self.write("new", content);
        std::fs::rename(self.file("new"), self.file(name)).unwrap();
    }

    /// Writes a file, and gives `FLAG=its path`.
    pub fn flag(&self, flag: &str, name: &str, content: &str) -> String {
        self.write(name, content);
        format!("{flag}={}", self.file(name).display())
    }

    /// The flag that makes it IPA's configuration directory.
    pub fn config_dir(&self) -> String {
        config_dir(&self.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The flag that makes a directory IPA's configuration directory.
pub fn config_dir(directory: &Path) -> String {
    format!("--ipa.config-dir={}", directory.display())
}

/// The names of the files in a directory, in order.
pub fn names(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
