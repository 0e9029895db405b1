//! Every offset that the BPF programs need, found out from this kernel.

use std::path::{Path, PathBuf};

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
    (Offset::StateFamily, "family"),
    (Offset::StateLocalPort, "sport"),
    (Offset::StatePeerPort, "dport"),
    (Offset::StateLocalAddress, "saddr_v6"),
    (Offset::StatePeerAddress, "daddr_v6"),
];
const REPORT: &[Wanted] = &[
    (Offset::ReportError, "error"),
    (Offset::ReportProtocol, "protocol"),
    (Offset::ReportFamily, "family"),
    (Offset::ReportLocalPort, "sport"),
    (Offset::ReportPeerPort, "dport"),
    (Offset::ReportLocalAddress, "saddr_v6"),
    (Offset::ReportPeerAddress, "daddr_v6"),
];
const RESET: &[Wanted] =
    &[(Offset::ResetPacket, "skbaddr"), (Offset::ResetLocal, "saddr"), (Offset::ResetPeer, "daddr")];
const ENTER: &[Wanted] = &[(Offset::EnterDescriptor, "fd"), (Offset::EnterAddress, "uservaddr")];
const EXIT: &[Wanted] = &[(Offset::ExitResult, "ret")];

/// Members of kernel structures: of which, and the path to them.
const MEMBERS: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketError, "sock", &["sk_err"]),
    (Offset::SocketHint, "sock", &["sk_err_soft"]),
    (Offset::SocketNamespace, "sock", &["__sk_common", "skc_net"]),
    (Offset::NamespaceInode, "net", &["ns", "inum"]),
    (Offset::TaskFiles, "task_struct", &["files"]),
    (Offset::FilesTable, "files_struct", &["fdt"]),
    (Offset::TableFiles, "fdtable", &["fd"]),
    (Offset::FileData, "file", &["private_data"]),
    (Offset::SocketType, "socket", &["type"]),
    (Offset::SocketInner, "socket", &["sk"]),
    (Offset::PacketData, "sk_buff", &["data"]),
    (Offset::PacketDevice, "sk_buff", &["dev"]),
    (Offset::DeviceNamespace, "net_device", &["nd_net"]),
    (Offset::TaskNamespaces, "task_struct", &["nsproxy"]),
    (Offset::NetworkNamespace, "nsproxy", &["net_ns"]),
];

/// What the raw tracepoint reads where the tracepoint's record would tell it.
const SOCKET: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketProtocol, "sock", &["sk_protocol"]),
    (Offset::SocketFamily, "sock", &["__sk_common", "skc_family"]),
    (Offset::SocketLocalPort, "inet_sock", &["inet_sport"]),
    (Offset::SocketPeerPort, "sock", &["__sk_common", "skc_dport"]),
    (Offset::SocketLocalAddress, "inet_sock", &["inet_saddr"]),
    (Offset::SocketPeerAddress, "sock", &["__sk_common", "skc_daddr"]),
];
/// The same where the kernel has IPv6.
const SOCKET6: &[(Offset, &str, &[&str])] = &[
    (Offset::SocketLocalAddress6, "sock", &["__sk_common", "skc_v6_rcv_saddr"]),
    (Offset::SocketPeerAddress6, "sock", &["__sk_common", "skc_v6_daddr"]),
];

/// The array of the object, and why a program may not be able to work.
#[derive(Debug)]
pub struct Offsets {
    events: PathBuf,
    values: [u32; Offset::COUNT],
}

impl Offsets {
    /// Nothing is known yet; tracefs is mounted here.
    pub fn new(tracefs: &Path) -> Self {
        Self { events: tracefs.join("events"), values: [ABSENT; Offset::COUNT] }
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
        for (which, structure, path) in MEMBERS.iter().chain(SOCKET) {
            let offset = btf.member_offset(structure, path).ok_or_else(|| {
                let path = path.join(".");
                Unavailable::new(Reason::NoBtf, format!("BTF tells no {path} of struct {structure}"))
            })?;
            self.set(*which, offset);
        }
        Ok(())
    }

    /// sock:inet_sock_set_state.
    ///
    /// # Errors
    /// Where the tracepoint or one of its fields is missing.
    pub fn read_state(&mut self) -> Result<(), Unavailable> {
        let format = self.read("sock/inet_sock_set_state", STATE)?;
        let length = field(&format, "protocol").map_or(0, |protocol| protocol.size);
        self.set(Offset::StateProtocolLength, length);
        Ok(())
    }

    /// sock:inet_sk_error_report.
    ///
    /// # Errors
    /// As [`Offsets::read_state`].
    pub fn read_report(&mut self) -> Result<(), Unavailable> {
        self.read("sock/inet_sk_error_report", REPORT).map(drop)
    }

    /// syscalls:sys_enter_connect and syscalls:sys_exit_connect.
    ///
    /// # Errors
    /// As [`Offsets::read_state`].
    pub fn read_calls(&mut self) -> Result<(), Unavailable> {
        self.read("syscalls/sys_enter_connect", ENTER)?;
        self.read("syscalls/sys_exit_connect", EXIT).map(drop)
    }

    /// tcp:tcp_send_reset.
    ///
    /// # Errors
    /// As [`Offsets::read_state`]; also before Linux 6.10, where it is silent about what has no socket. It got its field
    /// `reason` then.
    pub fn read_reset(&mut self) -> Result<(), Unavailable> {
        let format = self.read("tcp/tcp_send_reset", RESET)?;
        match field(&format, "reason") {
            Some(_) => Ok(()),
            None => Err(Unavailable::new(
                Reason::NoTracepoint,
                "before Linux 6.10 tcp:tcp_send_reset tells nothing about a port without a listener",
            )),
        }
    }

    fn read(&mut self, tracepoint: &str, wanted: &[Wanted]) -> Result<String, Unavailable> {
        let path = self.events.join(tracepoint).join("format");
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
        let mut offsets = Offsets::new(&root);
        offsets.read_state().unwrap();
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
        let format = "\tfield:const void * skbaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
                      \tfield:__u8 saddr[28];\toffset:32;\tsize:28;\tsigned:0;\n";
        let root = tracefs("missing", "tcp/tcp_send_reset", format);
        let mut offsets = Offsets::new(&root);
        let error = offsets.read_reset().unwrap_err();
        assert_eq!(error.reason, Reason::NoTracepoint);
        assert_eq!(error.detail, "tracepoint tcp/tcp_send_reset has no field daddr");
        let old = format!("{format}\tfield:__u8 daddr[28];\toffset:60;\tsize:28;\tsigned:0;\n");
        fs::write(root.join("events/tcp/tcp_send_reset/format"), old).unwrap();
        assert!(offsets.read_reset().unwrap_err().detail.contains("6.10"));
        assert!(offsets.read_calls().unwrap_err().detail.contains("sys_enter_connect"));
        fs::remove_dir_all(root).unwrap();
    }
}
