//! The programs that building and testing need, and the Debian packages that bring them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use testbed::venv::{HEADERS_CHECK, PYTHON_CHECK};

use crate::{Missing, process};
use Check::{Programs, Python};
use Purpose::{Bench, Build, Cross, Emulate, Fuzz, Ramdisk, Test};

/// What something is needed for. Each of the first three takes all before it; the next two take the first three, and the
/// others nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Purpose {
    /// Building, and the demo.
    Build,
    /// The fuzz targets.
    Fuzz,
    /// Every test, the small ramdisk too.
    Test,
    /// The larger ramdisks.
    Ramdisk,
    /// What the daemon is measured beside.
    Bench,
    /// Building for 64-bit Arm elsewhere.
    Cross,
    /// Running what was built for 64-bit Arm, and an image.
    Emulate,
}

impl Purpose {
    /// Whether this one takes what is needed for the other.
    fn includes(self, other: Self) -> bool {
        other == self || (other < self && other <= Self::Test && self <= Self::Bench)
    }
}

/// Something that is needed: for what, how it shows that it is there, and the packages that bring it.
struct Need {
    purpose: Purpose,
    what: &'static str,
    check: Check,
    packages: &'static [&'static str],
}

enum Check {
    /// All of these programs are found.
    Programs(&'static [&'static str]),
    /// `python3 -c` with this text ends well.
    Python(&'static str),
}

static NEEDS: &[Need] = &[
    need(Build, "a C compiler and linker (ring, and Rust itself)", Programs(&["cc"]), &["gcc", "libc6-dev"]),
    need(Build, "ip (network namespaces)", Programs(&["ip"]), &["iproute2"]),
    need(
        Build,
        "unshare, nsenter, setpriv, setsid, losetup, lscpu (namespaces, loop devices, what IPA asks)",
        Programs(&["unshare", "nsenter", "setpriv", "setsid", "losetup", "lscpu"]),
        &["util-linux", "mount"],
    ),
    need(Build, "zstd (the release)", Programs(&["zstd"]), &["zstd"]),
    need(Fuzz, "a C++ compiler (libFuzzer)", Programs(&["c++"]), &["g++"]),
    need(
        Test,
        "python3 of 3.11 or later with venv (the real Ironic)",
        Python(PYTHON_CHECK),
        &["python3", "python3-venv"],
    ),
    need(
        Test,
        "Python.h (an older ironic-python-agent builds a part of itself)",
        Python(HEADERS_CHECK),
        &["python3-dev"],
    ),
    need(
        Test,
        "prometheus, promtool (scrapes, metrics, alert rules, boards)",
        Programs(&["prometheus", "promtool"]),
        &["prometheus"],
    ),
    need(
        Test,
        "strace, curl (what the daemon does and serves)",
        Programs(&["strace", "curl"]),
        &["strace", "curl"],
    ),
    need(Test, "chromium (the page)", Programs(&["chromium"]), &["chromium", "fonts-dejavu-core"]),
    need(Test, "mkfs.vfat (virtual media)", Programs(&["mkfs.vfat"]), &["dosfstools"]),
    need(Test, "genisoimage (virtual media)", Programs(&["genisoimage"]), &["genisoimage"]),
    need(Test, "faketime (a wall clock that jumps)", Programs(&["faketime"]), &["faketime"]),
    need(Test, "dbus-daemon (the restart of IPA's unit)", Programs(&["dbus-daemon"]), &["dbus"]),
    need(
        Test,
        "qemu-system-x86_64, busybox, cpio, depmod, mcopy (ramdisks)",
        Programs(&["qemu-system-x86_64", "busybox", "cpio", "depmod", "mcopy"]),
        &["qemu-system-x86", "busybox-static", "cpio", "kmod", "mtools"],
    ),
    need(Ramdisk, "mmdebstrap (a Debian root)", Programs(&["mmdebstrap"]), &["mmdebstrap"]),
    need(
        Ramdisk,
        "debootstrap, sudo, qemu-img, kpartx, mksquashfs, uuidgen, file (diskimage-builder)",
        Programs(&["debootstrap", "sudo", "qemu-img", "kpartx", "mksquashfs", "uuidgen", "file"]),
        &["debootstrap", "sudo", "qemu-utils", "kpartx", "squashfs-tools", "uuid-runtime", "file"],
    ),
    need(
        Bench,
        "prometheus-node-exporter (what the daemon is compared with)",
        Programs(&["prometheus-node-exporter"]),
        &["prometheus-node-exporter"],
    ),
    need(
        Cross,
        "aarch64-linux-gnu-gcc (a C compiler and linker for 64-bit Arm)",
        Programs(&["aarch64-linux-gnu-gcc"]),
        &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    ),
    need(
        Emulate,
        "qemu-aarch64, qemu-system-aarch64 (programs and guests of 64-bit Arm)",
        Programs(&["qemu-aarch64", "qemu-system-aarch64"]),
        &["qemu-user", "qemu-system-arm"],
    ),
    need(
        Emulate,
        "skopeo, umoci, bwrap (the image)",
        Programs(&["skopeo", "umoci", "bwrap"]),
        &["skopeo", "umoci", "bubblewrap"],
    ),
];

