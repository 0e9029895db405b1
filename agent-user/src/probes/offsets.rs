//! Every offset that the BPF programs need, found out from this kernel.

use std::path::Path;

use agent_ebpf::{ABSENT, Offset};

use super::btf::Btf;
use super::format::field;
use super::report::{Reason, Unavailable};

/// A field of a tracepoint's record.
type Wanted = (Offset, &'static str);

/// sock:inet_sock_set_state; `protocol` is looked for apart.
const STATE: &[Wanted] = &[
    (Offset::StateSocket, "skaddr"),
    (Offset::StateOld, "oldstate"),
    (Offset::StateNew, "newstate"),
    (Offset::StateProtocol, "protocol"),
    (Offset::StateLocalPort, "sport"),
    (Offset::StatePeerPort, "dport"),
    (Offset::StateLocalAddress, "saddr_v6"),
    (Offset::StatePeerAddress, "daddr_v6"),
];
const REPORT: &[Wanted] = &[
    (Offset::ReportError, "error"),
    (Offset::ReportProtocol, "protocol"),
    (Offset::ReportLocalPort, "sport"),
    (Offset::ReportPeerPort, "dport"),
    (Offset::ReportLocalAddress, "saddr_v6"),
    (Offset::ReportPeerAddress, "daddr_v6"),
];
/// Members of kernel structures: of which, and the path to them.
const MEMBERS: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketError, "sock", &["sk_err"]),
    (Offset::SocketHint, "sock", &["sk_err_soft"]),
    (Offset::SocketNamespace, "sock", &["__sk_common", "skc_net"]),
    (Offset::NamespaceInode, "net", &["ns", "inum"]),
    (Offset::TaskNamespaces, "task_struct", &["nsproxy"]),
    (Offset::NetworkNamespace, "nsproxy", &["net_ns"]),
];

/// What is read of a socket where a tracepoint's record would tell it.
const SOCKET: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketSent, "tcp_sock", &["tcp_wstamp_ns"]),
    (Offset::SocketNumber, "sock", &["__sk_common", "skc_num"]),
    (Offset::SocketFamily, "sock", &["__sk_common", "skc_family"]),
    (Offset::SocketLocalPort, "inet_sock", &["inet_sport"]),
    (Offset::SocketPeerPort, "sock", &["__sk_common", "skc_dport"]),
    (Offset::SocketLocalAddress, "inet_sock", &["inet_saddr"]),
    (Offset::SocketPeerAddress, "sock", &["__sk_common", "skc_daddr"]),
];
/// What is read of connects whose call has returned.
const PENDING: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketInner, "socket", &["sk"]),
    (Offset::SocketState, "sock", &["__sk_common", "skc_state"]),
    (Offset::SocketStorage, "sock", &["sk_bpf_storage"]),
    (Offset::SocketFirstSent, "tcp_sock", &["retrans_stamp"]),
    (Offset::SocketReceived, "tcp_sock", &["rcv_nxt"]),
];
/// What is read of a packet that is answered with RST.
const PACKET: &[(Offset, &str, &[&str])] = &[
    (Offset::PacketHead, "sk_buff", &["head"]),
    (Offset::PacketNetwork, "sk_buff", &["network_header"]),
    (Offset::PacketProtocol, "sk_buff", &["protocol"]),
    (Offset::PacketData, "sk_buff", &["data"]),
    (Offset::PacketDevice, "sk_buff", &["dev"]),
    (Offset::DeviceNamespace, "net_device", &["nd_net"]),
];
/// The arguments of tcp_send_reset since it tells about ports without a listener: the socket, the packet, the reason.
const RESET_ARGUMENTS: usize = 3;
/// The same where the kernel has IPv6.
const SOCKET6: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketLocalAddress6, "sock", &["__sk_common", "skc_v6_rcv_saddr"]),
    (Offset::SocketPeerAddress6, "sock", &["__sk_common", "skc_v6_daddr"]),
];

/// The array of the object, and why a program may not be able to work.
#[derive(Debug)]
pub struct Offsets {
    values: [u32; Offset::COUNT],
}

