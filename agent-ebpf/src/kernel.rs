//! Reading the kernel's memory at places that user space found out.

use core::ptr;

use agent_ebpf::{ABSENT, Offset};
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use aya_ebpf::{EbpfContext, Global, programs::TracePointContext};

/// IPPROTO_TCP (include/uapi/linux/in.h).
pub const IPPROTO_TCP: u16 = 6;
/// SOCK_STREAM (include/linux/net.h).
pub const SOCK_STREAM: u16 = 1;
/// AF_INET (include/linux/socket.h).
pub const AF_INET: u16 = 2;
/// AF_INET6.
pub const AF_INET6: u16 = 10;

/// See [`Offset`]. Set by user space before the programs are loaded, then constant to the verifier.
#[unsafe(no_mangle)]
static OFFSETS: [u32; Offset::COUNT] = [ABSENT; Offset::COUNT];
/// The inode number of the network namespace that counts; 0 where namespaces cannot be told apart.
#[unsafe(no_mangle)]
static NETWORK_NAMESPACE: Global<u32> = Global::new(0);

/// Where something is; `None` where this kernel does not tell.
#[inline(always)]
pub fn offset(which: Offset) -> Option<usize> {
    let place = (&raw const OFFSETS).cast::<u32>();
    // SAFETY: an Offset is less than the length of the array. Volatile, because the loader changes the value.
    let value = unsafe { ptr::read_volatile(place.add(which as usize)) };
    (value != ABSENT).then_some(value as usize)
}

/// A field of a tracepoint's record.
#[inline(always)]
pub fn field<T>(context: &TracePointContext, which: Offset) -> Option<T> {
    let offset = offset(which)?;
    // SAFETY: the helper checks the address, and T is plain data of the field's length.
    unsafe { context.read_at(offset) }.ok()
}

/// The address of a field of a tracepoint's record.
#[inline(always)]
pub fn field_address(context: &TracePointContext, which: Offset) -> Option<u64> {
    Some(context.as_ptr() as u64 + offset(which)? as u64)
}

/// A member of a kernel structure.
#[inline(always)]
pub fn member<T>(structure: u64, which: Offset) -> Option<T> {
    let offset = offset(which)? as u64;
    read(structure, offset)
}

/// Memory of the kernel.
#[inline(always)]
pub fn read<T>(address: u64, offset: u64) -> Option<T> {
    if address == 0 {
        return None;
    }
    // SAFETY: the helper checks the address; T is plain data.
    unsafe { bpf_probe_read_kernel((address + offset) as *const T) }.ok()
}

/// An IPv4 address as IPv6 maps it (RFC 4291, section 2.5.5.2).
#[inline(always)]
pub fn mapped(ip: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = ip;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// The inode number of a socket's network namespace if it is the one that counts, or 0 where that cannot be told.
#[inline(always)]
pub fn socket_namespace(socket: u64) -> Option<u32> {
    counted(|| member(socket, Offset::SocketNamespace))
}

/// The same of the device that a packet came by.
#[inline(always)]
pub fn packet_namespace(packet: u64) -> Option<u32> {
    counted(|| {
        let device: u64 = member(packet, Offset::PacketDevice)?;
        member(device, Offset::DeviceNamespace)
    })
}

/// The inode number of the current task's network namespace, any; 0 where that cannot be told.
#[inline(always)]
pub fn task_namespace() -> u32 {
    let inode = || {
        // SAFETY: the helper has no arguments and always answers.
        let task = unsafe { bpf_get_current_task() };
        let namespaces: u64 = member(task, Offset::TaskNamespaces)?;
        let network: u64 = member(namespaces, Offset::NetworkNamespace)?;
        member(network, Offset::NamespaceInode)
    };
    inode().unwrap_or(0)
}

/// Whether the current task may be in the network namespace that counts.
#[inline(always)]
pub fn current_task_counts() -> bool {
    let (ours, its) = (NETWORK_NAMESPACE.load(), task_namespace());
    ours == 0 || its == 0 || its == ours
}

#[inline(always)]
fn counted(namespace: impl FnOnce() -> Option<u64>) -> Option<u32> {
    let ours = NETWORK_NAMESPACE.load();
    if ours == 0 {
        return Some(0);
    }
    let inode: u32 = member(namespace()?, Offset::NamespaceInode)?;
    (inode == ours).then_some(inode)
}
