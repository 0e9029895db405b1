//! A running QEMU: its console, a shell inside, and its monitor.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::architecture::Architecture;
use crate::guardian::fresh_directory;
use crate::netns::Netns;

/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);
/// What ends the output of a command in the guest, before its exit status.
const END: &str = "=== status ";
/// What the guest writes on its console once it has [`SHELL`].
const SHELL_IS_THERE: &str = "a shell is on the virtio port";
/// The lines that give a guest that shell; its kernel needs `virtio_console`. A serial port would not do: an emulated one
/// loses characters while the machine is busy. Read through a pipe, so that the shell shows no prompt; without a host at
/// the other end the port reads as ended.
pub const SHELL: &str = "until [ -e /dev/vport0p1 ]; do sleep 0.2; done
exec 3<>/dev/vport0p1
echo a shell is on the virtio port >/dev/console
while :; do cat <&3; sleep 0.2; done | sh >&3 2>&1
";

/// What to boot. It is emulated in software (a stock kernel hangs on some nested hypervisors): slow, and the same
/// everywhere.
#[derive(Debug)]
pub struct Boot<'a> {
    /// Whose programs it runs.
    pub architecture: Architecture,
    /// The kernel.
    pub kernel: &'a Path,
    /// The root file system.
    pub initramfs: &'a Path,
    /// What the kernel command line says besides the console.
    pub words: &'a str,
    /// Memory, in MiB.
    pub memory: u32,
    /// Further arguments of QEMU: devices.
    pub devices: &'a [String],
    /// Where its network back ends are; `None`: here, for a guest without a network.
    pub netns: Option<&'a Netns>,
}

/// The machine; killed when dropped.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    started: Instant,
    console: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The connection to the guest's shell: one for the machine's life.
    shell: Mutex<Option<BufReader<UnixStream>>>,
    directory: PathBuf,
}

impl Machine {
    /// Starts it.
    ///
    /// # Errors
    /// Where QEMU is missing.
    pub fn start(boot: &Boot<'_>) -> io::Result<Self> {
        let directory = fresh_directory("guest")?;
        let place = |name: &str| directory.join(name).display().to_string();
        let program = &format!("qemu-system-{}", boot.architecture.as_str());
        let mut command = match boot.netns {
            Some(netns) => netns.command(program),
            None => Command::new(program),
        };
        command
            .args(["-accel", "tcg", "-smp", "2", "-m", &boot.memory.to_string()])
            .args(boot.architecture.machine())
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"])
            .args(["-monitor", &format!("unix:{},server=on,wait=off", place("monitor"))])
            .args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell"])
            .args(["-chardev", &format!("socket,id=shell,path={},server=on,wait=off", place("shell"))])
            .arg("-kernel")
            .arg(boot.kernel)
            .arg("-initrd")
            .arg(boot.initramfs)
            .args([
                "-append",
                &format!("console={} panic=-1 quiet {}", boot.architecture.console(), boot.words),
            ])
            .args(boot.devices)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let spawned =
            command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")));
        let mut qemu = match spawned {
            Ok(qemu) => qemu,
            Err(error) => {
                std::fs::remove_dir_all(&directory)?;
                return Err(error);
            }
        };
        let console = Arc::new(Mutex::new(String::new()));
        let reader = qemu.stdout.take().map(|output| {
            let console = Arc::clone(&console);
            std::thread::spawn(move || read_console(output, &console))
        });
        Ok(Self { qemu, started: Instant::now(), console, reader, shell: Mutex::default(), directory })
    }

