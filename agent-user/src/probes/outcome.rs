//! The errors of connects by name: the label `errno` of `connect_failures_total`.

use agent_ebpf::{Event, sureness};
use fib::{ERRNO_NAMES, Errno};

/// Every value of the label.
pub fn labels() -> impl Iterator<Item = &'static str> {
    ERRNO_NAMES.into_iter().map(|(_, name)| name).chain(["abandoned", "other", "unknown"])
}

/// The name; `abandoned` where the caller gave up, `unknown` where no source knew, `other` for what is not named here.
pub fn label(event: &Event) -> &'static str {
    match (event.sureness, event.errno) {
        (sureness::ABANDONED, _) => "abandoned",
        (_, 0) => "unknown",
        (_, errno) => i32::try_from(errno).ok().and_then(|errno| Errno(errno).name()).unwrap_or("other"),
    }
}

/// How sure it is: for `/state` and the log.
pub fn sureness_name(event: &Event) -> &'static str {
    match event.sureness {
        sureness::SOCKET => "socket",
        sureness::CALL => "call",
        sureness::HINT => "hint",
        sureness::ABANDONED => "abandoned",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sureness: u32, errno: u32) -> (&'static str, &'static str) {
        let event = Event { sureness, errno, ..Event::default() };
        (label(&event), sureness_name(&event))
    }

    #[test]
    fn labels_are_a_closed_set() {
        assert_eq!(of(sureness::SOCKET, 111), ("ECONNREFUSED", "socket"));
        assert_eq!(of(sureness::CALL, 101), ("ENETUNREACH", "call"));
        assert_eq!(of(sureness::CALL, 4095), ("other", "call"));
        assert_eq!(of(sureness::ABANDONED, 0), ("abandoned", "abandoned"));
        assert_eq!(of(sureness::UNKNOWN, 0), ("unknown", "unknown"));
        assert_eq!(of(77, 0), ("unknown", "unknown"));
    }
}
