//! Whom the client trusts.

use std::net::IpAddr;
use std::path::PathBuf;

use ipa_sidecar::inside::{HeartbeatResult as H, HttpError, IronicError, LookupResult as L};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use testbed::site::Directory;
use testbed::stand_in::{Behaviour, StandIn, TlsIdentity};

use super::*;

/// A file that goes away with the test.
struct TempFile(Directory);

impl TempFile {
    fn new(text: &str) -> Self {
        let directory = Directory::new("pem");
        directory.write("pem", text);
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.file("pem")
    }
}

/// A certificate for these names or addresses, in date.
fn certificate(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// One certificate as server certificate and CA at once.
fn its_own_ca(names: &[&str]) -> CertificateParams {
    let mut params = certificate(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
    params
}

fn self_signed(params: &CertificateParams) -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let certificates = params.self_signed(&key).unwrap().pem();
    TlsIdentity { certificates, key: key.serialize_pem(), client_ca: None }
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        Self(CertifiedIssuer::self_signed(its_own_ca(&[]), KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn issue(&self, params: &CertificateParams) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let certificates = params.signed_by(&key, &self.0).unwrap().pem();
        TlsIdentity { certificates, key: key.serialize_pem(), client_ca: None }
    }
}

fn serve(address: &str, identity: &TlsIdentity) -> std::io::Result<StandIn> {
    let behaviour = Behaviour {
        tls: Some(identity.clone()),
        pregenerated_token: Some(TOKEN.to_owned()),
        ..Behaviour::default()
    };
    StandIn::on(address, behaviour)
}

/// A heartbeat to the stand-in as `host`, with this cafile.
fn ask(stand_in: &StandIn, host: &str, cafile: Option<&str>) -> Result<Answer<()>, IronicError> {
    let cafile = cafile.map(TempFile::new);
    ask_with(stand_in, host, |parameters| parameters.cafile = cafile.as_ref().map(|file| file.path()))
}

fn ask_with(
    stand_in: &StandIn,
    host: &str,
    change: impl FnOnce(&mut IronicParameters),
) -> Result<Answer<()>, IronicError> {
    let url = format!("https://{host}:{}", stand_in.address().port());
    let mut parameters = parameters(&[&url]);
    parameters.request_timeout = std::time::Duration::from_secs(5);
    change(&mut parameters);
    let client = Client::new(&parameters)?;
    let endpoints = [endpoint(&url, &[stand_in.address().ip()])];
    checked(run(client.heartbeat(&endpoints, &beat(Some(TOKEN)))))
}

/// The words of a TLS refusal; no request may have come through, and its label is right.
fn refused(stand_in: &StandIn, result: Result<Answer<()>, IronicError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, IronicError::Http(HttpError::Tls { .. })), "{error:?}");
    assert_eq!((error.lookup_result(), error.heartbeat_result()), (L::TlsError, H::TlsError));
    assert_eq!(stand_in.requests(), [], "nothing is sent to a server that is not trusted");
    error.to_string()
}

#[test]
fn a_ca_in_cafile_vouches_for_names_and_addresses() {
    let ca = Ca::new();
    let identity = ca.issue(&certificate(&["ironic.example.com", "127.0.0.1"]));
    let stand_in = serve("127.0.0.1", &identity).unwrap();
    for host in ["ironic.example.com", "127.0.0.1"] {
        let answer = ask(&stand_in, host, Some(&ca.pem())).unwrap();
        assert_eq!(answer.connection.remote, stand_in.address());
    }
}

#[test]
fn a_wrong_name_or_address_is_refused() {
    let ca = Ca::new();
    let stand_in = serve("127.0.0.1", &ca.issue(&certificate(&["ironic.example.com", "127.0.0.9"]))).unwrap();
    for host in ["other.example.com", "127.0.0.1"] {
        let words = refused(&stand_in, ask(&stand_in, host, Some(&ca.pem())));
        assert!(words.contains(&format!("is not for {host}, but for [")), "{words}");
        assert!(words.contains("ironic.example.com"), "{words}");
    }
}

