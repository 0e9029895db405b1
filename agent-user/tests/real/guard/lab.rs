//! A node and a server joined by a veth pair: Ironic on the server, sidecar and IPA on the node.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Instant;

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::ipa::{self, IpaOptions, RealIpa};
use testbed::ironic::{Options, RealIronic};
use testbed::site::*;

use crate::database::{self, said};
use crate::{PATIENCE, start_ironic, wait_beat, wait_recorded};

/// The URL of the API.
pub const API: &str = "http://10.77.0.1:6385";
pub const URL: &str = "https://10.77.0.5:9999";
/// What differs from one test to another.
pub struct Setup {
    pub bind: IpAddr,
    pub require_tls: bool,
    /// The node has its addresses from the start.
    pub addressed: bool,
    /// The API's URL on the kernel command line.
    pub api_url: &'static str,
    /// More words of the kernel command line.
    pub cmdline: &'static str,
    /// The hosts file of IPA and sidecar.
    pub hosts: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            bind: IpAddr::from([10, 77, 0, 1]),
            require_tls: true,
            addressed: true,
            api_url: API,
            cmdline: "",
            hosts: "127.0.0.1 localhost",
        }
    }
}

pub struct Lab {
    pub ironic: RealIronic,
    pub site: Site,
    /// The /etc of sidecar and IPA.
    pub etc: Directory,
    setup: Setup,
    started: Instant,
    /// Every token that Ironic has given out.
    tokens: RefCell<Vec<String>>,
}

impl Lab {
    pub fn new(setup: Setup) -> Self {
        let started = Instant::now();
        let site = Site::bare();
        site.conductor.ip("addr add fd77::1/64 dev ironic nodad").unwrap();
        let ironic = start_ironic(
            &site,
            Options { bind: setup.bind, require_tls: setup.require_tls, ..Options::default() },
        );
        let etc = Directory::new("etc");
        etc.write("hosts", format!("{}\n", setup.hosts));
        etc.write("resolv.conf", "");
        let lab = Self { ironic, site, etc, setup, started, tokens: RefCell::default() };
        if lab.setup.addressed {
            lab.add_addresses();
        }
        lab
    }

    /// With the sidecar and behind it IPA, whose URL Ironic has recorded.
    pub fn running(setup: Setup) -> (Self, Daemon, RealIpa) {
        let lab = Self::new(setup);
        let sidecar = lab.sidecar_with_drop_in();
        let ipa = lab.ipa();
        lab.wait_right(&ipa);
        (lab, sidecar, ipa)
    }

    pub fn add_addresses(&self) {
        self.site.add(FIRST);
        self.site.node.ip("addr add fd77::2/64 dev eth0.77 nodad").unwrap();
    }

    fn cmdline(&self) -> String {
        let Setup { api_url, cmdline, .. } = self.setup;
        format!("BOOT_IMAGE=testbed ipa-api-url={api_url} {cmdline} quiet")
    }

    /// The sidecar in mode guard, at log level trace, with an /etc of its own. It has what IPA has: the same kernel
    /// command line and the same configuration directory.
    pub fn sidecar(&self) -> Daemon {
        self.sidecar_with(&[], &[])
    }

    pub fn sidecar_with(&self, flags: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let cmdline = self.etc.flag("--cmdline.path", "cmdline", &self.cmdline());
        let config = self.site.directory.config_dir();
        let all = ["--mode=guard", "--log.level=trace", &cmdline, &config];
        let mut command = with_etc(&self.site.node, self.etc.path());
        command.args(Daemon::words(&[&all, flags].concat())).envs(environment.iter().copied());
        Daemon::from_command(command, &self.site.node).unwrap()
    }

    /// The sidecar, once IPA may start.
    pub fn sidecar_with_drop_in(&self) -> Daemon {
        let sidecar = self.sidecar();
        wait_written(&sidecar);
        sidecar
    }

    pub fn ipa(&self) -> RealIpa {
        self.ipa_of(ipa::VERSION)
    }

