//! A real Prometheus.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use testbed::http::Http;

use super::*;

/// Killed when dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn prometheus_scrapes_over_tls_with_a_password() {
    root_test!("prometheus");
    let authority = Authority::new();
    let must = "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n";
    let users = format!("basic_auth_users:\n  prometheus: {}\n", bcrypt::hash("scr@pe", 4).unwrap());
    let protected = Protected::new("web-prometheus", &authority, &format!("{TLS}{must}{users}"));
    // The certificate of a ramdisk has a name, whatever its address will be.
    authority.issue(&["ramdisk.example"]).write(&protected.directory, "web");
    authority.issue(&["prometheus.example"]).write(&protected.directory, "scraper");
    let job = |name: &str, password: &str| {
        format!(
            "  - job_name: {name}\n    scheme: https\n    basic_auth: {{username: prometheus, password: {password}}}\n    \
             tls_config: {{ca_file: ca.crt, server_name: ramdisk.example, cert_file: scraper.crt, key_file: scraper.key}}\n    \
             static_configs: [{{targets: ['{WEB}']}}]\n"
        )
    };
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n{}{}",
        job("right", "scr@pe"),
        job("wrong", "scrape")
    );
    let config = protected.directory.flag("--config.file", "prometheus.yml", &config);
    let mut command = protected.site.node.command("prometheus");
    command.arg(config).arg(format!("--storage.tsdb.path={}", protected.directory.file("data").display()));
    command.args(["--web.listen-address=127.0.0.1:9090", "--log.level=error"]);
    let _prometheus = Prometheus(command.stdin(Stdio::null()).spawn().unwrap());

    let api = Http::inside(&protected.site.node, "127.0.0.1:9090".parse().unwrap());
    let query = |query: &str| -> Option<Value> {
        let answer = api.get(&format!("/api/v1/query?query={query}"), &[]).ok()?.json().ok()?;
        let value = answer["data"]["result"][0]["value"][1].clone();
        (!value.is_null()).then_some(value)
    };
    let limit = Duration::from_secs(60);
    let is = |what: &str, value: &str| (query(what)? == value).then_some(());
    protected.daemon.wait("up", limit, || is("up{job=%22right%22}", "1")).unwrap();
    protected.daemon.wait("down", limit, || is("up{job=%22wrong%22}", "0")).unwrap();
    protected
        .daemon
        .wait("a sample", limit, || is("ipa_sidecar_mode_info{mode=%22observe%22}", "1"))
        .unwrap();
    let targets = api.get("/api/v1/targets", &[]).unwrap().text();
    assert!(targets.contains("server returned HTTP status 401"), "{targets}");
}
