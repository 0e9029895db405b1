use proptest::prelude::*;

use super::*;

const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// As in exporter-toolkit's documentation, with every supported field.
const FULL: &str = r#"
tls_server_config:
  cert_file: "node.crt"   # a comment
  key_file: /etc/node.key
  client_auth_type: "RequireAndVerifyClientCert"
  client_ca_file: ca.crt
  client_allowed_sans:
    - prometheus.example
    - 192.0.2.7
  min_version: TLS12
  max_version: "TLS13"
  cipher_suites:
    - TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection:
basic_auth_users:
  anna: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi
  "b a": '$2b$04$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi'
"#;

#[test]
fn everything_is_read() {
    let config = WebConfig::parse(FULL).unwrap();
    let tls = config.tls.unwrap();
    assert_eq!(tls.certificate.to_string(), "cert_file \"node.crt\"");
    assert_eq!((tls.certificate.line, tls.key.line), (3, 4));
    match &tls.clients {
        Clients::MustProve { ca, names } => {
            assert_eq!(ca.to_string(), "client_ca_file \"ca.crt\"");
            assert_eq!(names, &["prometheus.example", "192.0.2.7"]);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(tls.versions.len(), 2);
    let suites: Vec<_> = tls.suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
    assert_eq!(suites.len(), 5, "two, and the three of TLS 1.3: {suites:?}");
    assert_eq!(suites[0], "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    assert_eq!(tls.groups.len(), 2);
    assert_eq!(tls.groups[0].name(), rustls::NamedGroup::secp256r1);
    let headers: Vec<_> =
        config.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("strict-transport-security", "max-age=31536000"), ("x-frame-options", "deny")]);
    assert_eq!(config.users.keys().collect::<Vec<_>>(), ["anna", "b a"]);
    assert_eq!(config.users["anna"].expose(), HASH);
}

#[test]
fn nothing_asks_for_nothing() {
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "tls_server_config:\n",
        "tls_server_config: {}\nbasic_auth_users: {}",
        "~",
    ] {
        let config = WebConfig::parse(text).unwrap();
        assert!(config.tls.is_none() && config.headers.is_empty() && config.users.is_empty(), "{text:?}");
    }
    let tls =
        WebConfig::parse("tls_server_config: {cert: C, key: K, min_version: TLS13}").unwrap().tls.unwrap();
    assert!(matches!((&tls.certificate.source, &tls.key.source), (Source::Inline(_), Source::Inline(_))));
    assert_eq!(tls.versions.len(), 1);
    assert!(matches!(tls.clients, Clients::Anybody) && tls.server_order);
}

