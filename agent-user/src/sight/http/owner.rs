//! Whose a connection is.

use std::net::SocketAddr;

use fib::socket_owner;

use super::super::chunk::Who;

/// Whose a connection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user; nothing where no process of this network namespace has it.
    pub who: Who,
    /// It is one of our own.
    pub own: bool,
}

/// Asks the kernel: not on the runtime's thread.
///
/// One that is not among our descriptors may be ours and closed meanwhile: then the kernel does not know it any more.
pub fn owner(client: SocketAddr, server: SocketAddr) -> Owner {
    let asked = socket_owner(client, server).and_then(|found| match found {
        Some(owner) if !is_own(owner.inode) => {
            let again = socket_owner(client, server)?.filter(|again| again.inode == owner.inode);
            Ok(again.map(|owner| (owner, false)))
        }
        found => Ok(found.map(|owner| (owner, true))),
    });
    match asked {
        Ok(Some((owner, own))) => {
            Owner { who: Who { pid: None, uid: Some(owner.uid), own_namespace: true }, own }
        }
        Ok(None) => Owner::default(),
        Err(error) => {
            tracing::debug!(%error, "whose connection it is could not be asked");
            Owner::default()
        }
    }
}

/// Whether this process has a socket with this inode (proc_pid_fd(5)).
fn is_own(inode: u32) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return false };
    descriptors.flatten().any(|descriptor| {
        std::fs::read_link(descriptor.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
    })
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
