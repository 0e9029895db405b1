//! TLS to a server: cafile in the place of the system's store, the program's client certificate, `insecure`; and its errors in
//! plain English.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callback_url::Host;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore};
use text::foreign_text;
use thiserror::Error as ThisError;
use tokio_rustls::TlsConnector;

use super::clock::utc;
use super::verifier::{AnyServer, PinnedOrWebPki, is_ca_as_end_entity};

/// No PEM file of certificates is longer; the largest system stores have some 250 KiB.
const PEM_BYTES: u64 = 4 << 20;

/// What the operator asks for.
#[derive(Debug, Clone, Copy)]
pub struct ClientTls<'a> {
    /// Whether any server is asked over TLS; otherwise the rest does not matter.
    pub wanted: bool,
    /// CA certificates (PEM) instead of the system's.
    pub cafile: Option<&'a Path>,
    /// The program's client certificate (PEM).
    pub certfile: Option<&'a Path>,
    /// Its key (PEM).
    pub keyfile: Option<&'a Path>,
    /// Server certificates are not verified.
    pub insecure: bool,
}

/// TLS cannot be set up.
#[derive(Debug, ThisError)]
pub enum ClientTlsError {
    /// A file is not usable.
    #[error("{option} {path:?}: {problem}")]
    File {
        /// `cafile`, `certfile` or `keyfile`.
        option: &'static str,
        /// The file as configured.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No cafile is given, and the system has none.
    #[error("the system has no CA certificates")]
    NoCa,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Makes TLS connections as the operator asks; `None` where no TLS is wanted. Files are read now, not later.
///
/// # Errors
/// For a file that is not usable, and where there is no CA at all.
pub fn tls_connector(settings: ClientTls<'_>) -> Result<Option<TlsConnector>, ClientTlsError> {
    match settings.wanted {
        true => Ok(Some(TlsConnector::from(Arc::new(client_config(settings)?)))),
        false => Ok(None),
    }
}

fn client_config(settings: ClientTls<'_>) -> Result<ClientConfig, ClientTlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(settings, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientTlsError::Other(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (settings.certfile, settings.keyfile) {
        (Some(certfile), Some(keyfile)) => {
            let chain = certificates("certfile", certfile)?;
            let pem = read("keyfile", keyfile)?;
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|_| file_error("keyfile", keyfile, "holds no private key in PEM".to_owned()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let problem = format!(
                    "is no usable key for certfile {certfile:?}: {}",
                    foreign_text(&error.to_string(), None)
                );
                file_error("keyfile", keyfile, problem)
            })
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => {
            // As in IPA (ironic_python_agent/utils.py, get_ssl_client_options).
            tracing::warn!(
                "using no client certificate: it needs both certfile and keyfile, and one is missing"
            );
            Ok(builder.with_no_client_auth())
        }
    }
}

/// The name that a certificate must carry for a host; an IPv6 address without its brackets, a name without the dot at its
/// end (RFC 6066, 3).
///
/// # Errors
/// For a name that TLS cannot carry.
pub fn server_name(host: &Host) -> Result<ServerName<'static>, ClientTlsError> {
    match host {
        Host::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => {
            ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned()).map_err(|_| {
                ClientTlsError::Other(format!("the host {name:?} is no name that a certificate can carry"))
            })
        }
    }
}

fn verifier(
    settings: ClientTls<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ClientTlsError> {
    if settings.insecure {
        return Ok(Arc::new(AnyServer::new(Arc::clone(provider))));
    }
    let mut roots = RootCertStore::empty();
    let pinned = match settings.cafile {
        Some(cafile) => {
            let certificates = certificates("cafile", cafile)?;
            let (used, ignored) = roots.add_parsable_certificates(certificates.iter().cloned());
            if used == 0 {
                let problem = "holds no certificate that can be read as a CA".to_owned();
                return Err(file_error("cafile", cafile, problem));
            }
            if ignored > 0 {
                tracing::warn!(?cafile, ignored, "ignoring certificates of cafile that cannot be read");
            }
            certificates
        }
        None => {
            let store = rustls_native_certs::load_native_certs();
            let (used, _) = roots.add_parsable_certificates(store.certs);
            if used == 0 {
                return Err(ClientTlsError::NoCa);
            }
            Vec::new()
        }
    };
    let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| ClientTlsError::Other(error.to_string()))?;
    Ok(Arc::new(PinnedOrWebPki::new(webpki, pinned)))
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientTlsError> {
    let pem = read(option, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(file_error(option, path, "holds no certificate in PEM".to_owned())),
        Err(_) => Err(file_error(option, path, "is broken PEM".to_owned())),
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, ClientTlsError> {
    let problem = |error: io::Error| file_error(option, path, format!("cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(problem)?;
    if !metadata.is_file() {
        return Err(file_error(option, path, "is not a regular file".to_owned()));
    }
    let mut pem = Vec::new();
    let file = std::fs::File::open(path).map_err(problem)?;
    file.take(PEM_BYTES + 1).read_to_end(&mut pem).map_err(problem)?;
    if pem.len() as u64 > PEM_BYTES {
        return Err(file_error(option, path, format!("is longer than {PEM_BYTES} bytes")));
    }
    Ok(pem)
}

fn file_error(option: &'static str, path: &Path, problem: String) -> ClientTlsError {
    ClientTlsError::File { option, path: path.to_owned(), problem }
}

/// The TLS error inside an I/O error, as tokio-rustls wraps it: what is wrong and what to look at.
pub fn tls_words(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    let error = inner.downcast_ref().or_else(|| inner.source()?.downcast_ref())?;
    Some(words(error))
}

fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(certificate) => certificate_words(certificate, error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "no TLS is spoken on this port: is the URL https where it should be http?".to_owned()
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a client certificate: give certfile and keyfile".to_owned()
        }
        other => foreign_text(&other.to_string(), None),
    }
}

fn certificate_words(certificate: &CertificateError, error: &Error) -> String {
    let clock = |now: &UnixTime| format!("the clock here says {}", utc(now.as_secs()));
    match certificate {
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the server's certificate expired at {}; {}", utc(not_after.as_secs()), clock(time))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let from = utc(not_before.as_secs());
            format!("the server's certificate is not valid before {from}; {}", clock(time))
        }
        CertificateError::Expired => {
            format!("the server's certificate has expired; {}", clock(&UnixTime::now()))
        }
        CertificateError::NotValidYet => {
            format!("the server's certificate is not yet valid; {}", clock(&UnixTime::now()))
        }
        CertificateError::NotValidForNameContext { expected, presented } if presented.is_empty() => {
            let expected = expected.to_str();
            format!("the server's certificate is not for {expected}: it names no host in its subjectAltName")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = foreign_text(&presented.join(", "), None);
            format!("the server's certificate is not for {}, but for [{names}]", expected.to_str())
        }
        CertificateError::BadSignature => {
            "the server's certificate names a CA that is trusted here, but another key signed it: was the CA made anew?"
                .to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by no CA that is trusted here: give its CA with cafile".to_owned()
        }
        _ if is_ca_as_end_entity(error) => {
            "the server's certificate is marked as a CA; that is accepted only where cafile holds this very certificate"
                .to_owned()
        }
        _ => foreign_text(&error.to_string(), None),
    }
}
