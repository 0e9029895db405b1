//! A server and all its children as one thing that cannot be left behind: a shell waits for the end of a pipe whose
//! other end is ours. However we end, even by SIGKILL, it kills the server's process group and removes its directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cache;
use crate::netns::Netns;

/// Arguments: the directory to remove, then the server and its arguments. The server gets a session of its own, so
/// that one signal reaches it and what it forked. Where it ends by itself, its exit code is written down and the
/// directory stays until our end, so that its log can be read. A worker that Ironic forked holds the port: the end
/// of the server is the end of its whole group, but for what waits to be reaped.
const SCRIPT: &str = r#"
directory=$1; shift
exec 3<&0
setsid "$@" </dev/null 3<&- &
server=$!
end() { kill -s KILL -- "-$server"; kill -s KILL "$server"; } 2>/dev/null # The second: before it has its session.
{ cat <&3 >/dev/null; [ -e "$directory/ended" ] || end; } &
watcher=$!
wait "$server"; code=$?
end
while grep -qs ") [^ZX] [0-9]* $server " /proc/[0-9]*/stat; do sleep 0.02; done
echo "$code" >"$directory/ended.new" && mv "$directory/ended.new" "$directory/ended"
wait "$watcher"
rm -rf -- "$directory"
"#;

/// A guarded server.
#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
    directory: PathBuf,
}

impl Guardian {
    /// Starts `program` with its arguments, in a namespace or in ours; what it writes goes to `output`. `directory` is
    /// removed when the server ends.
    ///
    /// # Errors
    /// Where the shell (or `nsenter`) cannot be started.
    pub(crate) fn spawn(
        netns: Option<&Netns>,
        directory: &Path,
        output: File,
        program: &[PathBuf],
    ) -> io::Result<Self> {
        let mut command = match netns {
            Some(netns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net=/proc/{}/ns/net", netns.pid())).args(["--", "sh"]);
                command
            }
            None => Command::new("sh"),
        };
        let shell = command
            .args(["-c", SCRIPT, "guardian"])
            .arg(directory)
            .args(program)
            .current_dir("/")
            .process_group(0) // Ctrl-C is for us; the guardian then sees our end.
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{:?}: {e}", command.get_program())))?;
        Ok(Self { shell, directory: directory.to_owned() })
    }

    /// Kills the server, if it still runs, and removes the directory.
    pub(crate) fn kill(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }

    /// The directory that goes with the server.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last lines of a file in the directory; nothing where it is missing.
    pub(crate) fn tail(&self, name: &str, lines: usize) -> String {
        let text = fs::read(self.directory.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skip = text.lines().count().saturating_sub(lines);
        text.lines().skip(skip).map(|line| format!("{line}\n")).collect()
    }

    /// The exit code of the server, if it ended by itself; 128 + N after signal N.
    pub(crate) fn ended(&self) -> Option<i32> {
        let code = fs::read_to_string(self.directory.join("ended")).ok()?;
        code.trim().parse().ok()
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new directory for a server of that name, readable by its owner only.
///
/// # Errors
/// Where it cannot be made.
pub(crate) fn fresh_directory(server: &str) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ipa-sidecar-{server}-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    if path.exists() {
        fs::remove_dir_all(&path).map_err(|e| cache::at(&path, &e))?; // Of a process that had our id before.
    }
    let made = fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|e| cache::at(&path, &e))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// A server with a child, both sleeping; both process ids are in the file once they run.
    const SERVER: &str = "sleep 1000 & echo $$ $! > \"$0.new\"; mv \"$0.new\" \"$0\"; wait";

    fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(10), "waited 10 s: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Neither running nor dead and waiting to be reaped by this process.
    fn gone(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    fn start(name: &str, script: &str) -> (Guardian, PathBuf, PathBuf) {
        let base = std::env::temp_dir().join(format!("guardian-{name}-{}", std::process::id()));
        let (directory, pids) = (base.join("state"), base.join("pids"));
        fs::create_dir_all(&directory).unwrap();
        let program = ["sh", "-c", script].map(PathBuf::from);
        let program = [&program[..], std::slice::from_ref(&pids)].concat();
        let output = fs::File::create(base.join("output")).unwrap();
        let guardian = Guardian::spawn(None, &directory, output, &program).unwrap();
        (guardian, directory, pids)
    }

    #[test]
    fn the_server_its_children_and_its_directory_go_with_the_guardian() {
        let (guardian, directory, file) = start("drop", SERVER);
        eventually("the server runs", || file.exists());
        let pids = fs::read_to_string(&file).unwrap();
        let pids: Vec<_> = pids.split_whitespace().collect();
        assert_eq!(pids.len(), 2);
        assert!(!pids.iter().any(|pid| gone(pid)) && directory.exists());
        assert_eq!(guardian.ended(), None);
        drop(guardian);
        assert!(!directory.exists());
        assert!(pids.iter().all(|pid| gone(pid)), "what a child holds, the next server may want");
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_server_that_ends_by_itself_is_noticed() {
        let (guardian, directory, _) = start("end", "echo why; exit 3");
        eventually("the end is seen", || guardian.ended().is_some());
        assert_eq!(guardian.ended(), Some(3));
        assert!(directory.exists(), "its log may be there");
        drop(guardian);
        assert!(!directory.exists());
        fs::remove_dir_all(directory.parent().unwrap()).unwrap();
    }
}
