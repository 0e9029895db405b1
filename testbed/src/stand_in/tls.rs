//! The server side of TLS.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What the stand-in serves TLS with, all in PEM.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    /// Its certificate, intermediates behind it.
    pub certificates: String,
    /// Its key.
    pub key: String,
    /// The CA of the client certificates that it demands; `None`: it demands none.
    pub client_ca: Option<String>,
}

impl TlsIdentity {
    /// What rustls serves with it.
    ///
    /// # Errors
    /// Where it is no PEM, or key and certificate do not fit.
    pub fn config(&self) -> io::Result<Arc<ServerConfig>> {
        let other = |error: &dyn std::fmt::Display| io::Error::other(format!("TLS identity: {error}"));
        let read = |pem: &str| -> io::Result<Vec<CertificateDer<'static>>> {
            let certificates: Result<_, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            certificates.map_err(|error| other(&error))
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| other(&error))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| other(&error))?;
        let builder = match &self.client_ca {
            Some(ca) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add_parsable_certificates(read(ca)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| other(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let config =
            builder.with_single_cert(read(&self.certificates)?, key).map_err(|error| other(&error))?;
        Ok(Arc::new(config))
    }
}