#[test]
fn errors_name_the_line_and_what_would_be_right() {
    let tls = |fields: &str| format!("tls_server_config:\n  cert_file: a\n  key_file: b\n{fields}");
    let cases = [
        ("\nfoo: 1".to_owned(), 2, "unknown field \"foo\": wanted one of tls_server_config"),
        ("a:\n b".to_owned(), 1, "unknown field \"a\""),
        ("x".to_owned(), 1, "the file has the wrong type"),
        ("- x".to_owned(), 1, "the file has the wrong type"),
        ("tls_server_config: yes".to_owned(), 1, "tls_server_config has the wrong type"),
        ("rate_limit:\n  burst: 1".to_owned(), 1, "rate_limit is not supported here"),
        ("tls_server_config:\n  cert_file: a".to_owned(), 1, "tls_server_config lacks key_file"),
        ("tls_server_config:\n  min_version: TLS13".to_owned(), 1, "tls_server_config lacks cert_file"),
        (tls("  cert: x"), 4, "cert beside cert_file: wanted one of the two"),
        (tls("  cert_fil: x"), 4, "unknown field \"cert_fil\": wanted one of cert, cert_file"),
        (tls("  key_file: c"), 4, "\"key_file\" is given twice"),
        (
            tls("  min_version: TLS10"),
            4,
            "min_version: \"TLS10\" is not supported here: wanted TLS12 or TLS13",
        ),
        (tls("  max_version: 1.2"), 4, "max_version: \"1.2\" is not supported here"),
        (tls("  min_version: TLS13\n  max_version: TLS12"), 1, "min_version is above max_version"),
        (
            tls("  cipher_suites:\n  - TLS_RSA_WITH_AES_128_CBC_SHA"),
            5,
            "wanted some of TLS_AES_256_GCM_SHA384",
        ),
        (tls("  cipher_suites: x"), 4, "cipher_suites has the wrong type: wanted a list of texts"),
        (tls("  curve_preferences: [X25519, CurveP521]"), 4, "wanted some of X25519, CurveP256, CurveP384"),
        (tls("  prefer_server_cipher_suites: perhaps"), 4, "wanted true or false"),
        (tls("  client_auth_type: RequestClientCert"), 4, "checks nothing and is not supported here"),
        (
            tls("  client_auth_type: Some"),
            4,
            "\"Some\" is unknown: wanted NoClientCert, VerifyClientCertIfGiven",
        ),
        (tls("  client_auth_type: RequireAndVerifyClientCert"), 4, "without client_ca_file"),
        (tls("  client_ca_file: x"), 4, "client_ca_file without client_auth_type"),
        (tls("  client_allowed_sans: [x]"), 4, "needs client_auth_type: RequireAndVerifyClientCert"),
        (
            tls(
                "  client_ca_file: x\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans:\n    - a@b",
            ),
            7,
            "\"a@b\": e-mail addresses are not supported here",
        ),
        (
            tls(
                "  client_ca_file: x\n  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans:",
            ),
            6,
            "client_allowed_sans is empty",
        ),
        ("http_server_config:\n  http2: true".to_owned(), 2, "http2 is not supported here"),
        (
            "http_server_config:\n  http3: true".to_owned(),
            2,
            "unknown field \"http3\": wanted one of http2, headers",
        ),
        (
            "http_server_config:\n  headers:\n    Server: x".to_owned(),
            3,
            "unknown field \"Server\": wanted one of Content-",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: allow".to_owned(),
            3,
            "X-Frame-Options: \"allow\" is not usable: wanted deny or sameorigin",
        ),
        (
            "http_server_config:\n  headers:\n    X-XSS-Protection: \"a\\nb\"".to_owned(),
            3,
            "wanted a text that a header can carry",
        ),
        (
            "basic_auth_users:\n  anna: hunter2".to_owned(),
            2,
            "the password of \"anna\" is no bcrypt hash: wanted what",
        ),
        ("basic_auth_users:\n  anna:".to_owned(), 2, "is no bcrypt hash"),
        (
            format!("basic_auth_users:\n  anna: {}", HASH.replace("$10$", "$20$")),
            2,
            "has the cost 20: wanted 4 to 15",
        ),
        (format!("basic_auth_users:\n  anna: {}", HASH.replace("$10$", "$03$")), 2, "has the cost 3"),
        (format!("basic_auth_users:\n  \"a:b\": {HASH}"), 2, "a name has no colon"),
        ("a: }".to_owned(), 1, "no valid YAML"),
        ("\n\n}".to_owned(), 3, "no valid YAML"),
        ("a: &x 1\nb: *x".to_owned(), 2, "an alias"),
        ("http_server_config: !!map {}".to_owned(), 1, "a tag"),
        ("~\n---\n~".to_owned(), 2, "a second document"),
        ("? [a]\n: b".to_owned(), 1, "a field without a name"),
        ("[[[[[[[[[[[]]]]]]]]]]]".to_owned(), 1, "nested too deeply"),
    ];
    for (text, line, words) in cases {
        let error = WebConfig::parse(&text).err().unwrap_or_else(|| panic!("{text:?} is taken"));
        assert!(
            error.line == line && error.problem.contains(words),
            "{text:?}: {error}; wanted {line}: {words}"
        );
    }
}

#[test]
fn what_is_secret_shows_nowhere() {
    for text in [
        "basic_auth_users:\n  anna: hunter2",
        "basic_auth_users: {anna: [hunter2]}",
        "tls_server_config: {key: hunter2, cert: x, foo: 1}",
        "tls_server_config: {key: hunter2, key_file: x}",
        "tls_server_config:\n  key: |\n    hunter2\n   x: [\n",
    ] {
        let error = WebConfig::parse(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let config = WebConfig::parse(&format!(
        "tls_server_config: {{cert: C, key: hunter2}}\nbasic_auth_users: {{anna: {HASH}}}"
    ));
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains(HASH), "{shown}");
}

/// Lines of a real file, in any order and with any indent.
fn lines() -> impl Strategy<Value = String> {
    let line = proptest::sample::select(FULL.lines().collect::<Vec<_>>());
    let indented =
        (line, 0..6usize).prop_map(|(line, by)| format!("{}{}\n", " ".repeat(by), line.trim_start()));
    proptest::collection::vec(indented, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn never_panics(noise in "\\PC*") {
        let _ = WebConfig::parse(&noise);
    }

    #[test]
    fn never_panics_on_what_looks_right(text in lines()) {
        let lines = text.lines().count();
        if let Err(error) = WebConfig::parse(&text) {
            prop_assert!((1..=lines + 1).contains(&error.line), "{} of {}", error, lines);
        }
    }
}
