//! A machine with another kernel: QEMU without any network, a busybox initramfs, and what it writes on its console.

mod initramfs;
mod kernel;

pub use initramfs::Initramfs;
pub use kernel::Kernel;

use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Boots and waits until the guest powers itself off; gives what it wrote on its console. It is emulated in software
/// (a stock kernel hangs on some nested hypervisors), so a minute is short.
///
/// # Errors
/// Where QEMU is missing, or the guest is not done within `limit`: with what it wrote.
pub fn boot(kernel: &Kernel, initramfs: &Path, limit: Duration) -> io::Result<String> {
    let mut guest = Command::new("qemu-system-x86_64")
        .args(["-accel", "tcg", "-M", "pc", "-cpu", "qemu64", "-smp", "2", "-m", "512"])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-nic", "none"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 panic=-1 quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("qemu-system-x86_64: {error}")))?;
    let mut console = guest.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(console) = &mut console {
            let _ = console.read_to_end(&mut text); // What came before the end is what counts.
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        match guest.try_wait()? {
            Some(status) => break Some(status),
            None if started.elapsed() >= limit => {
                guest.kill()?;
                guest.wait()?;
                break None;
            }
            None => sleep(Duration::from_millis(100)),
        }
    };
    let text = reader.join().unwrap_or_default();
    match status {
        Some(status) if status.success() => Ok(text),
        Some(status) => Err(io::Error::other(format!("QEMU ended with {status}:\n{text}"))),
        None => Err(io::Error::other(format!("the guest was not done within {limit:?}:\n{text}"))),
    }
}
