//! Whose a connection is.

use std::net::SocketAddr;

use fib::socket_owner;

use super::super::chunk::Who;

/// Whose a connection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user; nothing where no process of this network namespace has it.
    pub who: Who,
    /// It is the daemon's own.
    pub own: bool,
}

/// Asks the kernel: not on the runtime's thread.
///
/// The daemon's own sockets are listed first. One that is closed by then the kernel does not know any more, so that none is taken for
/// another process's.
pub fn owner(client: SocketAddr, server: SocketAddr) -> Owner {
    let own = own_sockets();
    match socket_owner(client, server) {
        Ok(Some(owner)) => Owner {
            who: Who { pid: None, uid: Some(owner.uid), own_namespace: true },
            own: own.contains(&owner.inode),
        },
        Ok(None) => Owner::default(),
        Err(error) => {
            tracing::debug!(%error, "whose connection it is could not be asked");
            Owner::default()
        }
    }
}

/// The inodes of this process's sockets (proc_pid_fd(5)).
fn own_sockets() -> Vec<u32> {
    let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let links = descriptors.filter_map(|descriptor| std::fs::read_link(descriptor.path()).ok());
    let inode =
        |link: std::path::PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    links.filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn our_own_connections_are_known() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let stream = TcpStream::connect(server).unwrap();
        let client = stream.local_addr().unwrap();
        let found = owner(client, server);
        assert!(found.own && found.who.own_namespace);
        assert_eq!(found.who.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(owner(SocketAddr::new(client.ip(), 1), server), Owner::default());
    }
}
