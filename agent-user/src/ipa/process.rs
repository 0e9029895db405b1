//! Finds the process of ironic-python-agent, in /proc (proc(5)). What is read here needs no privilege, but for its environment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::image::{IpaEnvironment, IpaProcess, Mounts};
use crate::kept::IpaId;

/// The program (ironic-python-agent's `setup.cfg`, `console_scripts`).
const PROGRAM: &[u8] = b"ironic-python-agent";
/// Far more than the words that count.
const COMMAND_LINE_MAX: u64 = 4096;
/// Far more than an environment, or a list of mounts.
const TEXT_MAX: u64 = 256 * 1024;
/// Clock ticks a second in what the kernel shows (`USER_HZ`, include/asm-generic/param.h).
const TICKS_A_SECOND: u64 = 100;

impl IpaId {
    /// When it started, since the kernel's start (CLOCK_BOOTTIME), rounded down.
    pub fn started(self) -> Duration {
        Duration::from_millis(self.start_ticks.saturating_mul(1000 / TICKS_A_SECOND))
    }
}

/// The IPA that runs on this machine; of several the one that began first. One that is known from before and goes on is
/// found without a look at all others.
pub fn running(known: Option<IpaId>) -> Option<IpaId> {
    let proc = Path::new("/proc");
    known.filter(|known| ipa(proc, known.pid).as_ref() == Some(known)).or_else(|| running_in(proc))
}

/// How this process was started, where it still is IPA.
pub fn seen(id: IpaId) -> Option<IpaProcess> {
    seen_in(Path::new("/proc"), id)
}

fn seen_in(proc: &Path, id: IpaId) -> Option<IpaProcess> {
    let directory = proc.join(id.pid.to_string());
    let command = command(&directory)?;
    let words = command.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut arguments: Vec<_> = words.collect();
    arguments.pop(); // Behind the last zero byte.
    let mounts = |process: &Path| {
        let bytes = start_of(&process.join("mountinfo"), TEXT_MAX).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mounts = Mounts::of(mounts(&proc.join("self")), mounts(&directory));
    let environment = start_of(&directory.join("environ"), TEXT_MAX);
    let environment = environment.map(|bytes| IpaEnvironment::of_process(&bytes));
    (ipa(proc, id.pid) == Some(id)).then_some(IpaProcess { arguments, mounts, environment })
}

/// Whether other processes are to be seen at all: /proc may be mounted so that they are not (`hidepid`, proc(5)).
pub fn are_visible() -> bool {
    fs::metadata("/proc/1").is_ok()
}

fn running_in(proc: &Path) -> Option<IpaId> {
    let entries = fs::read_dir(proc).ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| ipa(proc, pid)).min_by_key(|found| (found.start_ticks, found.pid))
}

/// The process with this id, where it is an IPA in this network namespace.
fn ipa(proc: &Path, pid: u32) -> Option<IpaId> {
    let directory = proc.join(pid.to_string());
    let command = command(&directory)?;
    if !is_ipa(&command) || is_elsewhere(proc, &directory) {
        return None;
    }
    let start_ticks = start_ticks(&fs::read_to_string(directory.join("stat")).ok()?)?;
    Some(IpaId { pid, start_ticks })
}

fn command(process: &Path) -> Option<Vec<u8>> {
    start_of(&process.join("cmdline"), COMMAND_LINE_MAX)
}

fn start_of(file: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// When the process with this id started, in clock ticks since the kernel's start.
pub fn start_ticks_of(pid: u32) -> Option<u64> {
    start_ticks(&fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?)
}

/// Whether these arguments, each ended by a zero byte, start IPA: as the program, or as the script that an interpreter
/// runs. Python may have options before it: distributions begin their scripts with `#!/usr/bin/python3 -s`.
fn is_ipa(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == 0);
    let Some(program) = words.next().map(base_name) else {
        return false;
    };
    let script = match program.starts_with(b"python") {
        true => words.find(|word| !word.starts_with(b"-")),
        false => words.next(),
    };
    program == PROGRAM || script.is_some_and(|script| base_name(script) == PROGRAM)
}

fn base_name(word: &[u8]) -> &[u8] {
    Path::new(OsStr::from_bytes(word)).file_name().map_or(&[], OsStr::as_bytes)
}