    /// One of the versions that the testbed installs.
    pub fn ipa_of(&self, version: &str) -> RealIpa {
        let mut options = IpaOptions::new(&self.site.node, self.site.directory.path());
        options.version = version.to_owned();
        options.cmdline = self.cmdline();
        options.hosts = Some(self.setup.hosts.to_owned());
        options.resolv_conf = Some(String::new());
        RealIpa::start(&options).unwrap()
    }

    pub fn recorded(&self) -> Option<String> {
        self.ironic.agent_url().unwrap()
    }

    /// Waits until Ironic has recorded a URL, and demands that it is the right one.
    pub fn wait_right(&self, ipa: &RealIpa) {
        assert_eq!(wait_recorded(&self.ironic), URL);
        assert_eq!(ipa.ended(), None);
    }

    /// Waits for `count` more heartbeats.
    pub fn wait_beats(&self, count: usize, ipa: &RealIpa) {
        for _ in 0..count {
            wait_beat(&self.ironic);
            assert_eq!(ipa.ended(), None);
        }
    }

    /// The token that Ironic has given to IPA, which its API never shows.
    pub fn token(&self) -> Option<String> {
        let token = database::token(&self.ironic);
        self.tokens.borrow_mut().extend(token.clone());
        token
    }

    /// What Ironic's conductor does to see whether a command of its agent has ended: its own client, its own database,
    /// the URL and the certificate that it has pinned, from its own namespace. Gives the URL and the answer.
    pub fn conductor_asks(&self) -> (String, Value) {
        let script = "import json, sys\n\
            from ironic.common import service\n\
            service.prepare_command(['ironic', '--config-file', sys.argv[1]])\n\
            from ironic import objects\n\
            from ironic.common import context\n\
            from ironic.drivers.modules import agent_client\n\
            node = objects.Node.get_by_uuid(context.get_admin_context(), sys.argv[2])\n\
            client = agent_client.AgentClient()\n\
            assert client._get_verify(node).endswith('.crt'), client._get_verify(node)\n\
            answer = client.get_commands_status(node, retry_connection=False)\n\
            print(json.dumps([node.driver_internal_info['agent_url'], answer]))";
        let config = self.ironic.log_path().with_file_name("ironic.conf");
        let mut command = self.site.conductor.command(database::python());
        let said = said(command.args(["-c", script]).arg(config).arg(self.ironic.node_uuid()));
        let last = said.lines().last().unwrap_or_default();
        let answer: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}"));
        (answer[0].as_str().unwrap().to_owned(), answer[1].clone())
    }

    /// Demands that no token shows in anything that the sidecar tells. Ask before its end for what it serves.
    pub fn assert_secret(&self, sidecar: &Daemon) {
        self.token();
        let log = sidecar.log();
        assert!(log.contains("started"), "{log}");
        let mut shown = vec![("log", log)];
        for path in ["/state", "/", "/metrics", "/-/ready"] {
            // An ended one serves nothing.
            shown.extend(sidecar.get(path).ok().map(|answer| (path, answer.text())));
        }
        let tokens = self.tokens.borrow();
        assert!(!tokens.is_empty(), "Ironic has given out no token");
        for (place, text) in &shown {
            for token in tokens.iter() {
                assert!(!text.contains(token.as_str()), "the token is in {place}");
            }
        }
    }

    /// Prints what a test found, with its time.
    pub fn tell(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.started.elapsed().as_secs_f64());
    }
}

/// Waits until the drop-in is on disk, for whatever address, and connects pass the guard.
pub fn wait_written(sidecar: &Daemon) {
    sidecar.wait_state("the drop-in", PATIENCE, |state| state["dropin"]["state"] == "written").unwrap();
    wait_redirect(sidecar);
}

/// Heartbeats of IPA's that passed the guard and were accepted.
pub fn accepted(sidecar: &Daemon) -> f64 {
    metric(sidecar, "heartbeats_total{result=\"accepted\",sender=\"ipa\"}")
}

/// Waits for another heartbeat of IPA's through the guard.
pub fn wait_accepted(sidecar: &Daemon) {
    let before = accepted(sidecar);
    wait_until(sidecar, "another heartbeat through the guard", PATIENCE, || accepted(sidecar) > before);
}
