//! What all runs share: the binary, two Ironics, a CA, a directory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use testbed::ipa::RealIpa;
use testbed::ironic::{Options, RealIronic};
use testbed::stand_in::TlsIdentity;

use super::schedule::Setting;
use super::stage;
use crate::owned::Scratch;

/// What Ironic gives as `heartbeat_timeout`: the least that makes the next heartbeat come after 5 s.
const HEARTBEAT_TIMEOUT: u32 = 10;

/// Shared by all runs.
pub struct Hall {
    /// The daemon.
    pub binary: PathBuf,
    /// More flags for it.
    pub flags: Vec<String>,
    /// The CA that signed the API's certificate, in PEM.
    pub ca: String,
    tls: Arc<ServerConfig>,
    /// With `require_tls` off, and on.
    ironics: [RealIronic; 2],
    scratch: Scratch,
    count: AtomicU32,
}

/// A node that Ironic knows.
pub struct Enrolled<'a> {
    /// Its Ironic.
    pub ironic: &'a RealIronic,
    /// Its UUID.
    pub uuid: String,
    /// The MAC of its first NIC.
    pub mac: String,
    /// For its files; removed with the hall.
    pub directory: PathBuf,
}

impl Hall {
    /// Starts both Ironics.
    ///
    /// # Errors
    /// Where Ironic or IPA cannot be installed, or Ironic does not start.
    pub fn new(binary: &Path, flags: &[String]) -> anyhow::Result<Self> {
        RealIpa::install(testbed::ipa::VERSION, &mut |line| println!("{line}"))?;
        let ironic = |require_tls| {
            let (bind, port) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
            let options = Options {
                bind,
                port,
                require_tls,
                heartbeat_timeout: HEARTBEAT_TIMEOUT,
                ..Options::default()
            };
            RealIronic::start(&options)
        };
        let (ca, identity) = identity()?;
        Ok(Self {
            binary: binary.to_owned(),
            flags: flags.to_owned(),
            ca,
            tls: identity.config()?,
            ironics: [ironic(false)?, ironic(true)?],
            scratch: Scratch::new("versus")?,
            count: AtomicU32::new(1),
        })
    }

    /// What the door serves TLS with in this setting.
    pub fn tls(&self, setting: Setting) -> Option<Arc<ServerConfig>> {
        setting.https.then(|| Arc::clone(&self.tls))
    }

    /// A new node.
    ///
    /// # Errors
    /// What Ironic said.
    pub fn enroll(&self, setting: Setting) -> anyhow::Result<Enrolled<'_>> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let [plain, tls] = &self.ironics;
        let ironic = if setting.require_tls { tls } else { plain };
        let uuid = format!("22222222-2222-4222-8222-{number:012x}");
        let [_, _, high, low] = number.to_be_bytes();
        let mac = format!("52:54:00:bb:{high:02x}:{low:02x}");
        ironic.enroll(&uuid, std::slice::from_ref(&mac)).context("a new node")?;
        let directory = self.scratch.directory(&number.to_string())?;
        Ok(Enrolled { ironic, uuid, mac, directory })
    }
}

impl Enrolled<'_> {
    /// Where its Ironic listens.
    ///
    /// # Errors
    /// Where its URL is none, which is a defect of the testbed.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.ironic.url().trim_start_matches("http://").parse().context("Ironic's URL")
    }

    /// A fact that Ironic holds of its agent.
    ///
    /// # Errors
    /// Where Ironic does not answer.
    pub fn internal(&self, name: &str) -> anyhow::Result<Option<String>> {
        let node = self.ironic.node_of(&self.uuid)?;
        let value = node.get("driver_internal_info").and_then(|info| info.get(name));
        Ok(value.and_then(|value| value.as_str()).map(str::to_owned))
    }
}

/// The CA, and the certificate of the API.
fn identity() -> anyhow::Result<(String, TlsIdentity)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate with its issuer's name for a self-signed one.
    params.distinguished_name.push(DnType::CommonName, "versus CA");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificates = CertificateParams::new(stage::names())?.signed_by(&key, &ca)?.pem();
    Ok((ca.pem(), TlsIdentity { certificates, key: key.serialize_pem(), client_ca: None }))
}
