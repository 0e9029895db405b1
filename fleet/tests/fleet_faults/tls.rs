//! Whom the fleet trusts: the stand-in Ironic answers no listing, so that a 404 shows that TLS went well.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use testbed::site::Directory;
use testbed::stand_in::{Behaviour, StandIn, TlsIdentity};

use crate::fake::{Run, assert_blind, fleet};

/// A certificate for loopback that is its own CA, as Metal3 and small installs have it.
fn identity(name: &str) -> TlsIdentity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificates = params.self_signed(&key).unwrap().pem();
    TlsIdentity { certificates, key: key.serialize_pem(), client_ca: None }
}

fn serve(identity: &TlsIdentity) -> StandIn {
    let behaviour = Behaviour { tls: Some(identity.clone()), ..Behaviour::default() };
    StandIn::on("127.0.0.1", behaviour).unwrap()
}

fn check(ironic: &StandIn, words: &[&str]) -> Run {
    let url = format!("--ironic.url=https://{}", ironic.address());
    fleet(&[&["check", "--json", &url], words].concat())
}

#[test]
fn a_self_signed_certificate_is_trusted_by_its_file_alone() {
    let own = identity("127.0.0.1");
    let ironic = serve(&own);
    let directory = Directory::new("fleet-tls");
    assert_blind(&check(&ironic, &[]), &["no TLS with", "only where cafile holds"]);
    let other = directory.flag("--ironic.cafile", "other.pem", &identity("127.0.0.1").certificates);
    assert_blind(&check(&ironic, &[&other]), &["no TLS with"]);
    let right = directory.flag("--ironic.cafile", "right.pem", &own.certificates);
    assert_blind(&check(&ironic, &[&right]), &["404"]);
    assert_blind(&check(&ironic, &["--ironic.insecure"]), &["404"]);
    let missing = format!("--ironic.cafile={}", directory.file("nothing").display());
    assert_blind(&check(&ironic, &[&missing]), &["cafile", "No such file"]);
}

#[test]
fn a_certificate_for_another_name_is_refused_before_a_password_is_sent() {
    let own = identity("192.0.2.1");
    let ironic = serve(&own);
    let directory = Directory::new("fleet-tls");
    let cafile = directory.flag("--ironic.cafile", "ca.pem", &own.certificates);
    let password = directory.flag("--ironic.password-file", "password", "s3cret\n");
    let words = [cafile.as_str(), "--ironic.auth=http_basic", "--ironic.username=a", &password];
    assert_blind(&check(&ironic, &words), &["not for"]);
    assert!(ironic.requests().is_empty());
}
