//! TLS of the web listener: from what the configuration file says to what rustls wants.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use super::allowed_sans::AllowedSans;
use crate::config::{Clients, ConfigError, Material, Source, TlsSettings};
use crate::files::read_file;

/// The PEM that a section names, as it is now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pems {
    certificate: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

impl Pems {
    /// Reads the files; relative paths begin at `directory`.
    ///
    /// # Errors
    /// For a file that cannot be read.
    pub fn read(settings: &TlsSettings, directory: &Path) -> Result<Self, ConfigError> {
        let read = |material: &Material| match &material.source {
            Source::Inline(pem) => Ok(Zeroizing::new(pem.expose().as_bytes().to_vec())),
            Source::File(path) => match read_file(&directory.join(path)) {
                Ok(pem) => Ok(Zeroizing::new(pem)),
                Err(error) => Err(unusable(material, format!("cannot be read: {error}"))),
            },
        };
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: read(&settings.key)?,
            client_ca: client_ca(&settings.clients).map(read).transpose()?,
        })
    }

    /// The configuration for rustls.
    ///
    /// # Errors
    /// For PEM that is broken, and a key that is another certificate's.
    pub fn server_config(&self, settings: &TlsSettings) -> Result<ServerConfig, ConfigError> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: settings.suites.clone(),
            kx_groups: settings.groups.clone(),
            ..ring::default_provider()
        });
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&settings.versions)
            .map_err(|error| {
                let problem =
                    format!("tls_server_config: these versions, suites and curves do not fit: {error}");
                ConfigError { line: settings.certificate.line, problem }
            })?;
        let builder = match self.client_verifier(settings, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let chain = certificates(&settings.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| unusable(&settings.key, "holds no private key in PEM"))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            unusable(&settings.key, format!("is no usable key for {}: {error}", settings.certificate))
        })?;
        config.ignore_client_order = settings.server_order;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn client_verifier(
        &self,
        settings: &TlsSettings,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, ConfigError> {
        let (Some(ca), Some(pem)) = (client_ca(&settings.clients), &self.client_ca) else {
            return Ok(None);
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, pem)? {
            roots.add(certificate).map_err(|error| unusable(ca, format!("holds no usable CA: {error}")))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match &settings.clients {
            Clients::MayProve(_) => builder.allow_unauthenticated(),
            Clients::MustProve { .. } | Clients::Anybody => builder,
        };
        let verifier = builder.build().map_err(|error| unusable(ca, error.to_string()))?;
        Ok(Some(match &settings.clients {
            Clients::MustProve { names, .. } if !names.is_empty() => {
                Arc::new(AllowedSans::new(verifier, names.clone()))
            }
            _ => verifier,
        }))
    }
}

fn client_ca(clients: &Clients) -> Option<&Material> {
    match clients {
        Clients::Anybody => None,
        Clients::MayProve(ca) | Clients::MustProve { ca, .. } => Some(ca),
    }
}

fn certificates(material: &Material, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(material, "holds no certificate in PEM")),
        Err(_) => Err(unusable(material, "is broken PEM")),
    }
}

fn unusable(material: &Material, problem: impl AsRef<str>) -> ConfigError {
    ConfigError { line: material.line, problem: format!("{material} {}", problem.as_ref()) }
}
