//! A stand-in Ironic: the part of the API that a deploy ramdisk sees, for one node, with Ironic's rules (token once,
//! pinned URL, order of checks, double-encoded errors) and every fault on demand. Threads and blocking sockets; it
//! stops and joins when dropped.

mod fault;
mod http;
mod node;
mod passthru;
mod server;
mod tls;
mod url;

pub use fault::{Fault, Path};
pub use http::Recorded;
pub use node::Behaviour;
pub use server::StandIn;
pub use tls::TlsIdentity;
pub use url::python_geturl;
