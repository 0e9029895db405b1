//! Bounded reading of files that others wrote.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, major, minor};

/// The largest file that is read: far more than any of them needs.
const SIZE_MAX: u64 = 1024 * 1024;

/// The device number of `/dev/null` (Documentation/admin-guide/devices.txt), which stands for an empty file as
/// everywhere: given as a path, or behind the symbolic link that masks a file.
const NULL_DEVICE: (u32, u32) = (1, 3);

/// Reads a regular file of at most 1 MiB. Opening never blocks, also where the name is a FIFO.
///
/// # Errors
/// What the system said; a file that is not regular, or too large.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    read_opened(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The same for a file that is open already.
///
/// # Errors
/// As above.
pub fn read_opened(file: rustix::fd::OwnedFd) -> io::Result<Vec<u8>> {
    let stat = rustix::fs::fstat(&file)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::CharacterDevice && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL_DEVICE {
        return Ok(Vec::new());
    }
    if kind != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    let mut content = Vec::new();
    // One byte more, to tell; the size in stat is 0 for files in /proc.
    File::from(file).take(SIZE_MAX.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > SIZE_MAX {
        return Err(io::Error::other(format!("larger than {SIZE_MAX} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sane_size() {
        assert!(!read_file(Path::new("/proc/self/cmdline")).unwrap().is_empty());
        assert!(read_file(Path::new("/dev/null")).unwrap().is_empty());
        for (path, reason) in [
            ("/dev/zero", "not a regular file"),
            ("/proc", "not a regular file"),
            ("/nowhere", "No such file"),
        ] {
            let error = read_file(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(reason), "{path}: {error}");
        }
    }
}
