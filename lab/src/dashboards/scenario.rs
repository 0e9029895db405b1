//! The kinds of trouble: what is wrong on a node, and which alerts are to say so.

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testbed::http::Http;
use testbed::stand_in::{Behaviour, Fault, Path};

use super::node::{Node, Reads};
use crate::routes;

/// The token that the operator hands out, where one does.
pub const TOKEN: &str = "handed-out-0123456789-abcdefghijklmnopqrstu";
/// Stands for the address of the proxy in Ironic's network.
pub const PROXY: &str = "PROXY";
/// More route messages than the daemon's netlink buffer takes: 1 MiB, which the kernel doubles, at some 700 bytes each.
const ROUTES: usize = 8_000;

/// Who is on the node beside the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Nobody: the advertised port is closed.
    None,
    /// Something listens on the port.
    Listens,
    /// An agent that looks up and heartbeats through the guard, and knows its address.
    Good,
    /// The agent of 2016, which takes its address from text.
    Seed,
}

/// One node in one kind of trouble.
pub struct Scenario {
    /// What the node is called.
    pub name: &'static str,
    /// The alerts that fire, and no others.
    pub alerts: &'static [&'static str],
    /// What fires beside them once the daemon was killed and started again: its restart is a trouble of its own.
    pub after_restart: &'static [&'static str],
    /// The daemon's flags beside the API URL.
    pub flags: &'static [&'static str],
    /// The daemon runs as nobody.
    pub unprivileged: bool,
    /// Ironic; `None`: nothing listens where its API should be.
    pub ironic: Option<fn() -> Behaviour>,
    /// The API's address is another one than the stand-in's.
    pub elsewhere: Option<&'static str>,
    /// Who is on the node.
    pub agent: Agent,
    /// The node's device towards Ironic; a lookup counts names that end like a VLAN's as NICs.
    pub nic: &'static str,
    /// The variables of IPA's unit, where one is installed; [`PROXY`] in one stands for the proxy's address.
    pub unit: Option<&'static [(&'static str, &'static str)]>,
    /// Why IPA passes the daemon by, as in `passed_by_info`.
    pub passed_by: Option<&'static str>,
    /// The conductor connects to the node.
    pub calls_back: bool,
    /// What is done before the daemon starts.
    pub before: fn(&Node) -> anyhow::Result<()>,
    /// What happens once everything runs.
    pub then: fn(&mut Node) -> anyhow::Result<()>,
}

/// A scenario and where it is.
pub struct Place {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// Counts from 1.
    pub number: u8,
}

impl Place {
    /// Where Prometheus reaches the node: a wire of its own, so that nothing of the trouble touches it.
    pub fn scrape_address(&self) -> String {
        format!("10.78.{}.2", self.number)
    }

    /// The label that tells two sites apart.
    pub fn site(&self) -> &'static str {
        if self.number.is_multiple_of(2) { "two" } else { "one" }
    }
}

/// Mode agent has the token in memory only, as IPA has. Without one from the operator its node is lost with the daemon.
const TOKEN_LOST: &[&str] = &["IpaSidecarNoHeartbeatAfterLookup"];
const AGENT_MODE: Scenario = Scenario {
    name: "",
    alerts: &[],
    after_restart: TOKEN_LOST,
    flags: &["--mode=agent"],
    unprivileged: false,
    ironic: Some(Behaviour::default),
    elsewhere: None,
    agent: Agent::Listens,
    nic: "eth0.77",
    unit: None,
    passed_by: None,
    calls_back: true,
    before: |_| Ok(()),
    then: |_| Ok(()),
};
const OBSERVER: Scenario = Scenario {
    flags: &["--mode=observe"],
    after_restart: &[],
    ironic: None,
    agent: Agent::None,
    ..AGENT_MODE
};
/// IPA begins once the drop-in is on disk.
const CONFIGURED: Scenario = Scenario {
    alerts: &["IpaSidecarPassedBy"],
    after_restart: &[],
    flags: &["--mode=configure"],
    ironic: Some(impatient),
    agent: Agent::None,
    ..AGENT_MODE
};
const GUARD: Scenario =
    Scenario { flags: &["--mode=guard"], after_restart: &[], agent: Agent::Good, ..AGENT_MODE };