    /// Since the start.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it wrote on its console so far.
    pub fn console(&self) -> String {
        self.console.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `look` gives something.
    ///
    /// # Errors
    /// After `limit`, or when QEMU ends: what was waited for, and the console.
    pub fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Option<T>,
    ) -> io::Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            let ended = self.qemu.try_wait()?;
            if ended.is_some() || started.elapsed() >= limit {
                let why = ended.map_or_else(
                    || format!("not within {limit:?}"),
                    |status| format!("QEMU ended with {status}"),
                );
                return Err(io::Error::other(format!("{why}: {what}\nconsole:\n{}", self.console())));
            }
            sleep(POLL);
        }
    }

    /// Waits until the console holds a text.
    ///
    /// # Errors
    /// As [`Machine::wait`].
    pub fn wait_console(&mut self, text: &str, limit: Duration) -> io::Result<()> {
        self.wait(&format!("{text:?} on the console"), limit, |machine| {
            machine.console().contains(text).then_some(())
        })
    }

    /// Waits until it has powered itself off; gives its console.
    ///
    /// # Errors
    /// After `limit`, with the console.
    pub fn powered_off(&mut self, limit: Duration) -> io::Result<String> {
        let status = self.ended(limit)?;
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        match status {
            Some(status) if status.success() => Ok(self.console()),
            Some(status) => Err(io::Error::other(format!("QEMU ended with {status}:\n{}", self.console()))),
            None => {
                Err(io::Error::other(format!("the guest was not done within {limit:?}:\n{}", self.console())))
            }
        }
    }

    fn ended(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            match self.qemu.try_wait()? {
                None if started.elapsed() < limit => sleep(POLL),
                ended => return Ok(ended),
            }
        }
    }

    /// Runs a command line in the guest's [`SHELL`], and gives what it wrote.
    ///
    /// # Errors
    /// Where the shell does not answer within `limit`, or the command ends with another status than 0.
    pub fn run(&self, command: &str, limit: Duration) -> io::Result<String> {
        let started = Instant::now();
        while !self.console().contains(SHELL_IS_THERE) && started.elapsed() < limit {
            sleep(POLL);
        }
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = match &mut *shell {
            Some(lines) => lines,
            none => none.insert(BufReader::new(UnixStream::connect(self.directory.join("shell"))?)),
        };
        lines.get_ref().set_read_timeout(Some(limit))?;
        writeln!(lines.get_mut(), "{{ {command}\n}} 2>&1; status=$?; echo; echo '{END}'$status")?;
        let mut output = String::new();
        loop {
            let mut line = Vec::new();
            let read = lines.read_until(b'\n', &mut line);
            let line = String::from_utf8_lossy(&line).replace('\r', "");
            match (read, line.strip_prefix(END).map(str::trim)) {
                (Ok(1..), Some("0")) => return Ok(output.trim_end().to_owned()),
                (Ok(1..), Some(status)) => {
                    return Err(io::Error::other(format!(
                        "in the guest, {command:?} ended with {status}: {output}"
                    )));
                }
                (Ok(1..), None) => output.push_str(&line),
                (failed, _) => {
                    let why = failed
                        .err()
                        .map_or_else(|| "the port is closed".to_owned(), |error| error.to_string());
                    return Err(io::Error::other(format!(
                        "the guest's shell did not finish {command:?}: {why}; so far: {output:?}\nconsole:\n{}",
                        self.console()
                    )));
                }
            }
        }
    }

    /// Plugs a NIC's cable in or out: `set_link` of QEMU's monitor.
    ///
    /// # Errors
    /// Where the monitor does not answer.
    pub fn set_link(&self, device: &str, up: bool) -> io::Result<()> {
        let mut monitor = UnixStream::connect(self.directory.join("monitor"))?;
        monitor.set_read_timeout(Some(Duration::from_secs(5)))?;
        await_prompt(&mut monitor)?;
        writeln!(monitor, "set_link {device} {}", if up { "on" } else { "off" })?;
        await_prompt(&mut monitor)
    }
}

/// QEMU's monitor is ready for the next command.
fn await_prompt(monitor: &mut UnixStream) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"(qemu) ") {
        monitor.read_exact(&mut byte)?;
        seen.extend(byte);
    }
    Ok(())
}

fn read_console(mut output: impl Read, console: &Mutex<String>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut buffer) {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).replace('\r', "");
        console.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
