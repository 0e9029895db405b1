//! What is wrong with it keeps the pages away, and nothing else.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};

use super::*;

#[test]
fn a_file_that_is_not_usable_is_named_and_tried_again() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("web-start");
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]).write(&directory, "web");
    authority.issue(&["127.0.0.1"]).write(&directory, "other");
    directory.write("text", "no PEM");
    directory.write("broken", "-----BEGIN CERTIFICATE-----\n!\n");
    let tls = |certificate: &str, key: &str| {
        format!("# TLS\ntls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n")
    };
    for (config, words) in [
        ("foo: 1\n".to_owned(), "web.yml:1: unknown field \"foo\""),
        ("a: [\n".to_owned(), "no valid YAML"),
        ("\u{0}".to_owned(), "web.yml:1: "),
        (tls("nowhere", "web.key"), "web.yml:3: cert_file \"nowhere\" cannot be read: No such file"),
        (tls("web.crt", "text"), "web.yml:4: key_file \"text\" holds no private key in PEM"),
        (tls("text", "web.key"), "web.yml:3: cert_file \"text\" holds no certificate in PEM"),
        (tls("broken", "web.key"), "web.yml:3: cert_file \"broken\" is broken PEM"),
        (
            tls("web.crt", "other.key"),
            "web.yml:4: key_file \"other.key\" is no usable key for cert_file \"web.crt\"",
        ),
        (
            tls("/dev/zero", "web.key"),
            "web.yml:3: cert_file \"/dev/zero\" cannot be read: not a regular file",
        ),
        (
            format!(
                "{}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: text\n",
                tls("web.crt", "web.key")
            ),
            "web.yml:6: client_ca_file \"text\" holds no certificate",
        ),
    ] {
        let flag = directory.flag("--web.config.file", "web.yml", &config);
        assert_is_named(&site.daemon(&[API_FLAG, &flag]), words);
    }
    for path in ["/nonexistent/web.yml", "/proc"] {
        let flag = format!("--web.config.file={path}");
        let words = format!("--web.config.file: {path} cannot be read");
        assert_is_named(&site.daemon(&[API_FLAG, &flag]), &words);
    }
    // The duty goes on meanwhile, and the pages come once the file is right.
    let flag = directory.flag("--web.config.file", "web.yml", "http_server_config: {http2: true}");
    let daemon = site.daemon(&["--mode=configure", API_FLAG, &site.directory.config_dir(), &flag]);
    assert_is_named(&daemon, "web.yml:1");
    daemon.wait("the drop-in", SOON, || site.drop_in().contains(FIRST).then_some(())).unwrap();
    directory.write("web.yml", "http_server_config: {http2: false}");
    assert_eq!(daemon.wait("an answer", SOON, || daemon.get("/-/healthy").ok()).unwrap().status, 200);
    assert!(daemon.log().contains("serving the pages"), "{}", daemon.log());
}

fn assert_is_named(daemon: &Daemon, words: &str) {
    daemon.wait_log(words, SOON).unwrap();
    assert!(daemon.log().contains("the pages are not served"), "{}", daemon.log());
    // Who asks is turned away, and does not wait for an answer until its own time-out.
    let error = daemon.get("/-/healthy").unwrap_err();
    assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

/// The capabilities are dropped by then.
#[test]
fn files_have_to_be_readable_without_capabilities() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("web-rights");
    let authority = Authority::new();
    authority.issue(&["127.0.0.1"]).write(&directory, "web");
    let key = directory.file("web.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let flag = directory.flag("--web.config.file", "web.yml", TLS);
    let client = Client::trusting(&authority);
    let healthy = || client.ask(&site.node, "GET /-/healthy").ok();

    let daemon = site.daemon(&[API_FLAG, &flag]);
    assert_eq!(daemon.wait("an answer", SOON, healthy).unwrap().status, 200);
    drop(daemon);

    chown(&key, Some(65534), None).unwrap();
    assert_is_named(&site.daemon(&[API_FLAG, &flag]), "Permission denied");
}

#[test]
fn doctor_looks_at_it() {
    let directory = Directory::new("web-doctor");
    for (config, ok, words) in [
        ("http_server_config: {http2: false}", true, "ok    web configuration: usable"),
        ("http_server_config: {http2: true}", false, "lack  web configuration: "),
    ] {
        let flag = directory.flag("--web.config.file", "web.yml", config);
        let flags = [&flag, "--no-vmedia", "--cmdline.path=/dev/null", "--web.listen-address=127.0.0.1:0"];
        let output = std::process::Command::new(binary()).arg("doctor").args(flags).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains(words), "{out}");
        assert!(ok || out.contains("no pages until it is"), "{out}");
    }
}
