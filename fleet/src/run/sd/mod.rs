//! `/sd`: which ramdisks Prometheus is to ask, in the JSON of its http_sd
//! (<https://prometheus.io/docs/prometheus/latest/http_sd/>).

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use callback_url::{ApiUrl, Scheme};
use exporter::{Answer, plain};
use hyper::StatusCode;
use serde::Serialize;

use crate::cidr::Cidrs;
use crate::params::{Parameters, SidecarParameters};
use crate::place::{is_forbidden, is_own};
use crate::relay::RelayResult;
use crate::show::line;

use crate::run::claims::{Claims, address, is_running};
use crate::run::fleet::Fleet;
use crate::run::kept::Kept;
use crate::run::metrics::{Metrics, Via};
use crate::run::web::json;

/// The path of the relay.
pub const RELAY: &str = "/relay";
/// The most characters of a label.
const LABEL: usize = 255;

/// What the operator wants.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The networks in which ramdisks may be; `None`: anywhere.
    allow: Option<Cidrs>,
    /// Those to which the relay may go.
    relay_allow: Cidrs,
    sidecar: SidecarParameters,
    external_url: Option<ApiUrl>,
    /// Whether an address is one of this machine's.
    is_own: fn(IpAddr) -> bool,
}

/// A node and its labels.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Group {
    targets: [String; 1],
    labels: Labels,
}

/// What Prometheus understands without relabelling, and what it leaves out of the series unless it is relabelled.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Labels {
    instance: String,
    node_uuid: String,
    #[serde(rename = "__scheme__", skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(rename = "__metrics_path__", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(rename = "__param_node", skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(rename = "__meta_ironic_name")]
    name: String,
    #[serde(rename = "__meta_ironic_provision_state")]
    state: &'static str,
    #[serde(rename = "__meta_ironic_address")]
    address: String,
}

impl Settings {
    /// As the parameters say; warns where a node may name any address.
    pub fn of(parameters: &Parameters) -> Self {
        if parameters.sd_allow.is_none() {
            tracing::warn!(
                "--sd.allow is not set: /sd lists whatever address a node claims, and Prometheus sends its password there"
            );
        }
        Self {
            allow: parameters.sd_allow.clone(),
            relay_allow: parameters.relay_allow.clone(),
            sidecar: parameters.sidecar.clone(),
            external_url: parameters.web.external_url.clone(),
            is_own,
        }
    }

    /// The answer; `query` is that of the request, `host` the Host that it was sent to.
    pub fn answer(
        &self,
        fleet: &Fleet,
        query: Option<&str>,
        host: Option<&str>,
        metrics: &Metrics,
    ) -> Answer {
        let via = match query.unwrap_or_default() {
            "" => Via::Direct,
            "via=relay" => Via::Relay,
            _ => return plain(StatusCode::BAD_REQUEST, "/sd takes no parameter but via=relay\n"),
        };
        if via == Via::Relay && self.relay_allow.is_empty() {
            return plain(StatusCode::FORBIDDEN, format!("{}\n", RelayResult::Off.words()));
        }
        // With 503 Prometheus keeps the targets that it has; an empty list would take all of them away.
        if let Some(why) = fleet.is_stale() {
            metrics.targets(via, 0);
            return plain(StatusCode::SERVICE_UNAVAILABLE, format!("no targets: {}\n", line(&why, 1000)));
        }
        let Some(relay) = self.relay(via, host) else {
            return plain(StatusCode::BAD_REQUEST, "a Host is wanted, or --web.external-url\n");
        };
        let groups = self.groups(fleet, &relay);
        metrics.targets(via, groups.len());
        json(&groups)
    }

    /// How the relay is reached, where it is wanted; `None` where that is not known.
    fn relay(&self, via: Via, host: Option<&str>) -> Option<Option<Relay>> {
        if via == Via::Direct {
            return Some(None);
        }
        if let Some(url) = &self.external_url {
            let authority = format!("{}:{}", url.host, url.port);
            return Some(Some(Relay { authority, scheme: Some(url.scheme), path: url.path(RELAY) }));
        }
        let is_sound = |host: &&str| {
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_[]".contains(&byte);
            !host.is_empty() && host.len() <= LABEL && host.bytes().all(sound)
        };
        let authority = host.filter(is_sound)?.to_owned();
        Some(Some(Relay { authority, scheme: None, path: RELAY.to_owned() }))
    }

    fn groups(&self, fleet: &Fleet, relay: &Option<Relay>) -> Vec<Group> {
        let claims = Claims::of(fleet);
        let listed = fleet.nodes.values().filter(|node| is_running(node, fleet) && !claims.are_shared(node));
        let targets = listed.filter_map(|node| {
            let address = address(node).filter(|address| self.allows(*address, fleet, relay.is_some()))?;
            Some(self.group(node, address, relay))
        });
        targets.collect() // By UUID, as the nodes are.
    }

    fn group(&self, node: &Arc<Kept>, address: IpAddr, relay: &Option<Relay>) -> Group {
        let uuid = node.uuid();
        let own = SocketAddr::new(address, self.sidecar.port).to_string();
        let (target, scheme, path, param) = match relay {
            None => (own, Some(self.sidecar.scheme), None, None),
            Some(Relay { authority, scheme, path }) => {
                (authority.clone(), *scheme, Some(path.clone()), Some(uuid.clone()))
            }
        };
        let labels = Labels {
            instance: line(&node.title(), LABEL),
            node_uuid: uuid,
            scheme: scheme.map(Scheme::as_str),
            path,
            node: param,
            name: node.name.as_deref().map(|name| line(name, LABEL)).unwrap_or_default(),
            state: node.state,
            address: address.to_string(),
        };
        Group { targets: [target], labels }
    }

    /// Whether a ramdisk may have this address: Prometheus, or the relay, sends its password there.
    fn allows(&self, address: IpAddr, fleet: &Fleet, is_relayed: bool) -> bool {
        let allowed = if is_relayed { Some(&self.relay_allow) } else { self.allow.as_ref() };
        !is_forbidden(address)
            && allowed.is_none_or(|allowed| allowed.contain(address))
            && !fleet.ironic.contains(&address)
            && !(self.is_own)(address)
    }
}

/// How Prometheus reaches this program's relay.
struct Relay {
    authority: String,
    scheme: Option<Scheme>,
    path: String,
}
