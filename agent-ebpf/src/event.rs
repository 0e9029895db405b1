//! One event as it stands in the ring buffer.

use core::mem::{offset_of, size_of};

/// TASK_COMM_LEN (include/linux/sched.h).
pub const COMM_LENGTH: usize = 16;
/// The length of an event in the ring buffer, in bytes.
pub const EVENT_LENGTH: usize = size_of::<Event>();

/// The length of the ring buffer, in bytes: 546 events. User space empties it every 50 ms while there are any.
pub const RING_BUFFER_LENGTH: u32 = 64 * 1024;

/// What happened: the values of [`Event::kind`].
pub mod kind {
    /// A connect of this namespace failed after it had sent a SYN, or its caller gave it up.
    pub const CONNECT_FAILED: u32 = 1;
    /// A connect call of this namespace returned an error, its own or the one that an earlier event has reported.
    pub const CALL_FAILED: u32 = 2;
    /// A socket's error was reported to its owner; only its addresses and `errno` are set.
    pub const ERROR_REPORTED: u32 = 3;
    /// A connection to the advertised port reached ESTABLISHED.
    pub const CALLBACK_ESTABLISHED: u32 = 4;
    /// A SYN to the advertised port was answered with RST.
    pub const CALLBACK_REFUSED: u32 = 5;
}

/// How sure [`Event::errno`] is: the values of [`Event::sureness`].
pub mod sureness {
    /// Neither source knew one.
    pub const UNKNOWN: u32 = 0;
    /// The socket's own error, as its owner reads it.
    pub const SOCKET: u32 = 1;
    /// What the connect call returned.
    pub const CALL: u32 = 2;
    /// What the network said before the caller closed the socket; the kernel was still trying.
    pub const HINT: u32 = 4;
    /// There is none: the caller closed the socket before the kernel knew an outcome.
    pub const ABANDONED: u32 = 3;
}

/// One event. Numbers are in the machine's byte order, ports too; IPv4 addresses are mapped into IPv6 (RFC 4291,
/// section 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When the connect began, in nanoseconds of CLOCK_MONOTONIC; 0 where that is unknown.
    pub started: u64,
    /// When this happened, on the same clock.
    pub ended: u64,
    /// The cgroup v2 id of the process that called connect.
    pub cgroup: u64,
    /// Which socket it is, as long as that lives; 0 where that is unknown. It is shown nowhere.
    pub socket: u64,
    /// The address of this side; zero where it is unknown.
    pub local_address: [u8; 16],
    /// The address of the other side.
    pub peer_address: [u8; 16],
    /// The name of the thread that called connect.
    pub comm: [u8; COMM_LENGTH],
    /// See [`kind`].
    pub kind: u32,
    /// The error number, positive; 0 where there is none.
    pub errno: u32,
    /// See [`sureness`].
    pub sureness: u32,
    /// The process that called connect.
    pub process: u32,
    /// Its thread.
    pub thread: u32,
    /// Its real user id.
    pub user: u32,
    /// The inode number of the socket's network namespace; 0 where that is unknown.
    pub network_namespace: u32,
    /// The port of this side; 0 before one was chosen, and where it is unknown.
    pub local_port: u16,
    /// The port of the other side.
    pub peer_port: u16,
}

// A hole would put kernel stack bytes into the ring buffer, which the verifier refuses.
const _: () = assert!(offset_of!(Event, peer_port) + 2 == EVENT_LENGTH);

impl Event {
    /// Reads an event from the ring buffer; `None` where the length is another.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != EVENT_LENGTH {
            return None;
        }
        Some(Self {
            started: u64::from_ne_bytes(at(bytes, offset_of!(Self, started))?),
            ended: u64::from_ne_bytes(at(bytes, offset_of!(Self, ended))?),
            cgroup: u64::from_ne_bytes(at(bytes, offset_of!(Self, cgroup))?),
            socket: u64::from_ne_bytes(at(bytes, offset_of!(Self, socket))?),
            local_address: at(bytes, offset_of!(Self, local_address))?,
            peer_address: at(bytes, offset_of!(Self, peer_address))?,
            comm: at(bytes, offset_of!(Self, comm))?,
            kind: u32::from_ne_bytes(at(bytes, offset_of!(Self, kind))?),
            errno: u32::from_ne_bytes(at(bytes, offset_of!(Self, errno))?),
            sureness: u32::from_ne_bytes(at(bytes, offset_of!(Self, sureness))?),
            process: u32::from_ne_bytes(at(bytes, offset_of!(Self, process))?),
            thread: u32::from_ne_bytes(at(bytes, offset_of!(Self, thread))?),
            user: u32::from_ne_bytes(at(bytes, offset_of!(Self, user))?),
            network_namespace: u32::from_ne_bytes(at(bytes, offset_of!(Self, network_namespace))?),
            local_port: u16::from_ne_bytes(at(bytes, offset_of!(Self, local_port))?),
            peer_port: u16::from_ne_bytes(at(bytes, offset_of!(Self, peer_port))?),
        })
    }
}

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_belongs_to_one_field() {
        let mut bytes = [0; EVENT_LENGTH];
        for (value, byte) in (0u8..).zip(bytes.iter_mut()) {
            *byte = value;
        }
        let event = Event::read(&bytes).unwrap();
        let ordered = |start: usize| u64::from_ne_bytes(at(&bytes, start).unwrap());
        assert_eq!(
            (event.started, event.ended, event.cgroup, event.socket),
            (ordered(0), ordered(8), ordered(16), ordered(24))
        );
        assert_eq!((event.local_address[0], event.peer_address[0], event.comm[0]), (32, 48, 64));
        assert_eq!(event.kind, u32::from_ne_bytes([80, 81, 82, 83]));
        assert_eq!(event.errno, u32::from_ne_bytes([84, 85, 86, 87]));
        assert_eq!(event.sureness, u32::from_ne_bytes([88, 89, 90, 91]));
        assert_eq!(event.process, u32::from_ne_bytes([92, 93, 94, 95]));
        assert_eq!(event.thread, u32::from_ne_bytes([96, 97, 98, 99]));
        assert_eq!(event.user, u32::from_ne_bytes([100, 101, 102, 103]));
        assert_eq!(event.network_namespace, u32::from_ne_bytes([104, 105, 106, 107]));
        assert_eq!(event.local_port, u16::from_ne_bytes([108, 109]));
        assert_eq!(event.peer_port, u16::from_ne_bytes([110, 111]));
    }

    #[test]
    fn another_length_is_refused() {
        assert_eq!(Event::read(&[0; EVENT_LENGTH - 1]), None);
        assert_eq!(Event::read(&[0; EVENT_LENGTH + 1]), None);
        assert_eq!(Event::read(&[]), None);
    }
}
