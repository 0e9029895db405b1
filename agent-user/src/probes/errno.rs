//! The errors of connects by name: the label `errno` of `connect_failures_total`.

use agent_ebpf::{Event, sureness};

/// Names from include/uapi/asm-generic/errno-base.h and errno.h; those that connect(2) and tcp(7) can end with.
const NAMES: [(u32, &str); 22] = [
    (1, "EPERM"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (19, "ENODEV"),
    (22, "EINVAL"),
    (32, "EPIPE"),
    (71, "EPROTO"),
    (92, "ENOPROTOOPT"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (126, "ENOKEY"),
];

/// Every value of the label.
pub fn labels() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(_, name)| *name).chain(["abandoned", "other", "unknown"])
}

/// The name; `abandoned` where the caller gave up, `unknown` where no source told, `other` for what is not named here.
pub fn label(event: &Event) -> &'static str {
    match (event.sureness, event.errno) {
        (sureness::ABANDONED, _) => "abandoned",
        (_, 0) => "unknown",
        (_, errno) => {
            NAMES.iter().find_map(|(number, name)| (*number == errno).then_some(*name)).unwrap_or("other")
        }
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
