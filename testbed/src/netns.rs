//! Network namespaces without a name: a holder process keeps each one, and waits for the end of a pipe whose other end
//! is ours. However we end, the holder ends with us, and the kernel removes the namespace and its devices.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The holder. A daemon that is killed with us may still write into the directory.
const HOLDER: &str = "trap '' INT; ip link set lo up && echo ready && cat >/dev/null; \
                      rm -rf -- \"$1-$$\" 2>/dev/null || { sleep 0.3; rm -rf -- \"$1-$$\"; }";

/// A network namespace with its loopback up.
#[derive(Debug)]
pub struct Netns {
    holder: Child,
    /// What stands for `/run/ipa-sidecar` of the machine that this namespace stands for.
    runtime: OnceLock<PathBuf>,
}

impl Netns {
    /// Makes one. Needs root.
    ///
    /// # Errors
    /// Without the privilege, or where `unshare` and `ip` are missing.
    pub fn new() -> io::Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", HOLDER, "sh"])
            .arg(runtime_prefix())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = [0; 6];
        let answer = match &mut holder.stdout {
            Some(stdout) => stdout.read_exact(&mut ready),
            None => Err(io::Error::other("the holder has no output")),
        };
        let namespace = Self { holder, runtime: OnceLock::new() };
        answer.map_err(|error| io::Error::other(format!("no network namespace (root?): {error}")))?;
        Ok(namespace)
    }

    /// The process that keeps the namespace: what `ip link ... netns PID` wants.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A directory for what outlives a daemon in this namespace (`RUNTIME_DIRECTORY`); removed by the holder.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn runtime_directory(&self) -> io::Result<&Path> {
        if self.runtime.get().is_none() {
            let mut path = runtime_prefix().into_os_string();
            path.push(format!("-{}", self.pid()));
            let path = PathBuf::from(path);
            std::fs::create_dir_all(&path)?;
            let _ = self.runtime.set(path); // Another thread has made the same one.
        }
        self.runtime.get().map(PathBuf::as_path).ok_or_else(|| io::Error::other("no runtime directory"))
    }

    /// A command that will run inside and be killed when the calling thread ends.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.pid()))
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program);
        command
    }

    /// Runs `ip WORDS` inside.
    ///
    /// # Errors
    /// The words and what `ip` said, where it failed.
    pub fn ip(&self, words: &str) -> io::Result<String> {
        let output = self.command("ip").args(words.split_whitespace()).output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("ip {words}: {}", said.trim())))
    }

    /// Runs several `ip` commands inside, one a line; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// Of the first one that failed.
    pub fn ip_lines(&self, lines: &str) -> io::Result<()> {
        let mut wanted =
            lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        wanted.try_for_each(|line| self.ip(line).map(drop))
    }

    /// Joins two namespaces by a veth pair, both ends up.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn join(&self, device: &str, other: &Self, other_device: &str) -> io::Result<()> {
        let peer = other.pid();
        self.ip(&format!("link add {device} type veth peer name {other_device} netns {peer}"))?;
        self.ip(&format!("link set {device} up"))?;
        other.ip(&format!("link set {other_device} up")).map(drop)
    }

    /// Writes a sysctl of this namespace, like `net/ipv4/conf/all/promote_secondaries`.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn sysctl(&self, name: &str, value: &str) -> io::Result<()> {
        let path = format!("/proc/sys/{name}");
        let value = value.to_owned();
        self.enter(move || {
            std::fs::write(&path, &value).map_err(|e| io::Error::other(format!("{path}: {e}")))
        })?
    }

    /// Runs a function on a thread of its own inside the namespace; sockets that it makes stay there.
    ///
    /// # Errors
    /// Where the namespace cannot be entered, or the function panicked.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = File::open(format!("/proc/{}/ns/net", self.pid()))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                use std::os::fd::AsFd;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(inside())
            });
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the function panicked inside the namespace")))
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(self.holder.stdin.take()); // The end of its input ends the holder.
        let _ = self.holder.wait();
    }
}

/// What the names of the directories begin with; the holder's id follows.
fn runtime_prefix() -> PathBuf {
    std::env::temp_dir().join(format!("ipa-sidecar-run-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_namespaces_reach_each_other_and_vanish() {
        crate::root_test!();
        let (a, b) = (Netns::new().unwrap(), Netns::new().unwrap());
        a.join("left", &b, "right").unwrap();
        a.ip("addr add 10.99.0.1/24 dev left").unwrap();
        b.ip("addr add 10.99.0.2/24 dev right").unwrap();
        let listener = b.enter(|| std::net::TcpListener::bind("10.99.0.2:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        a.enter(|| std::net::TcpStream::connect(address).unwrap()).unwrap();
        assert!(std::net::TcpStream::connect(address).is_err(), "the namespaces leak into ours");
        let holder = format!("/proc/{}", a.pid());
        drop(a);
        assert!(!std::path::Path::new(&holder).exists());
    }
}
