//! A machine with another kernel: QEMU without any network of the outside, an initramfs, its console, a shell in it.

mod initramfs;
mod kernel;
mod machine;

pub use initramfs::Initramfs;
pub use kernel::{Kernel, LINUX_6_12};
pub use machine::{Boot, Machine, SHELL};

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::architecture::Architecture;

/// Whether there is what a guest needs. Where it is missing, the running test has to end; see [`crate::have`].
pub fn is_possible() -> bool {
    let there =
        |program: &str| ["/usr/bin", "/bin"].iter().any(|place| Path::new(place).join(program).exists());
    let all = ["qemu-system-x86_64", "cpio", "busybox"].into_iter().all(there);
    crate::have("qemu-system-x86_64, cpio and busybox", all)
}

/// Boots without a network and waits until the guest powers itself off; gives what it wrote on its console. A minute is
/// short.
///
/// # Errors
/// Where QEMU is missing, or the guest is not done within `limit`: with what it wrote.
pub fn boot(kernel: &Kernel, initramfs: &Path, limit: Duration) -> io::Result<String> {
    let devices = ["-nic".to_owned(), "none".to_owned()];
    let boot = Boot {
        architecture: Architecture::X86_64,
        kernel: &kernel.image,
        initramfs,
        words: "",
        memory: 512,
        devices: &devices,
        netns: None,
    };
    Machine::start(&boot)?.powered_off(limit)
}