/// The daemon is given [`TOKEN`].
const WITH_TOKEN: &[&str] = &["--mode=agent", "--ironic.agent-token-file=TOKEN"];

/// All of them.
pub static SCENARIOS: [Scenario; 21] = [
    Scenario { name: "healthy-agent", ironic: Some(impatient), ..AGENT_MODE },
    Scenario { name: "healthy-guard", flags: &["--mode=guard", "--probe.connect=off"], ..GUARD },
    Scenario { name: "seed-url", alerts: &["IpaSidecarBadAgentUrlSeen"], agent: Agent::Seed, ..GUARD },
    Scenario {
        name: "recorded-bad-url",
        alerts: &["IpaSidecarBadAgentUrlRecorded", "IpaSidecarCallbackUrlRefused", "IpaSidecarStalePin"],
        after_restart: &[],
        flags: WITH_TOKEN,
        ironic: Some(|| with_token(TOKEN)),
        before: record_a_bad_url,
        ..AGENT_MODE
    },
    Scenario {
        name: "stale-pin",
        alerts: &["IpaSidecarStalePin", "IpaSidecarCallbackUrlRefused"],
        then: Node::change_address,
        ..AGENT_MODE
    },
    Scenario {
        name: "stale-pin-guard",
        alerts: &["IpaSidecarStalePin", "IpaSidecarBadAgentUrlSeen"],
        // The conductor calls the lost address, and so never reaches the one that this daemon advertises.
        after_restart: &["IpaSidecarNoCallback"],
        then: Node::change_address,
        ..GUARD
    },
    Scenario {
        name: "api-down",
        alerts: &["IpaSidecarLookupFailing", "IpaSidecarConnectFailures"],
        after_restart: &[],
        ironic: None,
        ..AGENT_MODE
    },
    Scenario {
        name: "no-route",
        alerts: &["IpaSidecarNoValidAddress"],
        after_restart: &[],
        ironic: None,
        elsewhere: Some("192.0.2.1"), // RFC 5737: nobody's.
        ..AGENT_MODE
    },
    Scenario {
        name: "token-refused",
        alerts: &["IpaSidecarAgentTokenRefused"],
        after_restart: &[],
        flags: WITH_TOKEN,
        ironic: Some(|| with_token("another-one-0123456789-abcdefghijklmnopqrst")),
        ..AGENT_MODE
    },
    Scenario {
        name: "tls-required",
        alerts: &["IpaSidecarTlsRequired"],
        ironic: Some(|| Behaviour { require_tls: true, ..Behaviour::default() }),
        ..AGENT_MODE
    },
    Scenario { name: "no-callback", alerts: &["IpaSidecarNoCallback"], calls_back: false, ..AGENT_MODE },
    Scenario {
        name: "no-heartbeat",
        alerts: &["IpaSidecarNoHeartbeatAfterLookup"],
        agent: Agent::None,
        ..AGENT_MODE
    },
    Scenario {
        name: "heartbeat-overdue",
        alerts: &["IpaSidecarHeartbeatOverdue"],
        ironic: Some(impatient),
        then: ironic_gets_into_trouble,
        ..AGENT_MODE
    },
    Scenario {
        name: "probes-missing",
        alerts: &["IpaSidecarProbeMissing"],
        unprivileged: true,
        ..AGENT_MODE
    },
    // As RDO's unit starts it: without --config-dir. The operator's host does not reach it.
    Scenario {
        name: "passed-by-start-line",
        flags: &["--mode=configure", "--advertise.host=node.example"],
        unit: Some(&[]),
        passed_by: Some("not_read"),
        then: |node| node.begin_agent(Reads::Others, &[]),
        ..CONFIGURED
    },
    // The agent of 2016 takes its address from the text of a route, and the device's name is in its way.
    Scenario {
        name: "passed-by-device",
        alerts: &["IpaSidecarPassedBy", "IpaSidecarBadAgentUrlSeen"],
        nic: "asrc.77",
        passed_by: Some("other_url"),
        then: |node| node.begin_agent(Reads::Dropin, &[("TEST_AGE", "2016")]),
        ..CONFIGURED
    },
    Scenario {
        name: "passed-by-environment",
        alerts: &["IpaSidecarPassedBy", "IpaSidecarBadAgentUrlSeen", "IpaSidecarStalePin"],
        unit: Some(&[("OS_DEFAULT__ADVERTISE_HOST", "192.0.2.99")]), // RFC 5737: nobody's.
        passed_by: Some("overridden"),
        then: |node| node.begin_agent(Reads::Dropin, &[]),
        ..CONFIGURED
    },
    Scenario {
        name: "passed-by-proxy",
        flags: &["--mode=guard"],
        unit: Some(&[("HTTP_PROXY", "http://PROXY")]),
        passed_by: Some("proxy"),
        then: |node| node.begin_agent(Reads::Dropin, &[]),
        ..CONFIGURED
    },
    Scenario {
        name: "passed-by-unseen",
        passed_by: Some("nothing_seen"),
        then: Node::begin_agent_elsewhere,
        ..CONFIGURED
    },
    Scenario { name: "overrun", alerts: &["IpaSidecarNetlinkOverruns"], then: overrun, ..OBSERVER },
    Scenario {
        name: "down",
        alerts: &["IpaSidecarDown"],
        then: |node| {
            node.daemon.as_mut().context("no daemon")?.terminate()?;
            Ok(())
        },
        ..OBSERVER
    },
];

