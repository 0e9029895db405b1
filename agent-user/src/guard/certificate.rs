//! Whether the certificate that IPA serves with is made for an address.

use std::net::IpAddr;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use webpki::EndEntityCert;

/// Whether the first certificate of `pem` names `ip` among its subject alternative names; `None` where it cannot be
/// read: then nothing is known.
pub fn is_for(pem: &str, ip: IpAddr) -> Option<bool> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let certificate = EndEntityCert::try_from(&der).ok()?;
    Some(certificate.verify_is_valid_for_subject_name(&ServerName::from(ip)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_addresses_of_a_certificate() {
        let names = ["10.77.0.2".to_owned(), "fd77::2".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let pem = made.cert.pem();
        assert_eq!(is_for(&pem, "10.77.0.2".parse().unwrap()), Some(true));
        assert_eq!(is_for(&pem, "fd77::2".parse().unwrap()), Some(true));
        assert_eq!(is_for(&pem, "10.77.0.3".parse().unwrap()), Some(false));
        assert_eq!(is_for("no certificate", "10.77.0.3".parse().unwrap()), None);
    }
}
