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
    /// `sport`.
    ReportLocalPort,
    /// `dport`.
    ReportPeerPort,
    /// `saddr_v6`.
    ReportLocalAddress,
    /// `daddr_v6`.
    ReportPeerAddress,
    /// `struct sock`, `sk_err`.
    SocketError,
    /// `struct sock`, `sk_err_soft`.
    SocketHint,
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
    /// `struct sock`, `__sk_common.skc_state`.
    SocketState,
    /// `struct sock`, `__sk_common.skc_num`: the port of this side, in the machine's byte order.
    SocketNumber,
    /// `struct sock`, `sk_bpf_storage`.
    SocketStorage,
    /// `struct tcp_sock`, `tcp_wstamp_ns`: when the last segment was sent.
    SocketSent,
    /// `struct tcp_sock`, `retrans_stamp`: when the first SYN was sent, in milliseconds.
    SocketFirstSent,
    /// `struct tcp_sock`, `rcv_nxt`: 0 until the peer has answered a SYN.
    SocketReceived,
    /// `struct socket`, `sk`.
    SocketInner,
    /// `struct sk_buff`, `head`.
    PacketHead,
    /// `struct sk_buff`, `network_header`: from `head` on.
    PacketNetwork,
    /// `struct sk_buff`, `protocol`.
    PacketProtocol,
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
