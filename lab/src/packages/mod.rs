//! `cargo lab packages`: each package in a fresh Debian root: installed, used, upgraded, removed. Nothing of it may stay, and
//! nothing of the operator's may go.

mod root;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use xtask::dist::package::{self, Content};
use xtask::dist::product::Kind;
use xtask::dist::{self, Release, VERSION};
use xtask::prerequisites::{self, Purpose};

use crate::owned::Scratch;
use root::Root;

/// A version below the one of this checkout, for the upgrade.
const OLDER: &str = "0.0.9";

/// Directories of shells: where a shell is installed they are its own, so no .rpm may take them away.
const OF_SHELLS: [&str; 3] =
    ["usr/share/fish", "usr/share/fish/vendor_completions.d", "usr/share/zsh/site-functions"];

/// What is tried with one program.
struct Trial {
    package: &'static str,
    unit: &'static str,
    /// Makes what an operator and a running daemon leave.
    use_it: &'static str,
    /// What of that must stay after the removal.
    stays: &'static [&'static str],
    /// And what must not.
    goes: &'static [&'static str],
}

const TRIALS: [Trial; 2] = [
    Trial {
        package: "ipa-sidecar",
        unit: "ipa-sidecar.service",
        use_it: include_str!("use-sidecar.sh"),
        stays: &["etc/ipa-sidecar.env", "etc/ironic-python-agent.d/zz-other.conf"],
        goes: &["etc/ironic-python-agent.d/zz-ipa-sidecar.conf", "run/ipa-sidecar"],
    },
    Trial {
        package: "ipa-fleet",
        unit: "ipa-fleet.service",
        use_it: include_str!("use-fleet.sh"),
        stays: &["etc/ipa-fleet.env", "etc/ipa-fleet/password"],
        goes: &[],
    },
];

/// Tries all of them; the last line is what was tried.
///
/// # Errors
/// Where something is missing, or a package does what it must not.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_root("packages")?;
    println!("prerequisites: {}", prerequisites::ensure(Purpose::Ramdisk)?);
    let releases = dist::all_here()?;
    let started = Instant::now();
    let older = Scratch::new("packages")?;
    for (trial, release) in TRIALS.iter().zip(&releases) {
        for kind in Kind::ALL {
            try_one(trial, release, kind, older.path())
                .with_context(|| format!("{}, {}", trial.package, kind.extension()))?;
        }
    }
    println!(
        "4 packages installed, upgraded and removed in a Debian root, {:.0} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn try_one(trial: &Trial, release: &Release, kind: Kind, scratch: &Path) -> anyhow::Result<()> {
    println!("\n{}: .{}", trial.package, kind.extension());
    let content = Content { version: OLDER, ..release.content() };
    let older = package::make(&content, kind, scratch)?;
    let newer =
        release.packages.iter().find(|file| file.extension().is_some_and(|end| end == kind.extension()));
    let newer = newer.context("no such package in the release")?;
    let root = Root::new()?;
    let [older, newer] = [root.take(&older)?, root.take(newer)?];
    root.run("mkdir -p /etc/ironic-python-agent.d")?;
    let before = root.files()?;

    root.run(&install(kind, &older, false))?;
    let state = root.run(&format!("systemctl is-enabled {} || true", trial.unit))?;
    ensure!(state == "disabled", "after its installation the unit is {state}");
    check_files(trial, &root, release)?;
    root.run(trial.use_it)?;
    root.run(&format!("systemctl --quiet enable {}", trial.unit))?;

    root.run(&install(kind, &newer, true))?;
    let state = root.run(&format!("systemctl is-enabled {}", trial.unit))?;
    ensure!(state == "enabled", "after the upgrade the unit is {state}");
    let version = root.run(&format!("{} --version", trial.package))?;
    ensure!(version.starts_with(&format!("{} {VERSION}", trial.package)), "it is {version}");

    root.run(&match kind {
        Kind::Deb => format!("dpkg --remove {}", trial.package),
        Kind::Rpm => format!("rpm --force-debian -e {}", trial.package),
    })?;
    if kind == Kind::Deb {
        root.run(&format!("dpkg --purge {}", trial.package))?;
    }
    let after = root.files()?;
    for file in trial.stays {
        ensure!(after.contains(Path::new(file)), "/{file} of the operator is gone");
    }
    for file in trial.goes {
        ensure!(!after.contains(Path::new(file)), "/{file} is still there");
    }
    let lost: Vec<&PathBuf> = before.difference(&after).collect();
    let is_operators = |file: &Path| trial.stays.iter().any(|stays| Path::new(stays).starts_with(file));
    let is_shells = |file: &Path| OF_SHELLS.iter().any(|own| file == Path::new(own));
    let left = after.difference(&before).filter(|file| !is_operators(file) && !is_shells(file));
    let left: Vec<&PathBuf> = left.collect();
    ensure!(lost.is_empty() && left.is_empty(), "the removal took {lost:?} and left {left:?}");
    println!("  {} files as before, and what the operator made", before.len());
    Ok(())
}

fn install(kind: Kind, file: &str, is_upgrade: bool) -> String {
    match kind {
        Kind::Deb => format!("dpkg -i {file}"),
        // Debian's rpm wants to be asked twice. The root has a shell that no .rpm brought.
        Kind::Rpm => format!("rpm --force-debian --nodeps {} {file}", if is_upgrade { "-U" } else { "-i" }),
    }
}

/// Each file of the archive is there, the scripts can be read by their shells, and systemd takes the units.
fn check_files(trial: &Trial, root: &Root, release: &Release) -> anyhow::Result<()> {
    let Trial { package, .. } = trial;
    let there = root.files()?;
    for file in release.files()? {
        let found = Kind::ALL.iter().any(|kind| {
            let place = xtask::dist::product::place(package, *kind, &file);
            // Debian's pages and long documents are compressed (policy 12.1, 12.3).
            [place.clone(), format!("{place}.gz")].iter().any(|one| there.contains(Path::new(one)))
        });
        ensure!(found, "{file} of the archive is not in the package");
    }
    root.run(&format!("bash -n /usr/share/bash-completion/completions/{package}"))?;
    root.run(&format!("zsh -n /usr/share/zsh/*/_{package}"))?;
    root.run(&format!(
        "for unit in /usr/lib/systemd/system/{package}*; do systemd-analyze verify --man=no $unit; done"
    ))?;
    Ok(())
}
