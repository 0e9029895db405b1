//! The provision states that are asked for, one by one (ironic/common/states.py). docs/fleet.md lists them.

/// A state, and the API version that brought it (ironic/api/controllers/v1/versions.py); 1.8 is needed for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// As the API names it.
    pub name: &'static str,
    /// The minor version.
    pub since: u16,
}

const fn state(name: &'static str, since: u16) -> State {
    State { name, since }
}

/// In these a ramdisk runs, or is awaited.
pub const LIVE: [State; 14] = [
    state("wait call-back", 8),
    state("deploying", 8),
    state("deploy hold", 85),
    state("cleaning", 8),
    state("clean wait", 8),
    state("clean hold", 85),
    state("inspecting", 8),
    state("inspect wait", 39),
    state("rescuing", 38),
    state("rescue wait", 38),
    state("unrescuing", 38),
    state("servicing", 87),
    state("service wait", 87),
    state("service hold", 87),
];

/// In these Ironic has given up.
pub const FAILED: [State; 7] = [
    state("deploy failed", 8),
    state("clean failed", 8),
    state("inspect failed", 8),
    state("rescue failed", 38),
    state("unrescue failed", 38),
    state("service failed", 87),
    state("error", 8),
];

/// A ramdisk may run in these where the conductor has fast track (`[deploy]fast_track`).
pub const FAST_TRACK: [State; 3] = [state("available", 8), state("manageable", 8), state("enroll", 11)];

/// Every other state.
const FURTHER: [&str; 7] =
    ["active", "adopt failed", "adopting", "deleted", "deleting", "rescue", "verifying"];

/// The label of a state that no list here has.
pub const OTHER: &str = "other";

/// Every label that a state can have.
pub fn labels() -> impl Iterator<Item = &'static str> {
    let listed = LIVE.iter().chain(&FAILED).chain(&FAST_TRACK).map(|state| state.name);
    listed.chain(FURTHER).chain([OTHER])
}

/// The state as a label: a closed set, whatever Ironic says.
pub fn label(name: &str) -> &'static str {
    labels().find(|known| *known == name).unwrap_or(OTHER)
}

/// Whether Ironic has given up on a node in this state.
pub fn is_failed(name: &str) -> bool {
    FAILED.iter().any(|state| state.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_them_all() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.md");
        let text = std::fs::read_to_string(path).unwrap();
        for state in LIVE.iter().chain(&FAILED).chain(&FAST_TRACK) {
            assert!(text.contains(&format!("`{}`", state.name)), "{}", state.name);
        }
    }
}
