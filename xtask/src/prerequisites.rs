//! The programs that building and testing need, and the Debian packages that bring them.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use testbed::venv::{HEADERS_CHECK, PYTHON_CHECK};

use crate::{Missing, process};

/// Something that is needed: how it shows that it is there, and the packages that bring it.
struct Need {
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

/// The first so many of [`NEEDS`] are enough to build, and for the demo.
const NEEDED_TO_BUILD: usize = 4;
/// The first so many are enough to fuzz.
const NEEDED_TO_FUZZ: usize = 5;

static NEEDS: &[Need] = &[
    Need {
        what: "a C compiler and linker (ring, and Rust itself)",
        check: Check::Programs(&["cc"]),
        packages: &["gcc", "libc6-dev"],
    },
    Need { what: "ip (network namespaces)", check: Check::Programs(&["ip"]), packages: &["iproute2"] },
    Need {
        what: "unshare, nsenter, setpriv, setsid, losetup, lscpu (namespaces, loop devices, what IPA asks)",
        check: Check::Programs(&["unshare", "nsenter", "setpriv", "setsid", "losetup", "lscpu"]),
        packages: &["util-linux", "mount"],
    },
    Need { what: "zstd (the release)", check: Check::Programs(&["zstd"]), packages: &["zstd"] },
    Need { what: "a C++ compiler (libFuzzer)", check: Check::Programs(&["c++"]), packages: &["g++"] },
    Need {
        what: "python3 of 3.11 or later with venv (the real Ironic)",
        check: Check::Python(PYTHON_CHECK),
        packages: &["python3", "python3-venv"],
    },
    Need {
        what: "Python.h (an older ironic-python-agent builds a part of itself)",
        check: Check::Python(HEADERS_CHECK),
        packages: &["python3-dev"],
    },
    Need {
        what: "prometheus, promtool (scrapes, metrics, alert rules, boards)",
        check: Check::Programs(&["prometheus", "promtool"]),
        packages: &["prometheus"],
    },
    Need {
        what: "strace, curl (what the daemon does and serves)",
        check: Check::Programs(&["strace", "curl"]),
        packages: &["strace", "curl"],
    },
    Need {
        what: "chromium (the page)",
        check: Check::Programs(&["chromium"]),
        packages: &["chromium", "fonts-dejavu-core"],
    },
    Need {
        what: "mkfs.vfat (virtual media)",
        check: Check::Programs(&["mkfs.vfat"]),
        packages: &["dosfstools"],
    },
    Need {
        what: "genisoimage (virtual media)",
        check: Check::Programs(&["genisoimage"]),
        packages: &["genisoimage"],
    },
    Need {
        what: "faketime (a wall clock that jumps)",
        check: Check::Programs(&["faketime"]),
        packages: &["faketime"],
    },
    Need {
        what: "dbus-daemon (the restart of IPA's unit)",
        check: Check::Programs(&["dbus-daemon"]),
        packages: &["dbus"],
    },
    Need {
        what: "qemu-system-x86_64, busybox, cpio, depmod, mcopy (ramdisks)",
        check: Check::Programs(&["qemu-system-x86_64", "busybox", "cpio", "depmod", "mcopy"]),
        packages: &["qemu-system-x86", "busybox-static", "cpio", "kmod", "mtools"],
    },
    Need { what: "zstd (the release)", check: Check::Programs(&["zstd"]), packages: &["zstd"] },
];

/// What only the larger ramdisks need: they are built by name.
static NEEDS_OF_RAMDISKS: &[Need] = &[
    Need {
        what: "mmdebstrap (a Debian root)",
        check: Check::Programs(&["mmdebstrap"]),
        packages: &["mmdebstrap"],
    },
    Need {
        what: "debootstrap, sudo, qemu-img, kpartx, mksquashfs, uuidgen, file (diskimage-builder)",
        check: Check::Programs(&[
            "debootstrap",
            "sudo",
            "qemu-img",
            "kpartx",
            "mksquashfs",
            "uuidgen",
            "file",
        ]),
        packages: &["debootstrap", "sudo", "qemu-utils", "kpartx", "squashfs-tools", "uuid-runtime", "file"],
    },
];

/// What is only measured beside the daemon.
static NEEDS_OF_BENCH: &[Need] = &[Need {
    what: "prometheus-node-exporter (what the daemon is compared with)",
    check: Check::Programs(&["prometheus-node-exporter"]),
    packages: &["prometheus-node-exporter"],
}];

/// Installs what is missing with apt-get; the note says what was done.
///
/// # Errors
/// [`Missing`], with the command that would help, where we are not root, there is no apt-get, or it did not help.
pub fn ensure() -> anyhow::Result<String> {
    ensure_of(NEEDS)
}

/// The same for what building and the demo need, which is less.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_to_build() -> anyhow::Result<String> {
    ensure_of(NEEDS.get(..NEEDED_TO_BUILD).unwrap_or(NEEDS))
}

/// The same for fuzzing.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_to_fuzz() -> anyhow::Result<String> {
    ensure_of(NEEDS.get(..NEEDED_TO_FUZZ).unwrap_or(NEEDS))
}

/// The same for all ramdisks: [`ensure`] and more.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_for_ramdisks() -> anyhow::Result<String> {
    let more = ensure_of(NEEDS_OF_RAMDISKS)?;
    Ok(format!("{}; {more}", ensure()?))
}

/// The same for `cargo xtask bench`: [`ensure`] and more.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_for_bench() -> anyhow::Result<String> {
    let more = ensure_of(NEEDS_OF_BENCH)?;
    Ok(format!("{}; {more}", ensure()?))
}

fn ensure_of(needs: &'static [Need]) -> anyhow::Result<String> {
    let missing = missing(needs);
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
    let still = self::missing(needs);
    if still.is_empty() {
        return Ok(format!("installed {}", packages.join(" ")));
    }
    Err(Missing(format!("apt-get has done its work, and yet:\n{}", advice(&still))).into())
}

/// Fetches apt's lists, which a fresh machine does not have. Without root or apt-get it does nothing: what is looked
/// for is then missing, and said to be.
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

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !there(&need.check)).collect()
}

fn there(check: &Check) -> bool {
    match check {
        Check::Programs(names) => names.iter().all(|name| in_path(name)),
        Check::Python(text) => {
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
        assert!(there(&Check::Programs(&["sh", "cat"])));
        assert!(!there(&Check::Programs(&["sh", "no-such-program"])));
        assert!(!there(&Check::Python("import sys; sys.exit(1)")));
        assert!(!is_program(Path::new("/etc/passwd")) && !is_program(Path::new("/")));
        let need = |what, packages| Need { what, check: Check::Programs(&[]), packages };
        let (one, two) = (need("first", &["a", "b"]), need("second", &["c"]));
        assert_eq!(
            advice(&[&one, &two]),
            "missing: first\nmissing: second\non Debian or Ubuntu, as root: apt-get update && \
             apt-get install --no-install-recommends a b c"
        );
    }
}
