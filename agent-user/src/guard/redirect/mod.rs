//! The way of IPA's connects to the guard: two BPF programs that redirect them, as long as the guard stamps.

#[cfg(feature = "ebpf")]
mod arrays;
#[cfg(feature = "ebpf")]
mod attach;
#[cfg(feature = "ebpf")]
mod cgroup;
#[cfg(feature = "ebpf")]
mod self_test;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::probes::{Reason, Unavailable};

#[cfg(feature = "ebpf")]
pub use attach::Redirect;

/// Connects are redirected to this address, whatever family they are of.
pub const LISTENER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Listens and redirects, once a self-test has shown that it works. It blocks for some hundredths of a second.
///
/// # Errors
/// Why there is no redirect.
pub fn open(listen: SocketAddr) -> Result<(TcpListener, Redirect), Unavailable> {
    if listen.ip() != LISTENER {
        let words =
            format!("--guard.listen-address={listen} is not at {LISTENER}, where connects are redirected to");
        return Err(Unavailable::new(Reason::Error, words));
    }
    let listener = TcpListener::bind(listen).map_err(|error| {
        let words = format!(
            "the guard cannot listen on {listen}: {error}; choose another with --guard.listen-address"
        );
        Unavailable::new(Reason::Error, words)
    })?;
    let redirect = Redirect::attach(&listener)?;
    Ok((listener, redirect))
}

/// This build has none.
#[cfg(not(feature = "ebpf"))]
#[derive(Debug)]
pub enum Redirect {}

#[cfg(not(feature = "ebpf"))]
impl Redirect {
    fn attach(_: &TcpListener) -> Result<Self, Unavailable> {
        let words = "this binary was built without the eBPF programs (cargo xtask build has them)";
        Err(Unavailable::new(Reason::NotBuilt, words))
    }

    /// The guard works at this moment.
    pub fn stamp(&self) {
        match *self {}
    }

    /// From now on connects go out as they are.
    pub fn clear_stamp(&self) {
        match *self {}
    }

    /// What is redirected from now on.
    pub fn set_endpoints(&self, _: &[SocketAddr]) {
        match *self {}
    }

    /// What the socket with this cookie dialled.
    pub fn original(&self, _: u64) -> Option<SocketAddr> {
        match *self {}
    }

    /// Ends the redirect. Connections that stand go on.
    pub fn detach(&self) {
        match *self {}
    }
}
