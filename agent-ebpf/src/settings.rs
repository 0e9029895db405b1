//! Where the running kernel keeps what the programs read. User space finds it out from the tracepoints' `format` files
//! and from BTF, and sets it before the programs are loaded.

/// The value of an offset that is not known.
pub const ABSENT: u32 = u32::MAX;

/// The places in the array `OFFSETS` of the object. In bytes; of a tracepoint's field from the record's start, of a
/// kernel structure's member from the structure's start.
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// sock:inet_sock_set_state, `skaddr`.
    StateSocket,
    /// `oldstate`.
    StateOld,
    /// `newstate`.
    StateNew,
    /// `protocol`; one byte before Linux 5.6, two since.
    StateProtocol,
    /// The length of `protocol`.
    StateProtocolLength,
    /// `family`.
    StateFamily,
    /// `sport`.
    StateLocalPort,
    /// `dport`.
    StatePeerPort,
    /// `saddr_v6`.
    StateLocalAddress,
    /// `daddr_v6`.
    StatePeerAddress,
    /// sock:inet_sk_error_report, `error`.
    ReportError,
    /// `protocol`.
    ReportProtocol,
    /// `family`.
    ReportFamily,
    /// `sport`.
    ReportLocalPort,
    /// `dport`.
    ReportPeerPort,
    /// `saddr_v6`.
    ReportLocalAddress,
    /// `daddr_v6`.
    ReportPeerAddress,
    /// tcp:tcp_send_reset, `skbaddr`.
    ResetPacket,
    /// `saddr`, a `struct sockaddr_in6`: this side.
    ResetLocal,
    /// `daddr`.
    ResetPeer,
    /// syscalls:sys_enter_connect, `fd`.
    EnterDescriptor,
    /// `uservaddr`.
    EnterAddress,
    /// syscalls:sys_exit_connect, `ret`.
    ExitResult,
    /// `struct sock`, `sk_err`.
    SocketError,
    /// `struct sock`, `sk_err_soft`.
    SocketHint,
    /// `struct sock`, `sk_protocol`; a bit field before Linux 5.6.
    SocketProtocol,
    /// `struct sock`, `__sk_common.skc_family`.
    SocketFamily,
    /// `struct inet_sock`, `inet_sport`.
    SocketLocalPort,
    /// `struct sock`, `__sk_common.skc_dport`.
    SocketPeerPort,
    /// `struct inet_sock`, `inet_saddr`.
    SocketLocalAddress,
    /// `struct sock`, `__sk_common.skc_daddr`.
    SocketPeerAddress,
    /// `struct sock`, `__sk_common.skc_v6_rcv_saddr`.
    SocketLocalAddress6,
    /// `struct sock`, `__sk_common.skc_v6_daddr`.
    SocketPeerAddress6,
    /// `struct sock`, `__sk_common.skc_net`.
    SocketNamespace,
    /// `struct net`, `ns.inum`.
    NamespaceInode,
    /// `struct task_struct`, `files`.
    TaskFiles,
    /// `struct files_struct`, `fdt`.
    FilesTable,
    /// `struct fdtable`, `fd`.
    TableFiles,
    /// `struct file`, `private_data`: of a socket its `struct socket`.
    FileData,
    /// `struct socket`, `type`.
    SocketType,
    /// `struct socket`, `sk`.
    SocketInner,
    /// `struct sk_buff`, `data`.
    PacketData,
    /// `struct sk_buff`, `dev`.
    PacketDevice,
    /// `struct net_device`, `nd_net`.
    DeviceNamespace,
    /// `struct task_struct`, `nsproxy`.
    TaskNamespaces,
    /// `struct nsproxy`, `net_ns`.
    NetworkNamespace,
}

impl Offset {
    /// How many there are.
    pub const COUNT: usize = Self::NetworkNamespace as usize + 1;
}
