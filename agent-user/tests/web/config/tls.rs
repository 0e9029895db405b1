//! Who gets through TLS, and who does not.

use std::time::Instant;

use rustls::NamedGroup;
use rustls::version::{TLS12, TLS13};

use super::*;

#[test]
fn pages_come_over_tls_and_plain_http_gets_that_reason() {
    root_test!();
    let authority = Authority::new();
    let headers = "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n    Content-Security-Policy: default-src 'self'\n";
    let protected = Protected::new("web-tls", &authority, &format!("{TLS}{headers}"));
    let mut client = Client::trusting(&authority);
    for version in [&TLS12, &TLS13] {
        client.versions = vec![version];
        for path in ["/", "/metrics", "/state", "/-/healthy", "/-/ready"] {
            let answer = protected.https(&client, &format!("GET {path}")).unwrap();
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            assert_eq!(answer.header("strict-transport-security"), Some("max-age=60"));
            assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"));
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        }
    }
    client.protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(protected.https(&client, "GET /").unwrap().status, 200);

    let plain = protected.http("GET /metrics").unwrap();
    assert_eq!(plain.status, 400);
    assert!(plain.text().contains("https://") && !plain.text().contains("ipa_sidecar"), "{plain:?}");
    assert!(protected.http("\u{1}\u{2}").unwrap().status == 400);

    let stranger = Client::trusting(&Authority::new());
    let error = protected.https(&stranger, "GET /").unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[test]
fn versions_suites_and_curves_are_those_of_the_file() {
    root_test!();
    let authority = Authority::new();
    let protected = Protected::new("web-versions", &authority, &format!("{TLS}  min_version: TLS13\n"));
    let mut client = Client::trusting(&authority);
    let works = |client: &Client| protected.https(client, "GET /").map(|answer| answer.status);
    client.versions = vec![&TLS12];
    let error = works(&client).unwrap_err().to_string();
    assert!(error.contains("ProtocolVersion"), "{error}");
    client.versions = vec![&TLS13];
    assert_eq!(works(&client).unwrap(), 200);

    let suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    protected.replace(
        "web.yml",
        &format!("{TLS}  max_version: TLS12\n  cipher_suites: [{suite}]\n  curve_preferences: [CurveP256]\n"),
    );
    works(&client).unwrap_err();
    client.versions = vec![&TLS12];
    assert_eq!(works(&client).unwrap(), 200);
    let all = client.provider.clone();
    client.provider.cipher_suites.retain(|one| format!("{:?}", one.suite()) != suite);
    works(&client).unwrap_err();
    client.provider = all;
    client.provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519);
    works(&client).unwrap_err();
}

#[test]
fn a_client_certificate_is_demanded_and_looked_at() {
    root_test!();
    let authority = Authority::new();
    let must = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n";
    let protected = Protected::new("web-client", &authority, &format!("{TLS}{must}"));
    let client = || Client::trusting(&authority);
    let works = |client: &Client| protected.https(client, "GET /metrics").map(|answer| answer.status);
    let error = works(&client()).unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    let strangers = Authority::new().issue(&["prometheus.example"]);
    works(&client().with(strangers)).unwrap_err();
    let good = client().with(authority.issue(&["prometheus.example"]));
    assert_eq!(works(&good).unwrap(), 200);

    let names = "  client_allowed_sans: [grafana.example, 192.0.2.7]\n";
    protected.replace("web.yml", &format!("{TLS}{must}{names}"));
    works(&good).unwrap_err();
    for names in [&["a.example", "grafana.example"][..], &["192.0.2.7"]] {
        assert_eq!(works(&client().with(authority.issue(names))).unwrap(), 200, "{names:?}");
    }
    for names in [&["*.example"][..], &["192.0.2.70"], &[]] {
        works(&client().with(authority.issue(names))).unwrap_err();
    }

    // A file that is cut in the middle of a rewrite asks for less, and lets nobody in.
    let may = must.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven");
    let allowed = client().with(authority.issue(&["grafana.example"]));
    for weaker in [format!("{TLS}{must}"), format!("{TLS}{may}"), TLS.to_owned()] {
        protected.replace("web.yml", &weaker);
        works(&allowed).unwrap_err();
    }
    protected.daemon.wait_log("no longer asks for the same client certificates", SOON).unwrap();
    drop(protected);

    let protected = Protected::new("web-may", &authority, &format!("{TLS}{may}"));
    let works = |client: &Client| protected.https(client, "GET /metrics").map(|answer| answer.status);
    assert_eq!((works(&client()).unwrap(), works(&good).unwrap()), (200, 200));
    works(&client().with(Authority::new().issue(&["x"]))).unwrap_err();
}

#[test]
fn a_new_certificate_is_taken_without_a_restart() {
    root_test!();
    let (old, new) = (Authority::new(), Authority::new());
    let protected = Protected::new("web-renewed", &old, TLS);
    let works =
        |authority: &Authority| protected.https(&Client::trusting(authority), "GET /-/healthy").is_ok();
    assert!(works(&old) && !works(&new));
    let identity = new.issue(&["127.0.0.1"]);
    // In between the key is another certificate's: nobody gets through, and the log says why.
    protected.replace("web.crt", &identity.certificate);
    assert!(!works(&old) && !works(&new));
    protected.daemon.wait_log("web.yml:3: key_file \"web.key\" is no usable key", SOON).unwrap();
    protected.replace("web.key", &identity.key);
    assert!(works(&new) && !works(&old));
    protected.daemon.wait_log("usable again", SOON).unwrap();
}

#[test]
fn whoever_does_not_shake_hands_is_dropped() {
    root_test!();
    let authority = Authority::new();
    let protected = Protected::new("web-idle", &authority, TLS);
    for beginning in [&b""[..], &[22, 3, 1]] {
        let begun = Instant::now();
        let read = protected.site.node.enter(|| {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(WEB)?;
            stream.set_read_timeout(Some(LATER))?;
            stream.write_all(beginning)?;
            stream.read_to_end(&mut Vec::new())
        });
        let _ = read.unwrap();
        let took = begun.elapsed().as_secs_f64();
        assert!((8.0..20.0).contains(&took), "{beginning:?}: {took} s");
    }
    let client = Client::trusting(&authority);
    assert_eq!(protected.https(&client, "GET /-/healthy").unwrap().status, 200);
}
