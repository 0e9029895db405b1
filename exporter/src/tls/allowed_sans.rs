//! `client_allowed_sans`: beside a good certificate the client must have one of these names in it.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::EndEntityCert;

/// What another verifier lets through, where its names fit.
#[derive(Debug)]
pub(super) struct AllowedSans {
    verifier: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl AllowedSans {
    pub fn new(verifier: Arc<dyn ClientCertVerifier>, names: Vec<String>) -> Self {
        Self { verifier, names }
    }

    /// Whether one of the names is in the certificate: equal as text, so that a wildcard fits only itself.
    fn fits(&self, certificate: &EndEntityCert<'_>) -> bool {
        let has_ip = |ip: IpAddr| certificate.verify_is_valid_for_subject_name(&ServerName::from(ip)).is_ok();
        self.names.iter().any(|name| {
            certificate.valid_dns_names().any(|known| known == name)
                || certificate.valid_uri_names().any(|known| known == name)
                || name.parse().is_ok_and(has_ip)
        })
    }
}

impl ClientCertVerifier for AllowedSans {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.fits(&certificate) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