/// Whether the process is in another network namespace. The files below `net` have a number of their own in each one
/// (fs/proc/proc_net.c), and unlike `ns/net` every user may look at them. Unknown counts as this one.
fn is_elsewhere(proc: &Path, process: &Path) -> bool {
    let number = |directory: PathBuf| fs::metadata(directory.join("net/dev")).ok().map(|file| file.ino());
    match (number(proc.join("self")), number(process.to_owned())) {
        (Some(here), Some(there)) => here != there,
        _ => false,
    }
}

/// Field 22 of proc_pid_stat(5). The second one, the name in parentheses, may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    #[test]
    fn ipa_is_known_by_its_program_or_script() {
        for (words, expected) in [
            (&["/opt/ironic-python-agent/bin/ironic-python-agent"][..], true),
            (&["ironic-python-agent", "--config-dir", "/etc"], true),
            (&["/usr/bin/python3", "/usr/bin/ironic-python-agent"], true),
            (&["/usr/bin/python3", "-s", "/usr/bin/ironic-python-agent", "--debug"], true),
            (&["python3.12", "-sP", "-u", "/x/ironic-python-agent"], true),
            (&["/bin/bash", "/usr/local/bin/ironic-python-agent"], true),
            (&["journalctl", "-fu", "ironic-python-agent"], false),
            (&["podman", "run", "ironic-python-agent"], false),
            (&["python3", "-m", "http.server", "ironic-python-agent"], false),
            (&["vi", "/etc/ironic-python-agent.conf"], false),
            (&["ironic-python-agent-builder"], false),
            (&["/opt/ironic-python-agent/bin/python3", "-c", "pass"], false),
            (&[], false),
        ] {
            let command: Vec<u8> =
                words.iter().flat_map(|word| word.bytes().chain(std::iter::once(0))).collect();
            assert_eq!(is_ipa(&command), expected, "{words:?}");
        }
    }

    #[test]
    fn the_start_stands_behind_any_name() {
        let rest = "S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4711 13 14";
        assert_eq!(start_ticks(&format!("7 (a) 1 2 (b) {rest}")), Some(4711));
        assert_eq!(start_ticks("7 (a) S 1"), None);
        assert_eq!(IpaId { pid: 1, start_ticks: 4711 }.started(), Duration::from_millis(47_110));
        let own = ipa_start_of_this_process();
        let now = crate::kept::since_boot();
        assert!(own <= now && now - own < Duration::from_secs(3600), "{own:?} of {now:?}");
    }

    fn ipa_start_of_this_process() -> Duration {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        IpaId { pid: 0, start_ticks: start_ticks(&stat).unwrap() }.started()
    }

    #[test]
    fn the_first_of_several_counts() {
        let proc = Directory::new("proc");
        let process = |pid: &str, command: &str, start: u64| {
            proc.write(&format!("{pid}/cmdline"), command);
            proc.write(
                &format!("{pid}/stat"),
                format!("{pid} (x) S 1 2 3 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 {start} 0"),
            );
        };
        process("1", "/sbin/init\0", 1);
        process("self", "ironic-python-agent\0", 2);
        assert_eq!(running_in(proc.path()), None);
        process("90", "ironic-python-agent\0", 500);
        process("80", "python3\0/usr/bin/ironic-python-agent\0", 700);
        process("70", "", 3); // It has ended, and nobody has waited for it.
        assert_eq!(running_in(proc.path()), Some(IpaId { pid: 90, start_ticks: 500 }));
        assert_eq!(running_in(Path::new("/nowhere")), None);
        let seen = |pid: u32, start_ticks: u64| seen_in(proc.path(), IpaId { pid, start_ticks });
        let arguments = vec!["python3".to_owned(), "/usr/bin/ironic-python-agent".to_owned()];
        let plain = seen(80, 700).unwrap();
        assert_eq!((&plain.arguments, plain.environment), (&arguments, None));
        assert!(!plain.mounts.is_contained());
        assert_eq!(seen(80, 701), None, "another process has this number now");
        proc.write("80/environ", "OS_DEFAULT__ADVERTISE_HOST=192.0.2.1\0");
        proc.write("80/mountinfo", "50 40 0:77 / / rw - overlay overlay rw\n");
        proc.write("self/mountinfo", "21 1 0:2 / / rw - rootfs rootfs rw\n");
        let contained = seen(80, 700).unwrap();
        assert_eq!(contained.environment.unwrap().advertise_host.as_deref(), Some("192.0.2.1"));
        assert!(contained.mounts.is_contained());
    }
}
