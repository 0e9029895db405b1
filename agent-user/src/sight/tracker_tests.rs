use std::net::SocketAddr;
use std::sync::Arc;

use callback_url::{ApiUrl, Reason};

use super::*;
use crate::advertise::Decision;
use crate::exchange::Exchanges;
use crate::pin::Pin;
use crate::sight::chunk::Who;
use crate::watch::Published;

const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const OTHER: &str = "22222222-2222-4222-8222-222222222222";
const URL: &str = "http://192.0.2.5:9999";

struct Lab {
    tracker: Tracker,
    metrics: Metrics,
    shown: watch::Receiver<SightState>,
    _keep: (watch::Sender<Arc<Published>>, watch::Sender<Vec<ResolvedTarget>>),
}

impl Lab {
    fn new() -> Self {
        let metrics = Metrics::new().unwrap();
        let exchanges = Exchanges::new(metrics.clone());
        let pin = Pin::new(exchanges.clone(), metrics.clone());
        let (published, decisions) = watch::channel(Arc::new(Published::new(Decision::not_asked(), 1)));
        let url = ApiUrl::parse("http://10.77.0.1:6385").unwrap();
        let addresses = Ok(vec![[10, 77, 0, 1].into()]);
        let (resolved, targets) = watch::channel(vec![ResolvedTarget { url, addresses }]);
        let (state, shown) = watch::channel(SightState::default());
        let registrar = Registrar { decisions, operator_host: false, pin, exchanges };
        let tracker = Tracker::new(
            targets,
            watch::channel(None).1,
            registrar,
            metrics.clone(),
            state,
            mpsc::channel(1).1,
        );
        Self { tracker, metrics, shown, _keep: (published, resolved) }
    }

