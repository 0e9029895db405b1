//! The real ironic-python-agent as deploy images have it: a virtual environment in /opt and a unit.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use testbed::ipa::{RealIpa, VERSION};

use xtask::process;

/// Where deploy images have it.
const PLACE: &str = "opt/ironic-python-agent";
/// The Python of the guest, Debian bookworm's; the compiled parts are for this version.
const PYTHON: &str = "python3.11";

/// As ironic-python-agent-builder writes it (`dib/ironic-python-agent-ramdisk`), without its firewall rules.
const UNIT: &str = include_str!("ironic-python-agent.service");

/// Puts it into a root directory.
///
/// # Errors
/// Where it cannot be installed, or was installed for another Python than the guest's.
pub fn put(root: &Path) -> anyhow::Result<()> {
    let installed = RealIpa::install(VERSION, &mut |line| println!("{line}"))?;
    let packages = installed.directory().join("venv/lib").join(PYTHON).join("site-packages");
    if !packages.is_dir() {
        bail!("the ironic-python-agent in the cache is not for {PYTHON}, which the guest has");
    }
    let place = root.join(PLACE);
    let library = place.join("lib").join(PYTHON);
    for directory in ["etc/systemd/system", "etc/ironic-python-agent.d"]
        .map(|directory| root.join(directory))
        .iter()
        .chain([&library, &place.join("bin")])
    {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    process::run(Command::new("cp").arg("-a").arg(&packages).arg(&library))?;
    fs::write(place.join("pyvenv.cfg"), "home = /usr/bin\ninclude-system-site-packages = false\n")?;
    symlink("/usr/bin/python3", place.join("bin/python3"))?;
    let program = place.join("bin/ironic-python-agent");
    let text = "#!/opt/ironic-python-agent/bin/python3\nimport sys\nfrom ironic_python_agent.cmd.agent import run\n\
                sys.exit(run())\n";
    fs::write(&program, text)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let unit: PathBuf = root.join("etc/systemd/system/ironic-python-agent.service");
    fs::write(unit, UNIT).context("IPA's unit")
}
