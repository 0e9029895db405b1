//! Giving up what only the start needs.

use std::io;
use std::time::{Duration, Instant};

use rustix::thread::{
    CapabilitySet, CapabilitySets, Pid, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use thiserror::Error;

/// Why they could not be given up.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// The kernel refused.
    #[error("capabilities cannot be dropped: {0}")]
    Kernel(#[from] io::Error),
    /// Another thread still has some.
    #[error("thread {0} keeps its capabilities")]
    Thread(String),
}

/// What attaching needs (capabilities(7), Linux 5.8 and newer).
pub const NEEDED: &str = "CAP_BPF, CAP_PERFMON; where there is no BTF and as another user than root \
                          CAP_DAC_READ_SEARCH, to read tracefs, and CAP_SYS_ADMIN, where that has to be mounted";

/// The thread that loads the probes takes a moment to leave with its mount namespace.
const LAST_THREAD: Duration = Duration::from_secs(1);

/// Sets no_new_privs and drops every capability of this thread, of those that it will start, and of their children.
///
/// # Errors
/// Where the kernel refuses.
pub fn drop_all() -> Result<(), PrivilegeError> {
    let from = |errno: rustix::io::Errno| PrivilegeError::Kernel(errno.into());
    set_no_new_privs(true).map_err(from)?;
    // The bounding set wants CAP_SETPCAP, the ambient set Linux 4.3: what follows does not depend on either.
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(from)
}

/// Waits until no thread of this process has a capability, but for one that `keeps` its own until its work is done.
///
/// # Errors
/// Where another one still has some after a second.
pub async fn none_left(keeps: Option<Pid>) -> Result<(), PrivilegeError> {
    let started = Instant::now();
    while let Some(thread) = privileged_thread(keeps).map_err(PrivilegeError::Kernel)? {
        if started.elapsed() >= LAST_THREAD {
            return Err(PrivilegeError::Thread(thread));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// A thread of this process that still has capabilities.
fn privileged_thread(keeps: Option<Pid>) -> io::Result<Option<String>> {
    let keeps = keeps.map(|thread| thread.as_raw_nonzero().to_string());
    let threads = match std::fs::read_dir("/proc/self/task") {
        Ok(threads) => threads,
        // Without /proc nobody can look; the threads of the start have ended by then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for thread in threads {
        let path = thread?.path();
        if keeps.as_ref().is_some_and(|keeps| path.ends_with(keeps)) {
            continue;
        }
        // A thread that is gone by now has none.
        let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        if has_capabilities(&status) {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}

/// What this thread has now, as text.
pub fn described() -> String {
    match capabilities(None) {
        Ok(sets) if sets.effective.is_empty() => "none".to_owned(),
        Ok(sets) if sets.effective.contains(CapabilitySet::all()) => "all".to_owned(),
        Ok(sets) => {
            sets.effective.iter_names().map(|(name, _)| format!("CAP_{name}")).collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("unknown: {error}"),
    }
}

/// `CapEff` or `CapPrm` of /proc/PID/status (proc_pid_status(5)) is not zero.
fn has_capabilities(status: &str) -> bool {
    status.lines().any(|line| {
        let value = line.strip_prefix("CapEff:").or_else(|| line.strip_prefix("CapPrm:"));
        value.is_some_and(|value| value.trim().chars().any(|digit| digit != '0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_status() {
        assert!(has_capabilities("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n"));
        assert!(!has_capabilities(
            "CapInh:\t0000000000000001\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
        ));
        assert!(!has_capabilities(""));
    }
}
