//! What the tests and the demo stand on: network namespaces that vanish with their owner, a stand-in Ironic that can
//! show every fault, a real Ironic, a real Keystone, a real ironic-python-agent and one of the seed's time.
#![allow(clippy::disallowed_methods)] // The testbed may run subprocesses; the daemon may not.

pub mod architecture;
pub mod browser;
pub mod cache;
pub mod chromium;
pub mod counting;
pub mod daemon;
pub mod debian;
pub mod dib;
pub mod grafana;
mod guardian;
pub mod guest;
pub mod http;
pub mod ipa;
pub mod ironic;
pub mod keystone;
pub mod netns;
pub mod run;
pub mod seed_ipa;
pub mod site;
pub mod stand_in;
pub mod venv;

/// Whether this process may make namespaces.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether what a test needs is here. Where it is missing, the running test reports that and has to end.
///
/// # Panics
/// Where it is missing and the variable `CI` is set.
pub fn have(what: &str, here: bool) -> bool {
    if !here {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("this program");
        assert!(std::env::var_os("CI").is_none(), "{test} needs {what}, and CI has it");
        eprintln!("SKIP: {test} needs {what}");
    }
    here
}

/// Whether a program that a test needs is installed; see [`have`].
pub fn have_program(program: &str) -> bool {
    have(program, std::process::Command::new(program).arg("--version").output().is_ok())
}

/// Whether a test that needs root can run; see [`have`].
pub fn needs_root() -> bool {
    have("root", is_root())
}

/// The first line of a test that needs root, and perhaps programs: without them the test ends here; see [`have`].
#[macro_export]
macro_rules! root_test {
    ($($program:literal),*) => {
        if !$crate::needs_root() $(|| !$crate::have_program($program))* {
            return;
        }
    };
}
