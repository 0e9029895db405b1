//! A proxy for http: it passes on whatever comes, and the server understands requests in absolute form.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::netns::Netns;

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens inside, and passes on to this server.
    pub fn start(netns: &Arc<Netns>, address: SocketAddr, server: SocketAddr) -> Self {
        let listener = netns.enter(|| TcpListener::bind(address).unwrap()).unwrap();
        let (accepting, netns) = (listener.try_clone().unwrap(), Arc::clone(netns));
        let thread = std::thread::spawn(move || {
            while let Ok((client, _)) = accepting.accept() {
                let Ok(Ok(server)) = netns.enter(|| TcpStream::connect(server)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass_on(from, to));
                std::thread::spawn(move || pass_on(server, client));
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

/// One direction, until either side closes.
fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