#[test]
fn a_certificate_without_a_name_is_refused() {
    let ca = Ca::new();
    let stand_in = serve("127.0.0.1", &ca.issue(&certificate(&[]))).unwrap();
    let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&ca.pem())));
    assert!(words.contains("is not for 127.0.0.1: it names no host in its subjectAltName"), "{words}");
}

#[test]
fn an_unknown_ca_is_refused() {
    let stand_in = serve("127.0.0.1", &Ca::new().issue(&certificate(&["127.0.0.1"]))).unwrap();
    let mut other = its_own_ca(&[]);
    other.distinguished_name.push(rcgen::DnType::CommonName, "another CA");
    for (cafile, said) in
        [(self_signed(&other).certificates, "signed by no CA"), (Ca::new().pem(), "another key signed it")]
    {
        let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&cafile)));
        assert!(words.contains(said), "{words}");
    }
}

#[test]
fn dates_are_checked_and_the_clock_is_named() {
    let ca = Ca::new();
    let stand_in = serve("127.0.0.1", &ca.issue(&expired(certificate(&["127.0.0.1"])))).unwrap();
    let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&ca.pem())));
    assert!(words.contains("expired at 2021-01-01T00:00:00Z; the clock here says 2"), "{words}");

    let mut future = certificate(&["127.0.0.1"]);
    future.not_before = date_time_ymd(2999, 1, 1);
    let stand_in = serve("127.0.0.1", &ca.issue(&future)).unwrap();
    let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&ca.pem())));
    assert!(words.contains("not valid before 2999-01-01T00:00:00Z; the clock here says 2"), "{words}");
}

#[test]
fn one_self_signed_certificate_as_its_own_ca_is_accepted_only_from_cafile() {
    let identity = self_signed(&its_own_ca(&["127.0.0.1", "ironic.example.com"]));
    let stand_in = serve("127.0.0.1", &identity).unwrap();
    let pem = identity.certificates.as_str();
    // Another certificate with the same subject, and the same one among others.
    let twin = self_signed(&its_own_ca(&["127.0.0.1"])).certificates;
    let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&twin)));
    assert!(words.contains("marked as a CA"), "{words}");
    let words = refused(&stand_in, ask(&stand_in, "other.example.com", Some(pem)));
    assert!(words.contains("is not for other.example.com"), "{words}");
    for (host, cafile) in [("127.0.0.1", pem.to_owned()), ("ironic.example.com", format!("{twin}{pem}"))] {
        ask(&stand_in, host, Some(&cafile)).unwrap();
    }
    // Without cafile the system's store decides, and where that is empty there is no client at all.
    let stand_in = serve("127.0.0.1", &identity).unwrap();
    let error = ask(&stand_in, "127.0.0.1", None).unwrap_err();
    assert_eq!(error.lookup_result(), L::TlsError, "{error}");
    assert_eq!(stand_in.requests(), []);
}

#[test]
fn a_self_signed_certificate_in_cafile_must_be_in_date() {
    for params in [its_own_ca(&["127.0.0.1"]), certificate(&["127.0.0.1"])] {
        let identity = self_signed(&expired(params));
        let stand_in = serve("127.0.0.1", &identity).unwrap();
        let words = refused(&stand_in, ask(&stand_in, "127.0.0.1", Some(&identity.certificates)));
        assert!(words.contains("expired at 2021-01-01"), "{words}");
    }
}

#[test]
fn a_plain_self_signed_certificate_in_cafile_is_accepted() {
    let identity = self_signed(&certificate(&["127.0.0.1"]));
    let stand_in = serve("127.0.0.1", &identity).unwrap();
    ask(&stand_in, "127.0.0.1", Some(&identity.certificates)).unwrap();
}

