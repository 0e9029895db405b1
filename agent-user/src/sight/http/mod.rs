//! Plain http, seen at the network: an AF_PACKET socket (packet(7)) of this network namespace, with a classic filter on
//! the addresses and ports of the API.
//!
//! Weighed against tracepoints on the calls that send and receive: those see less (no splice, no sendfile, no io_uring),
//! copy in the path of every process, and need BPF. The socket costs each packet of the namespace a run of the filter
//! (docs/benchmarks.md), needs CAP_NET_RAW once, and sees the same on every kernel. It does not know the process; sock_diag
//! knows the user.

mod connections;
mod filter;
mod owner;
mod packet;
mod stream;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use callback_url::Scheme;
use rustix::net::{RecvFlags, recv, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroize;

use super::chunk::{Seen, Source};
use super::state::{SightState, SourceState};
use crate::kernel_thread;
use crate::metrics::Metrics;
use crate::params::Parameters;
use crate::probes::{Reason, Unavailable};
use crate::system;
use crate::watch::{Endpoints, ResolvedTarget};

use connections::Connections;
use packet::Segment;

/// `ETH_P_ALL` (include/uapi/linux/if_ether.h).
const ALL_PROTOCOLS: u16 = 3;
/// What the kernel keeps until sight reads it.
const KEPT: usize = 2 << 20;
/// The largest packet: the kernel joins segments up to 64 KiB.
const PACKET: usize = 66 * 1024;
/// At most so many packets are read at once: a storm must not keep the one thread from its other work.
const BATCH: usize = 32;
/// The pause after a failed read.
const RETRY: Duration = Duration::from_secs(1);

/// The socket, which takes nothing yet.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
}

/// Opens the socket; call it before the privileges are dropped.
///
/// # Errors
/// Why there is none.
pub fn open(parameters: &Parameters) -> Result<Capture, Unavailable> {
    if !parameters.ironic.api_urls.iter().any(|url| url.scheme == Scheme::Http) {
        return Err(Unavailable::new(Reason::Https, "no API URL is http"));
    }
    socket().map(|socket| Capture { socket }).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => Reason::NotPermitted,
            _ => Reason::Error,
        };
        Unavailable::new(reason, format!("no packet socket (it needs CAP_NET_RAW): {error}"))
    })
}

fn socket() -> io::Result<OwnedFd> {
    let protocol = i32::from(ALL_PROTOCOLS.to_be());
    let socket =
        Socket::new(Domain::PACKET, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::from(protocol)))?;
    socket.attach_filter(&filter::filter(&[]))?;
    // What came between the two calls.
    while recv(&socket, &mut [0; 1][..], RecvFlags::empty()).is_ok() {}
    sockopt::set_socket_recv_buffer_size_force(&socket, KEPT)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(&socket, KEPT))?;
    Ok(socket.into())
}

/// Reads the socket.
#[derive(Debug)]
pub struct Reader {
    capture: Capture,
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    endpoints: Endpoints,
    connections: Connections,
    seen: mpsc::Sender<Seen>,
    metrics: Metrics,
    state: watch::Sender<SightState>,
}

impl Reader {
    /// Nothing has been read yet.
    pub fn new(
        capture: Capture,
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        seen: mpsc::Sender<Seen>,
        metrics: Metrics,
        state: watch::Sender<SightState>,
    ) -> Self {
        let (endpoints, connections) = (Endpoints::default(), Connections::default());
        Self { capture, targets, endpoints, connections, seen, metrics, state }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let socket = match self.capture.socket.try_clone().and_then(system::watch) {
            Ok(socket) => socket,
            Err(error) => return self.end(&error),
        };
        self.look_at_targets();
        self.state.send_modify(|state| *state.source(Source::Http) = SourceState::on());
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.targets.changed() => self.look_at_targets(),
                ready = socket.readable() => match ready {
                    Ok(mut ready) => if self.read(&socket).await { ready.clear_ready(); },
                    Err(error) => return self.end(&error),
                },
            }
            tokio::task::yield_now().await;
        }
    }

    fn end(&self, error: &io::Error) {
        let why = Unavailable::new(Reason::Error, format!("the packet socket cannot be read: {error}"));
        tracing::warn!("cannot see plain http with Ironic: {why}");
        self.state.send_modify(|state| *state.source(Source::Http) = SourceState::off(&why));
    }

    /// The filter follows the addresses of the API.
    fn look_at_targets(&mut self) {
        let targets = self.targets.borrow_and_update();
        let http = targets.iter().filter(|target| target.url.scheme == Scheme::Http);
        self.endpoints.learn(http.flat_map(ResolvedTarget::endpoints));
        drop(targets);
        let filter = filter::filter(self.endpoints.as_slice());
        if let Err(error) = SockRef::from(&self.capture.socket).attach_filter(&filter) {
            tracing::warn!(%error, "could not change the filter of the packet socket");
        }
    }

    /// Reads what there is; true where that was all.
    async fn read(&mut self, socket: &AsyncFd<OwnedFd>) -> bool {
        let mut buffer = vec![0; PACKET];
        for _ in 0..BATCH {
            match recv(socket.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let (packet, _) = buffer.split_at_mut(length.min(PACKET));
                    if let Some(segment) = Segment::read(packet) {
                        self.take(&segment).await;
                    }
                    packet.zeroize();
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                    self.count_dropped(socket);
                    return true;
                }
                // A device that went down says so here once (ENETDOWN).
                Err(rustix::io::Errno::NETDOWN) => {}
                Err(error) => {
                    tracing::debug!(%error, "the packet socket");
                    tokio::time::sleep(RETRY).await;
                    return true;
                }
            }
        }
        false
    }

    /// What the kernel had no room for may have been a whole connection.
    fn count_dropped(&self, socket: &AsyncFd<OwnedFd>) {
        match system::packets_dropped(socket.get_ref()) {
            Ok(0) => {}
            Ok(count) => self.lose(u64::from(count)),
            Err(error) => tracing::debug!(%error, "how many packets were dropped is unknown"),
        }
    }

    fn lose(&self, count: u64) {
        self.metrics.probe_events_lost(count);
        self.state.send_modify(|state| state.take_lost(count));
    }

    async fn take(&mut self, segment: &Segment<'_>) {
        let Some((ends, direction)) = connections::ends(segment, &self.endpoints) else { return };
        if self.connections.begins(&ends, segment) {
            let owner = kernel_thread::ask(move || owner::owner(ends.client, ends.server)).await;
            self.connections.begin(ends, owner.unwrap_or_default());
        }
        for seen in self.connections.take(&ends, direction, segment, Instant::now()) {
            if self.seen.try_send(seen).is_err() {
                self.connections.lost(&ends);
                self.lose(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_kernel_has_no_room_for_is_counted_once() {
        testbed::root_test!();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let socket = socket().unwrap();
        SockRef::from(&socket).attach_filter(&filter::filter(&[to])).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 0).unwrap(); // The kernel's least, some packets.
        (0..50).for_each(|_| drop(TcpStream::connect(to).unwrap()));
        let dropped = system::packets_dropped(&socket).unwrap();
        assert_eq!((dropped > 0, system::packets_dropped(&socket).unwrap()), (true, 0), "{dropped}");
        assert!(system::packets_dropped(&listener).is_err(), "it is no packet socket");
    }
}
