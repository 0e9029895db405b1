//! Loading and attaching the two programs.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use agent_ebpf::redirect::place;
use aya::Ebpf;
use aya::programs::cgroup_sock_addr::CgroupSockAddrLink;
use aya::programs::{CgroupAttachMode, CgroupSockAddr};
use aya::util::KernelVersion;
use rustix::io::fcntl_dupfd_cloexec;

use super::arrays::Arrays;
use super::{cgroup, self_test};
use crate::probes::load::{OBJECT, classified, lift_memory_limit, loader, on_a_thread, program, refused};
use crate::probes::{Reason, Unavailable};

/// The links take descriptors from here on: more than all that the daemon has open at its start, its probes included.
const LINKS_FROM: i32 = 128;

/// The redirect. It ends with the daemon, whatever ends that: only the daemon's link keeps the programs attached.
#[derive(Debug)]
pub struct Redirect {
    arrays: Arrays,
    links: Mutex<Vec<CgroupSockAddrLink>>,
}

impl Redirect {
    /// Attaches it for this listener, and shows by connects of its own that it works. Nothing is redirected yet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn attach(listener: &TcpListener) -> Result<Self, Unavailable> {
        let error = |error: std::io::Error| Unavailable::new(Reason::Error, error.to_string());
        let address = listener.local_addr().map_err(error)?;
        // On a thread of its own, which may get a mount namespace of its own.
        let redirect = on_a_thread("the redirect", attach)?;
        redirect.arrays.set(place::LISTENER, u64::from(address.port()));
        self_test::run(&redirect.arrays, listener, address)
            .map_err(|why| Unavailable::new(Reason::SelfTest, why))?;
        Ok(redirect)
    }

    /// The guard works at this moment.
    pub fn stamp(&self) {
        self.arrays.stamp();
    }

    /// From now on connects go out as they are.
    pub fn clear_stamp(&self) {
        self.arrays.set(place::STAMP, 0);
    }

    /// What is redirected from now on.
    pub fn set_endpoints(&self, endpoints: &[SocketAddr]) {
        self.arrays.set_endpoints(endpoints);
    }

    /// What the socket with this cookie dialled.
    pub fn original(&self, cookie: u64) -> Option<SocketAddr> {
        self.arrays.original(cookie)
    }

    /// Ends the redirect. Connections that stand go on.
    pub fn detach(&self) {
        self.clear_stamp();
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn attach() -> Result<Redirect, Unavailable> {
    // Below it there is only the older attach, which would outlive the daemon.
    if KernelVersion::current().map_or(true, |version| version < KernelVersion::new(5, 7, 0)) {
        let words = "this kernel has no BPF links for cgroups (Linux 5.7 and newer have)";
        return Err(Unavailable::new(Reason::NoBpf, words));
    }
    lift_memory_limit();
    let mut ebpf = loader().load(OBJECT).map_err(|error| classified(&error))?;
    let root = cgroup::open_root()?;
    let mut links = Vec::new();
    let lower = lower_descriptors(root.as_fd());
    for name in ["connect4", "connect6"] {
        links.push(link(&mut ebpf, name, root.as_fd())?);
    }
    drop(lower);
    let arrays = Arrays::of(&mut ebpf)?;
    Ok(Redirect { arrays, links: Mutex::new(links) })
}

/// Takes every free descriptor below [`LINKS_FROM`], so that the links get higher ones.
///
/// A killed process releases its highest descriptor first (kernel/task_work.c runs the last entry first), and a probe
/// is slow to detach. A link that came after the probes would lead connects to a listener that no one serves. Where the
/// limit of descriptors does not allow it, the links take the next free ones.
fn lower_descriptors(of: BorrowedFd<'_>) -> Vec<OwnedFd> {
    let mut taken = Vec::new();
    loop {
        match fcntl_dupfd_cloexec(of, 0) {
            Ok(next) if next.as_raw_fd() < LINKS_FROM => taken.push(next),
            Ok(_) => return taken,
            Err(_) => return Vec::new(),
        }
    }
}

fn link(
    ebpf: &mut Ebpf,
    name: &'static str,
    root: BorrowedFd<'_>,
) -> Result<CgroupSockAddrLink, Unavailable> {
    let program: &mut CgroupSockAddr = program(ebpf, name)?;
    program.load().map_err(|error| refused(name, &error))?;
    // A link always goes beside other programs of the cgroup, so it takes no flag (kernel/bpf/cgroup.c).
    let id = program.attach(root, CgroupAttachMode::Single).map_err(|error| classified(&error))?;
    program.take_link(id).map_err(|error| classified(&error))
}
