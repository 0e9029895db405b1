//! `--web.config.file`: TLS, client certificates and basic auth, also while the files change, and a real Prometheus
//! that scrapes over both.

mod client;
mod login;
mod prometheus;
mod start;
mod status;
mod tls;

use client::*;
use testbed::daemon::Daemon;
use testbed::http::Response;
use testbed::root_test;
use testbed::site::*;

/// A daemon behind a configuration file.
struct Protected {
    site: Site,
    directory: Directory,
    daemon: Daemon,
}

impl Protected {
    /// With certificate and key of an authority in `web.crt` and `web.key`, and this configuration.
    fn new(name: &str, authority: &Authority, config: &str) -> Self {
        let directory = Directory::new(name);
        authority.issue(&["127.0.0.1"]).write(&directory, "web");
        directory.write("ca.crt", authority.pem());
        let flag = directory.flag("--web.config.file", "web.yml", config);
        let site = Site::new();
        let daemon = site.daemon(&[API_FLAG, &flag]);
        daemon.wait_log("started", SOON).unwrap(); // Who may ask for /state is what is tested.
        Self { site, directory, daemon }
    }

    /// One request over TLS; the head and the body of the answer.
    fn https(&self, client: &Client, head: &str) -> std::io::Result<Response> {
        client.ask(&self.site.node, head)
    }

    /// One request without TLS.
    fn http(&self, head: &str) -> std::io::Result<Response> {
        Response::read(raw(&self.site.node, WEB, &request(head))?.as_bytes())
    }

    /// Writes a file anew as a careful operator does, in one step.
    fn replace(&self, name: &str, content: &str) {
        self.directory.replace(name, content);
    }
}

/// TLS and nothing else.
const TLS: &str = "tls_server_config:\n  cert_file: web.crt\n  key_file: web.key\n";