impl Offsets {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self { values: [ABSENT; Offset::COUNT] }
    }

    /// For the programs.
    pub fn values(&self) -> &[u32; Offset::COUNT] {
        &self.values
    }

    /// Takes over where structures keep their members.
    ///
    /// # Errors
    /// The first member that the kernel does not have.
    pub fn read_members(&mut self, btf: &Btf<'_>) -> Result<(), Unavailable> {
        for (which, structure, path) in SOCKET6 {
            self.set(*which, btf.member_offset(structure, path).unwrap_or(ABSENT));
        }
        self.take(btf, MEMBERS.iter().chain(SOCKET))
    }

    /// What the programs behind trampolines need besides.
    ///
    /// # Errors
    /// As [`Offsets::read_members`].
    pub fn read_pending(&mut self, btf: &Btf<'_>) -> Result<(), Unavailable> {
        self.take(btf, PENDING)
    }

    /// What the program on tcp_send_reset needs besides.
    ///
    /// # Errors
    /// As [`Offsets::read_members`]; also before Linux 6.10, where that is silent about what has no socket.
    pub fn read_packets(&mut self, btf: &Btf<'_>) -> Result<(), Unavailable> {
        match btf.arguments("tcp_send_reset") {
            Some(RESET_ARGUMENTS..) => self.take(btf, PACKET),
            Some(_) => Err(Unavailable::new(
                Reason::NoTracepoint,
                "before Linux 6.10 tcp_send_reset tells nothing about a port without a listener",
            )),
            None => Err(Unavailable::new(Reason::NoTracepoint, "BTF tells no tracepoint tcp_send_reset")),
        }
    }

    fn take<'a>(
        &mut self,
        btf: &Btf<'_>,
        members: impl IntoIterator<Item = &'a (Offset, &'a str, &'a [&'a str])>,
    ) -> Result<(), Unavailable> {
        for (which, structure, path) in members {
            let offset = btf.member_offset(structure, path).ok_or_else(|| {
                let path = path.join(".");
                Unavailable::new(Reason::NoBtf, format!("BTF tells no {path} of struct {structure}"))
            })?;
            self.set(*which, offset);
        }
        Ok(())
    }

    /// sock:inet_sock_set_state, of the tracefs that is mounted there.
    ///
    /// # Errors
    /// Where the tracepoint or one of its fields is missing.
    pub fn read_state(&mut self, tracefs: &Path) -> Result<(), Unavailable> {
        let format = self.read(tracefs, "sock/inet_sock_set_state", STATE)?;
        let length = field(&format, "protocol").map_or(0, |protocol| protocol.size);
        self.set(Offset::StateProtocolLength, length);
        Ok(())
    }

    /// sock:inet_sk_error_report.
    ///
    /// # Errors
    /// As [`Offsets::read_state`].
    pub fn read_report(&mut self, tracefs: &Path) -> Result<(), Unavailable> {
        self.read(tracefs, "sock/inet_sk_error_report", REPORT).map(drop)
    }

    fn read(&mut self, tracefs: &Path, tracepoint: &str, wanted: &[Wanted]) -> Result<String, Unavailable> {
        let path = tracefs.join("events").join(tracepoint).join("format");
        let missing = |what: String| Unavailable::new(Reason::NoTracepoint, what);
        let format = std::fs::read_to_string(&path)
            .map_err(|error| missing(format!("{}: {error}", path.display())))?;
        for (which, name) in wanted {
            let found = field(&format, name)
                .ok_or_else(|| missing(format!("tracepoint {tracepoint} has no field {name}")))?;
            self.set(*which, found.offset);
        }
        Ok(format)
    }

    fn set(&mut self, which: Offset, value: u32) {
        if let Some(place) = self.values.get_mut(which as usize) {
            *place = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn tracefs(name: &str, tracepoint: &str, format: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("ipa-sidecar-offsets-{name}-{}", std::process::id()));
        let directory = root.join("events").join(tracepoint);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("format"), format).unwrap();
        root
    }

    #[test]
    fn every_place_of_the_state_tracepoint_is_set() {
        let format = include_str!("fixtures/inet_sock_set_state-6.18.txt");
        let root = tracefs("state", "sock/inet_sock_set_state", format);
        let mut offsets = Offsets::new();
        offsets.read_state(&root).unwrap();
        let value = |which| offsets.values()[which as usize];
        assert_eq!(value(Offset::StateSocket), 8);
        assert_eq!(value(Offset::StateProtocol), 30);
        assert_eq!(value(Offset::StateProtocolLength), 2);
        assert_eq!(value(Offset::StatePeerAddress), 56);
        assert_eq!(value(Offset::SocketError), ABSENT);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let format = "\tfield:int error;\toffset:8;\tsize:4;\tsigned:1;\n";
        let root = tracefs("missing", "sock/inet_sk_error_report", format);
        let mut offsets = Offsets::new();
        let error = offsets.read_report(&root).unwrap_err();
        assert_eq!(error.reason, Reason::NoTracepoint);
        assert_eq!(error.detail, "tracepoint sock/inet_sk_error_report has no field protocol");
        assert!(offsets.read_state(&root).unwrap_err().detail.contains("inet_sock_set_state"));
        fs::remove_dir_all(root).unwrap();
    }
}
