//! Reading the kernel's memory at places that user space found out.

use core::ffi::c_void;
use core::ptr;

use agent_ebpf::{ABSENT, Offset};
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use aya_ebpf::{Global, programs::TracePointContext};

/// IPPROTO_TCP (include/uapi/linux/in.h).
pub const IPPROTO_TCP: u16 = 6;
/// SOCK_STREAM (include/linux/net.h).
pub const SOCK_STREAM: u16 = 1;
/// AF_INET (include/linux/socket.h).
pub const AF_INET: u16 = 2;
/// AF_INET6.
pub const AF_INET6: u16 = 10;

/// 16 bytes as they stand in memory (the machine is little-endian).
pub type Words = [u64; 2];

/// See [`Offset`]. Set by user space before the programs are loaded, then constant to the verifier.
#[unsafe(no_mangle)]
static OFFSETS: [u32; Offset::COUNT] = [ABSENT; Offset::COUNT];
/// The inode number of the network namespace that counts; 0 where namespaces cannot be distinguished.
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

/// A pointer whose type the verifier knows from BTF, and that is not null. Its members are plain loads: an offset out of the
/// frozen array is a constant to the verifier, which checks each.
#[derive(Clone, Copy)]
pub struct Typed(*const c_void);

impl Typed {
    /// `None` where it is null.
    #[inline(always)]
    pub fn new(pointer: *const c_void) -> Option<Self> {
        (!pointer.is_null()).then_some(Self(pointer))
    }

    /// For helpers.
    #[inline(always)]
    pub fn pointer(self) -> *const c_void {
        self.0
    }

    /// A member that is no pointer.
    #[inline(always)]
    pub fn load<T: Copy>(self, which: Offset) -> Option<T> {
        self.load_at(offset(which)?)
    }

    /// A number at a place that is the same in every kernel.
    #[inline(always)]
    pub fn load_at<T: Copy>(self, offset: usize) -> Option<T> {
        // SAFETY: the verifier checks that it lies in the structure. Volatile, so that it is one load.
        Some(unsafe { ptr::read_volatile(self.0.cast::<u8>().add(offset).cast::<T>()) })
    }

    /// An IPv6 address.
    #[inline(always)]
    pub fn words(self, which: Offset) -> Option<Words> {
        let start = offset(which)?;
        Some([self.load_at(start)?, self.load_at(start + 8)?])
    }

    /// A member that is a pointer to another structure.
    #[inline(always)]
    pub fn follow(self, which: Offset) -> Option<Self> {
        Self::new(self.load(which)?)
    }
}

/// A field of a tracepoint's record.
#[inline(always)]
pub fn field<T>(context: &TracePointContext, which: Offset) -> Option<T> {
    let offset = offset(which)?;
    // SAFETY: the helper checks the address, and T is plain data of the field's length.
    unsafe { context.read_at(offset) }.ok()
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

/// An IPv4 address, as it stands in memory, as IPv6 maps it (RFC 4291, section 2.5.5.2).
#[inline(always)]
pub fn mapped(ip: u32) -> Words {
    [0, u64::from(u32::from_ne_bytes([0, 0, 0xff, 0xff])) | u64::from(ip) << 32]
}

/// The inode number of a socket's network namespace if it is the one that counts, or 0 where that is unknown.
#[inline(always)]
pub fn socket_namespace(socket: Typed) -> Option<u32> {
    counted(|| socket.follow(Offset::SocketNamespace))
}

/// The same of the device that a packet came by.
#[inline(always)]
pub fn packet_namespace(packet: Typed) -> Option<u32> {
    counted(|| packet.follow(Offset::PacketDevice)?.follow(Offset::DeviceNamespace))
}

/// The inode number of the current task's network namespace, any; 0 where that is unknown.
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

#[inline(always)]
fn counted(namespace: impl FnOnce() -> Option<Typed>) -> Option<u32> {
    let ours = NETWORK_NAMESPACE.load();
    if ours == 0 {
        return Some(0);
    }
    let inode: u32 = namespace()?.load(Offset::NamespaceInode)?;
    (inode == ours).then_some(inode)
}