/// A heartbeat every 3 to 6 s.
fn impatient() -> Behaviour {
    Behaviour { heartbeat_timeout: 10, ..Behaviour::default() }
}

fn with_token(token: &str) -> Behaviour {
    Behaviour { pregenerated_token: Some(token.to_owned()), ..Behaviour::default() }
}

/// What an earlier agent of this node left behind.
fn record_a_bad_url(node: &Node) -> anyhow::Result<()> {
    let ironic = node.ironic.as_ref().context("no Ironic")?;
    let uuid = Behaviour::default().node_uuid;
    let body =
        json!({"callback_url": "http://127.0.0.1:9999", "agent_token": TOKEN, "agent_version": "1.5.2"});
    let version = [("X-OpenStack-Ironic-API-Version", "1.62")];
    let http = Http::inside(&node.hub, ironic.address());
    let answer = http.post(&format!("/v1/heartbeat/{uuid}"), &version, &body)?;
    anyhow::ensure!(answer.status == 202, "Ironic does not take the bad URL: {}", answer.text());
    Ok(())
}

fn ironic_gets_into_trouble(node: &mut Node) -> anyhow::Result<()> {
    node.accepted()?;
    let ironic = node.ironic.as_ref().context("no Ironic")?;
    ironic.set_fault(Path::Heartbeat, Some(Fault::Error(503, "no conductor".to_owned())));
    Ok(())
}

/// The daemon stands still while routes change: its buffer runs full.
fn overrun(node: &mut Node) -> anyhow::Result<()> {
    let batch = node.directory.join("routes");
    routes::write(&batch, routes::lines("add", ROUTES, "eth0.77"))?;
    let pid = node.daemon.as_ref().and_then(|daemon| i32::try_from(daemon.pid()).ok());
    let pid = pid.and_then(Pid::from_raw).context("no daemon")?;
    kill_process(pid, Signal::STOP)?;
    let added = node.netns.ip(&format!("-batch {}", batch.display()));
    kill_process(pid, Signal::CONT)?;
    added?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::fleet::ALERTS;

    #[test]
    fn every_alert_has_a_scenario_and_every_name_is_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/alerts.yml");
        let text = std::fs::read_to_string(path).unwrap();
        let alerts: Vec<_> =
            xtask::dashboards::rules::alerts(&text).unwrap().into_iter().map(|alert| alert.name).collect();
        for alert in &alerts {
            let has = |scenario: &Scenario| scenario.alerts.contains(&alert.as_str());
            assert!(SCENARIOS.iter().any(has) || ALERTS.contains(&alert.as_str()), "{alert}");
        }
        for scenario in &SCENARIOS {
            for alert in scenario.alerts.iter().chain(scenario.after_restart) {
                assert!(alerts.iter().any(|known| known == alert), "{}: {alert}", scenario.name);
            }
            assert_eq!(SCENARIOS.iter().filter(|other| other.name == scenario.name).count(), 1);
        }
    }
}
