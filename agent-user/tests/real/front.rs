//! TLS in front of the real Ironic, as an operator's proxy has it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use rcgen::{CertificateParams, DnType, KeyPair};
use testbed::netns::Netns;
use testbed::site::Directory;

/// Passes every connection on, without TLS, until the end of its input.
const RELAY: &str = "import asyncio, ssl, sys\n\
    async def copy(reader, writer):\n\
    \x20   try:\n\
    \x20       while data := await reader.read(65536):\n\
    \x20           writer.write(data)\n\
    \x20           await writer.drain()\n\
    \x20   finally:\n\
    \x20       writer.close()\n\
    async def serve(reader, writer):\n\
    \x20   near, far = await asyncio.open_connection(sys.argv[4], int(sys.argv[5]))\n\
    \x20   await asyncio.gather(copy(reader, far), copy(near, writer), return_exceptions=True)\n\
    async def main():\n\
    \x20   tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n\
    \x20   tls.load_cert_chain(sys.argv[1], sys.argv[2])\n\
    \x20   await asyncio.start_server(serve, sys.argv[3], 6385, ssl=tls)\n\
    \x20   print('it listens', flush=True)\n\
    \x20   await asyncio.to_thread(sys.stdin.read)\n\
    asyncio.run(main())";

/// The relay; it ends with its owner.
pub struct Front {
    child: Child,
    directory: Directory,
}

impl Front {
    /// Serves at this address, port 6385, with a certificate for it.
    pub fn open(netns: &Netns, address: &str, ironic: SocketAddr) -> Self {
        let directory = Directory::new("front");
        let key = KeyPair::generate().unwrap();
        let mut certificate = CertificateParams::new([address.to_owned()]).unwrap();
        certificate.distinguished_name.push(DnType::CommonName, "front");
        directory.write("cert.pem", certificate.self_signed(&key).unwrap().pem());
        directory.write("key.pem", key.serialize_pem());
        let mut command = netns.command(crate::database::python());
        command.args(["-c", RELAY]).args(["cert.pem", "key.pem"].map(|file| directory.file(file)));
        command.args([address, &ironic.ip().to_string(), &ironic.port().to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "it listens");
        Self { child, directory }
    }

    /// The option for it in IPA's configuration.
    pub fn cafile(&self) -> String {
        format!("cafile = {}\n", self.directory.file("cert.pem").display())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