const fn need(purpose: Purpose, what: &'static str, check: Check, packages: &'static [&'static str]) -> Need {
    Need { purpose, what, check, packages }
}

/// Installs what is missing with apt-get; the note says what was done.
///
/// # Errors
/// [`Missing`], with the command that would help, where we are not root, there is no apt-get, or it did not help.
pub fn ensure(purpose: Purpose) -> anyhow::Result<String> {
    let missing = missing(purpose);
    if missing.is_empty() {
        return Ok("all there".to_owned());
    }
    for need in &missing {
        println!("missing: {}", need.what);
    }
    let packages = packages(&missing);
    if !testbed::is_root() || !in_path("apt-get") {
        return Err(Missing(advice(&missing)).into());
    }
    install(&packages)?;
    let still = self::missing(purpose);
    if still.is_empty() {
        return Ok(format!("installed {}", packages.join(" ")));
    }
    Err(Missing(format!("apt-get has done its work, and yet:\n{}", advice(&still))).into())
}

/// An error without root, which network namespaces need; `what` names who makes them.
///
/// # Errors
/// [`Missing`] without root.
pub fn ensure_root(what: &str) -> anyhow::Result<()> {
    if testbed::is_root() {
        return Ok(());
    }
    let advice = "for example with sudo --preserve-env=PATH,HOME";
    Err(Missing(format!("{what} makes network namespaces, which needs root: {advice}")).into())
}

/// Fetches apt's lists, which a fresh machine does not have. Without root or apt-get it does nothing: the
/// search that follows then reports what is missing.
///
/// # Errors
/// Where apt-get fails.
pub fn refresh_apt_lists() -> anyhow::Result<()> {
    if testbed::is_root() && in_path("apt-get") {
        process::run(apt().arg("update"))?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    refresh_apt_lists()?;
    process::run(apt().args(["-y", "--no-install-recommends", "install"]).args(packages))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    // A package's service (prometheus) is not wanted, only its programs: nothing gets started.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("SYSTEMD_OFFLINE", "1").env("RUNLEVEL", "1");
    command.args(["-q", "-o", "Dpkg::Use-Pty=0"]);
    command
}

fn missing(purpose: Purpose) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| purpose.includes(need.purpose) && !there(&need.check)).collect()
}

fn there(check: &Check) -> bool {
    match check {
        Check::Programs(names) => names.iter().all(|name| in_path(name)),
        Python(text) => {
            let mut command = Command::new("python3");
            command.args(["-c", text]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        }
    }
}

fn in_path(name: &str) -> bool {
    let path = process::search_path();
    std::env::split_paths(&path).map(|directory| directory.join(name)).any(|file| is_program(&file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn packages(needs: &[&Need]) -> Vec<&'static str> {
    needs.iter().flat_map(|need| need.packages).copied().collect()
}

/// What is missing and the command that installs it on Debian.
fn advice(needs: &[&Need]) -> String {
    let mut text = String::new();
    for need in needs {
        let _ = writeln!(text, "missing: {}", need.what); // Writing to a String does not fail.
    }
    let packages = packages(needs).join(" ");
    let _ = write!(
        text,
        "on Debian or Ubuntu, as root: apt-get update && apt-get install --no-install-recommends {packages}"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_seen_and_what_is_not_is_named() {
        assert!(there(&Programs(&["sh", "cat"])));
        assert!(!there(&Programs(&["sh", "no-such-program"])));
        assert!(!there(&Python("import sys; sys.exit(1)")));
        assert!(!is_program(Path::new("/etc/passwd")) && !is_program(Path::new("/")));
        let need = |what, packages| Need { purpose: Purpose::Test, what, check: Programs(&[]), packages };
        let (one, two) = (need("first", &["a", "b"]), need("second", &["c"]));
        assert_eq!(
            advice(&[&one, &two]),
            "missing: first\nmissing: second\non Debian or Ubuntu, as root: apt-get update && \
             apt-get install --no-install-recommends a b c"
        );
    }

    #[test]
    fn a_purpose_takes_what_comes_before_it_and_no_package_stands_twice() {
        let takes = |purpose: Purpose| {
            [Build, Fuzz, Test, Ramdisk, Bench, Cross, Emulate]
                .into_iter()
                .filter(|other| purpose.includes(*other))
                .collect::<Vec<_>>()
        };
        assert_eq!(takes(Build), [Build]);
        assert_eq!(takes(Fuzz), [Build, Fuzz]);
        assert_eq!(takes(Test), [Build, Fuzz, Test]);
        assert_eq!(takes(Ramdisk), [Build, Fuzz, Test, Ramdisk]);
        assert_eq!(takes(Bench), [Build, Fuzz, Test, Bench]);
        assert_eq!(takes(Cross), [Cross]);
        assert_eq!(takes(Emulate), [Emulate]);
        let mut all = packages(&NEEDS.iter().collect::<Vec<_>>());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
