//! A client of TLS, and certificates of every kind.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use testbed::http::Response;
use testbed::netns::Netns;
use testbed::site::{Directory, WEB};

/// A certificate and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// Into `NAME.crt` and `NAME.key`.
    pub fn write(&self, directory: &Directory, name: &str) {
        directory.write(&format!("{name}.crt"), &self.certificate);
        directory.write(&format!("{name}.key"), &self.key);
    }
}

/// A CA.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// Whom a client trusts, and what it speaks.
pub struct Client {
    roots: RootCertStore,
    identity: Option<Identity>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub provider: CryptoProvider,
    pub protocols: Vec<Vec<u8>>,
}

impl Client {
    /// One that trusts this authority.
    pub fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let versions = vec![&TLS12, &TLS13];
        Self { roots, identity: None, versions, provider: ring::default_provider(), protocols: Vec::new() }
    }

    /// It shows this certificate.
    pub fn with(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    fn config(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }

    /// One request on one connection from inside a namespace.
    pub fn ask(&self, netns: &Netns, head: &str) -> io::Result<Response> {
        let config = Arc::new(self.config());
        netns.enter(|| {
            let stream = TcpStream::connect(WEB)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let name = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            stream.write_all(request(head).as_bytes())?;
            Response::read(stream)
        })?
    }
}

/// A whole request from its first lines.
pub fn request(head: &str) -> String {
    let (first, rest) = head.split_once('\n').unwrap_or((head, ""));
    let rest: String = rest.lines().map(|line| format!("{line}\r\n")).collect();
    format!("{first} HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n{rest}\r\n")
}

/// The line of a request that brings a login.
pub fn login(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