#[test]
fn an_ipv6_literal_is_matched() {
    let ca = Ca::new();
    let Ok(stand_in) = serve("::1", &ca.issue(&certificate(&["::1"]))) else {
        testbed::have("IPv6 loopback", false);
        return;
    };
    ask(&stand_in, "[::1]", Some(&ca.pem())).unwrap();
    let other = serve("::1", &ca.issue(&certificate(&["::2"]))).unwrap();
    refused(&other, ask(&other, "[::1]", Some(&ca.pem())));
}

#[test]
fn insecure_accepts_anything() {
    let stand_in = serve("127.0.0.1", &self_signed(&expired(its_own_ca(&["elsewhere"])))).unwrap();
    ask_with(&stand_in, "127.0.0.1", |parameters| parameters.insecure = true).unwrap();
}

#[test]
fn a_client_certificate_is_sent_where_configured() {
    let ca = Ca::new();
    let mut identity = ca.issue(&certificate(&["127.0.0.1"]));
    identity.client_ca = Some(ca.pem());
    let stand_in = serve("127.0.0.1", &identity).unwrap();
    let (cafile, ours) = (TempFile::new(&ca.pem()), ca.issue(&certificate(&["node"])));
    let (certfile, keyfile) = (TempFile::new(&ours.certificates), TempFile::new(&ours.key));
    let ask = |cert: Option<&TempFile>, key: Option<&TempFile>| {
        ask_with(&stand_in, "127.0.0.1", |parameters| {
            parameters.cafile = Some(cafile.path());
            parameters.certfile = cert.map(|file| file.path());
            parameters.keyfile = key.map(|file| file.path());
        })
    };
    for missing in [ask(None, None), ask(Some(&certfile), None)] {
        let words = refused(&stand_in, missing);
        assert!(words.contains("wants a client certificate"), "{words}");
    }
    ask(Some(&certfile), Some(&keyfile)).unwrap();
    let error = ask(Some(&certfile), Some(&cafile)).unwrap_err();
    assert!(error.to_string().contains("holds no private key"), "{error}");
    assert!(matches!(error, IronicError::Http(HttpError::TlsFile { option: "keyfile", .. })), "{error:?}");
}

#[test]
fn a_bad_cafile_is_named() {
    let url = "https://127.0.0.1:6385";
    let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let files = [("", "holds no certificate"), ("junk", "holds no certificate"), (broken, "is broken PEM")]
        .map(|(text, words)| (TempFile::new(text), words));
    let mut cases: Vec<_> = files.iter().map(|(file, words)| (file.path(), *words)).collect();
    cases.push((PathBuf::from("/nonexistent/ca.pem"), "No such file"));
    cases.push((std::env::temp_dir(), "not a regular file"));
    for (path, words) in cases {
        let mut parameters = parameters(&[url]);
        parameters.cafile = Some(path.clone());
        let Err(error) = Client::new(&parameters) else { panic!("{path:?} was accepted") };
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("cafile") && text.contains(path.to_str().unwrap()),
            "{text}"
        );
        // Nobody minds it where there is no TLS.
        parameters.api_urls = vec![ApiUrl::parse("http://127.0.0.1:6385").unwrap()];
        assert!(Client::new(&parameters).is_ok());
    }
}

#[test]
fn http_and_https_mixed_up_is_reported() {
    let stand_in = plain();
    let error = ask_with(&stand_in, "127.0.0.1", |parameters| parameters.insecure = true).unwrap_err();
    assert_eq!(error.lookup_result(), L::TlsError);
    assert_eq!(stand_in.requests(), []);

    let secure = serve("127.0.0.1", &self_signed(&certificate(&["127.0.0.1"]))).unwrap();
    let url = format!("http://{}", secure.address());
    let client = Client::new(&parameters(&[&url])).unwrap();
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let error = run(client.heartbeat(&[endpoint(&url, &[loopback])], &beat(Some(TOKEN)))).unwrap_err();
    assert!(error.tries_next(), "{error:?}");
    assert_eq!(secure.requests(), []);
}
