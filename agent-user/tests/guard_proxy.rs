//! The guard between a client that speaks as IPA does and a stand-in Ironic: gate, repair, hold, silence, bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::http::{Http, Response};
use testbed::needs_root;
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, StandIn};

const SIDECAR: &str = env!("CARGO_BIN_EXE_ipa-sidecar");
const MAC: &str = "52:54:00:aa:00:01";
const NODE: &str = "11111111-1111-4111-8111-111111111111";
const GUARD: &str = "127.0.0.1:6385";
const PATIENCE: Duration = Duration::from_secs(10);

struct Lab {
    node: Arc<Netns>,
    server: Netns,
    ironic: StandIn,
    directory: PathBuf,
    daemon: Daemon,
}

impl Lab {
    fn new(name: &str, flags: &[&str]) -> Self {
        let (server, node) = (Netns::new().unwrap(), Arc::new(Netns::new().unwrap()));
        node.join("eth0.77", &server, "server").unwrap();
        server.ip("addr add 10.77.0.1/24 dev server").unwrap();
        node.ip_lines(&format!(
            "link set eth0.77 address {MAC}\naddr add 10.77.0.2/24 dev eth0.77"
        ))
        .unwrap();
        let listener = server
            .enter(|| TcpListener::bind("10.77.0.1:6385").unwrap())
            .unwrap();
        let behaviour = Behaviour {
            macs: vec![MAC.to_owned()],
            node_uuid: NODE.to_owned(),
            require_tls: false,
            heartbeat_timeout: 10,
            ..Behaviour::default()
        };
        let ironic = StandIn::start(listener, behaviour).unwrap();
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-guard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let config = format!("--ipa.config-dir={}", directory.display());
        let mut all = vec![
            "--mode=guard",
            "--ironic.api-url=http://10.77.0.1:6385",
            "--ipa.api-url-list=always",
            &config,
        ];
        all.extend_from_slice(flags);
        let daemon = Daemon::start(SIDECAR, &node, &all).unwrap();
        daemon.wait_log("IPA's drop-in changed", PATIENCE).unwrap();
        Self {
            node,
            server,
            ironic,
            directory,
            daemon,
        }
    }

    fn http(&self) -> Http {
        Http::inside(&self.node, GUARD.parse::<SocketAddr>().unwrap())
    }

    fn drop_in(&self) -> String {
        std::fs::read_to_string(self.directory.join("zz-ipa-sidecar.conf")).unwrap()
    }

    /// The path under which our drop-in sends IPA.
    fn prefix(&self) -> String {
        let text = self.drop_in();
        let urls = text
            .lines()
            .find_map(|line| line.strip_prefix("api_url = "))
            .unwrap();
        urls.split(',')
            .next()
            .unwrap()
            .strip_prefix("http://127.0.0.1:6385")
            .unwrap()
            .to_owned()
    }

    fn lookup(&self) -> Response {
        let path = format!("{}/v1/lookup?addresses={MAC}", self.prefix());
        self.http()
            .get(&path, &[("X-OpenStack-Ironic-API-Version", "1.62")])
            .unwrap()
    }

    fn heartbeat(&self, url: &str, token: &str) -> Response {
        let path = format!("{}/v1/heartbeat/{}", self.prefix(), NODE);
        let body = json!({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"});
        self.http()
            .post(&path, &[("X-OpenStack-Ironic-API-Version", "1.68")], &body)
            .unwrap()
    }

    fn metric(&self, sample: &str) -> f64 {
        self.daemon.metric(sample).unwrap().unwrap_or_default()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn a_bad_first_url_is_repaired_at_every_beat() {
    if !needs_root("the guard") {
        return;
    }
    let lab = Lab::new("repair", &[]);
    assert!(
        lab.drop_in().contains("\nadvertise_host = 10.77.0.2\n"),
        "{}",
        lab.drop_in()
    );
    assert!(
        lab.drop_in()
            .contains("\napi_url = http://127.0.0.1:6385/advertise/10.77.0.2,http://10.77.0.1:6385\n"),
        "{}",
        lab.drop_in()
    );
    let discovery = lab.http().get(&format!("{}/", lab.prefix()), &[]).unwrap();
    assert_eq!(discovery.status, 200);
    assert!(discovery.json().unwrap()["default_version"]["version"].is_string());

    let reply = lab.lookup();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let token = reply.json().unwrap()["config"]["agent_token"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..3 {
        let answer = lab.heartbeat("http://10.77.0.2 uid 0:9999", &token);
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert_eq!(lab.ironic.agent_url().as_deref(), Some("http://10.77.0.2:9999"));
    }
    assert_eq!(
        lab.metric("bad_agent_url_total{action=\"repaired\",source=\"ipa\"}"),
        3.0
    );
    assert_eq!(
        lab.metric("bad_agent_url_reasons_total{reason=\"whitespace\"}"),
        3.0
    );
    assert_eq!(
        lab.metric("heartbeats_total{result=\"accepted\",sender=\"ipa\"}"),
        3.0
    );
    assert_eq!(
        lab.metric("lookup_attempts_total{result=\"ok\",sender=\"ipa\"}"),
        1.0
    );
    assert_eq!(lab.metric("agent_url_pinned"), 1.0);
    let masked = lab.lookup();
    assert_eq!(masked.json().unwrap()["config"]["agent_token"], "******");
    assert!(!lab.daemon.log().contains(&token) && !lab.daemon.get("/state").unwrap().text().contains(&token));
    let _ = (&lab.server, Value::Null);
}
