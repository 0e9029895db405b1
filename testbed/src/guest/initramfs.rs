//! A root file system for a guest: busybox, programs with their libraries, and an `/init`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::architecture::Architecture;
use crate::cache::{self, at};
use crate::debian::{Archive, run};

/// Where Debian's busybox-static is.
const BUSYBOX: &str = "/bin/busybox";
/// Debian's, which links the libssl of the system.
const PYTHON: &str = "/usr/bin/python3";
/// Where the loader of libraries looks besides (ld.so.conf(5)).
const LOADER: &str = "etc/ld.so.conf.d";

/// One in the making, in a directory that goes with it.
#[derive(Debug)]
pub struct Initramfs {
    directory: PathBuf,
}

impl Initramfs {
    /// With every applet of busybox, and `init` as `/init`, a script.
    ///
    /// # Errors
    /// Where busybox is missing or the directory cannot be written.
    pub fn new(name: &str, init: &str) -> io::Result<Self> {
        Self::new_for(Architecture::X86_64, name, init)
    }

    /// The same for an architecture: its busybox is fetched into the cache where it is not this machine's.
    ///
    /// # Errors
    /// As [`Initramfs::new`], and where apt has no such package.
    pub fn new_for(architecture: Architecture, name: &str, init: &str) -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-{name}-{}", std::process::id()));
        let initramfs = Self { directory };
        for place in ["bin", "proc", "sys", "dev", "tmp", "etc", "run"] {
            fs::create_dir_all(initramfs.root().join(place))?;
        }
        initramfs.add(&busybox(architecture)?, "bin/busybox")?;
        // The same applets on each architecture: this machine's own can be asked.
        let listed = run(Command::new(BUSYBOX).arg("--list"))?;
        for applet in String::from_utf8_lossy(&listed.stdout).lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", initramfs.root().join("bin").join(applet))?;
        }
        initramfs.add_script("init", init)?;
        Ok(initramfs)
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, place: &str, content: &str) -> io::Result<()> {
        let to = self.place(place)?;
        fs::write(&to, content).map_err(|error| at(&to, &error))
    }

    /// Writes a program into it.
    ///
    /// # Errors
    /// As [`Initramfs::write`].
    pub fn add_script(&self, place: &str, content: &str) -> io::Result<()> {
        self.write(place, content)?;
        fs::set_permissions(self.place(place)?, fs::Permissions::from_mode(0o755))
    }

    /// A place in it, with the directories on the way.
    fn place(&self, place: &str) -> io::Result<PathBuf> {
        let to = self.root().join(place.trim_start_matches('/'));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(to)
    }

    /// Copies a file to a place in it.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn add(&self, file: &Path, place: &str) -> io::Result<()> {
        let to = self.place(place)?;
        fs::copy(file, &to).map(drop).map_err(|error| at(file, &error))
    }

    /// Copies a program and the libraries that it is linked to.
    ///
    /// # Errors
    /// As [`Initramfs::add`].
    pub fn add_program(&self, program: &Path, place: &str) -> io::Result<()> {
        self.add(program, place)?;
        // A static one has none, which ldd calls a failure.
        let listed = Command::new("ldd").arg(program).stderr(Stdio::null()).output()?;
        for word in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
            if word.starts_with('/') {
                self.add(&fs::canonicalize(word)?, word)?;
            }
        }
        Ok(())
    }

    /// Copies Debian's Python with these modules, what they import, and the libraries of all that.
    ///
    /// # Errors
    /// As [`Initramfs::add`], and where one of the modules is missing here.
    pub fn add_python(&self, modules: &str) -> io::Result<()> {
        let print = format!(
            "import {modules}, sys\nfor module in list(sys.modules.values()): print(getattr(module, '__file__', ''))"
        );
        let listed = run(Command::new(PYTHON).args(["-I", "-S", "-c", &print]))?;
        for file in String::from_utf8_lossy(&listed.stdout).lines().chain([PYTHON]) {
            match Path::new(file) {
                module if file.ends_with(".py") => self.add(module, file)?,
                program if file.starts_with('/') => self.add_program(program, file)?,
                _ => {} // Built in.
            }
        }
        for file in fs::read_dir(Path::new("/").join(LOADER))? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.add(&path, &format!("{LOADER}/{name}"))?;
        }
        Ok(())
    }

    /// Packs it; gives the file, which goes with it.
    ///
    /// # Errors
    /// Where `cpio` fails.
    pub fn pack(&self) -> io::Result<PathBuf> {
        let image = self.directory.join("image.cpio");
        let names = run(Command::new("find").arg(".").current_dir(self.root()))?.stdout;
        let mut cpio = Command::new("cpio")
            .args(["-o", "-H", "newc", "--quiet", "-R", "0:0", "-F"])
            .arg(&image)
            .current_dir(self.root())
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cpio: {error}")))?;
        if let Some(input) = &mut cpio.stdin {
            input.write_all(&names)?;
        }
        drop(cpio.stdin.take());
        match cpio.wait()? {
            status if status.success() => Ok(image),
            status => Err(io::Error::other(format!("cpio ended with {status}"))),
        }
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }
}

fn busybox(architecture: Architecture) -> io::Result<PathBuf> {
    if architecture.is_here() {
        return Ok(BUSYBOX.into());
    }
    let root = cache::directory()?.join(format!("busybox-{}", architecture.debian()));
    let _lock = cache::lock("busybox")?;
    if !root.is_dir() {
        Archive::of(architecture)?.unpack(&["busybox-static".to_owned()], &root, |_| Ok(()))?;
    }
    Ok(root.join(BUSYBOX.trim_start_matches('/')))
}

impl Drop for Initramfs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