    fn seen_by(&self, who: &str) -> String {
        let text = String::from_utf8(self.metrics.render().unwrap().0).unwrap();
        let name = format!("ipa_sidecar_exchanges_seen_total{{seen_by=\"{who}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().to_owned()
    }

    fn held(&self) -> Option<String> {
        self.tracker.registrar.pin.held().url
    }
}

fn root() -> Who {
    Who { pid: None, uid: Some(0), own_namespace: true }
}

fn exchange(request: Request, node: Option<&str>, status: u16, text: &str) -> Exchange {
    let beat = request == Request::Heartbeat;
    Exchange {
        request,
        node_uuid: node.map(str::to_owned),
        agent_url: beat.then(|| URL.to_owned()),
        token: Some(TokenSeen::Masked),
        heartbeat_timeout: None,
        status: Some(status),
        text: text.to_owned(),
        unreadable: false,
        duration: Duration::from_millis(3),
        who: root(),
        remote: Some("10.77.0.1:6385".parse::<SocketAddr>().unwrap()),
        host: None,
    }
}

fn beat(node: &str, status: u16, text: &str) -> Exchange {
    exchange(Request::Heartbeat, Some(node), status, text)
}

#[test]
fn only_root_of_this_namespace_at_the_api_for_this_node_decides() {
    let mut lab = Lab::new();
    for (who, remote) in [
        (Who { uid: Some(1000), ..root() }, "10.77.0.1:6385"),
        (Who { uid: None, ..root() }, "10.77.0.1:6385"),
        (Who { own_namespace: false, ..root() }, "10.77.0.1:6385"),
        (root(), "10.77.0.1:6386"),
        (root(), "10.77.0.2:6385"),
    ] {
        let foreign = Exchange { who, remote: Some(remote.parse().unwrap()), ..beat(NODE, 202, "") };
        lab.tracker.ended(&foreign);
    }
    lab.tracker.ended(&Exchange { remote: None, ..beat(NODE, 202, "") });
    assert_eq!((lab.held(), lab.seen_by("foreign").as_str()), (None, "6"));
    assert_eq!(lab.shown.borrow().foreign.iter().count(), 6);
    lab.tracker.ended(&beat(NODE, 202, ""));
    assert_eq!((lab.held().as_deref(), lab.seen_by("sight").as_str()), (Some(URL), "1"));
    // Another node's, and an answer to an operator's question about another node.
    lab.tracker
        .ended(&Exchange { agent_url: Some("http://192.0.2.9:9999".to_owned()), ..beat(OTHER, 202, "") });
    lab.tracker.ended(&exchange(Request::Lookup, Some(OTHER), 200, ""));
    assert_eq!((lab.held().as_deref(), lab.seen_by("foreign").as_str()), (Some(URL), "8"));
    // Enrolled anew: it gets a token.
    let token = Some(TokenSeen::Real);
    lab.tracker.ended(&Exchange { token, ..exchange(Request::Lookup, Some(OTHER), 200, "") });
    assert_eq!(lab.shown.borrow().node_uuid.as_deref(), Some(OTHER));
    let shown = lab.shown.borrow().exchanges.last().cloned().unwrap();
    assert_eq!((shown.request, shown.status, shown.uid), (Request::Lookup, Some(200), Some(0)));
}

#[test]
fn refusals_are_shown_until_a_heartbeat_is_accepted() {
    let mut lab = Lab::new();
    lab.tracker.ended(&beat(NODE, 400, "TLS is required by configuration"));
    assert!(lab.shown.borrow().refused.as_ref().unwrap().contains("TLS is required"));
    lab.tracker.ended(&beat(NODE, 409, "Node is locked"));
    assert!(lab.shown.borrow().refused.is_some());
    lab.tracker.ended(&beat(NODE, 202, ""));
    assert_eq!(lab.shown.borrow().refused, None);
    let other = Exchange { agent_url: Some("http://192.0.2.9:9999".to_owned()), ..beat(NODE, 0, "") };
    lab.tracker.ended(&Exchange {
        status: Some(400),
        text: "Detected change in ramdisk provided \"callback_url\"".to_owned(),
        ..other
    });
    let held = lab.tracker.registrar.pin.held();
    assert!(held.stale.is_some() && held.is(URL));
    lab.tracker.ended(&beat(NODE, 301, ""));
    assert!(lab.shown.borrow().refused.as_ref().unwrap().contains("redirect"));
}

#[test]
fn bad_urls_are_counted_with_nothing_done() {
    let mut lab = Lab::new();
    let url = "http://192.0.2.5%20uid%200:9999".to_owned();
    lab.tracker.ended(&Exchange { agent_url: Some(url), ..beat(NODE, 202, "") });
    let text = String::from_utf8(lab.metrics.render().unwrap().0).unwrap();
    assert!(text.contains("ipa_sidecar_bad_agent_url_total{action=\"none\",source=\"ipa\"} 1\n"), "{text}");
    let seen = lab.tracker.registrar.exchanges.subscribe();
    assert_eq!(seen.borrow().bad_urls.last().unwrap().reasons, [Reason::PercentEncodedHost]);
}

#[test]
fn a_lookup_shows_the_heartbeat_timeout_and_what_is_lost_is_counted() {
    let mut lab = Lab::new();
    let timeout = Some(Duration::from_secs(120));
    lab.tracker
        .ended(&Exchange { heartbeat_timeout: timeout, ..exchange(Request::Lookup, Some(NODE), 200, "") });
    lab.tracker.take(&Seen::Lost(3));
    let text = String::from_utf8(lab.metrics.render().unwrap().0).unwrap();
    assert!(text.contains("ipa_sidecar_heartbeat_interval_seconds 120\n"), "{text}");
    assert!(text.contains("lookup_attempts_total{result=\"masked_token\",sender=\"ipa\"} 1\n"), "{text}");
    assert!(text.contains("ipa_sidecar_probe_events_lost_total 3\n"), "{text}");
    assert_eq!(lab.shown.borrow().lost, 3);
}
