//! The first heartbeat in IPA's place: when it is sent, and when it must not be. Time is set back, not waited for.

use std::io::{Read, Write};
use std::net::TcpListener;

use callback_url::{ApiUrl, Host};
use testbed::stand_in::{Behaviour, StandIn};
use text::Secret;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::advertise::{CandidateTrace, Decision, Origin, TargetTrace};
use crate::exchange::Exchanges;
use crate::guard::memory::Node;
use crate::guard::{GuardState, Surroundings};
use crate::ipa::keeper::DropinState;
use crate::ironic::Client;
use crate::metrics::Metrics;
use crate::params::Parameters;
use crate::pin::Pin;
use crate::watch::Published;

const URL: &str = "http://10.77.0.2:9999";

/// Ironic, and an IPA that answers its status URL and nothing else.
struct Lab {
    ironic: StandIn,
    guard: Arc<Guard>,
    probe: IpaProbe,
    _decisions: watch::Sender<Arc<Published>>,
}

impl Lab {
    /// IPA's lookup went through `ago`.
    fn new(callback_url: &str, ago: Duration) -> Self {
        let ironic = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
        let api = ApiUrl::parse(&ironic.url()).unwrap();
        let candidate = CandidateTrace {
            ip: ironic.address().ip(),
            source: None,
            device: None,
            table: None,
            accepted: true,
            reason: None,
            detail: None,
            origin: Origin::Route,
            refusal: None,
        };
        let decision = Decision {
            address: Host::parse("10.77.0.2"),
            callback_url: Some(callback_url.to_owned()),
            trace: vec![TargetTrace { url: api.clone(), resolved: vec![candidate], failure: None }],
            ..Decision::not_asked()
        };
        let published = Published::new(decision, 1);
        let (decisions, receiver) = watch::channel(Arc::new(published));
        let mut parameters = Parameters::default();
        parameters.ironic.api_urls = vec![api];
        let client = Client::new(&parameters.ironic).unwrap();
        let metrics = Metrics::new().unwrap();
        let exchanges = Exchanges::new(metrics.clone());
        let surroundings = Surroundings {
            decisions: receiver,
            dropin: watch::channel(DropinState::of(None)).1,
            pin: Pin::new(exchanges.clone(), metrics.clone()),
            exchanges,
            metrics,
        };
        let guard =
            Guard::new(client, &parameters, surroundings, None, watch::Sender::new(GuardState::default()));
        let token = first_lookup(&ironic);
        {
            let mut memory = guard.memory();
            memory.looked_up_at = Instant::now().checked_sub(ago);
            memory.node = Some(Node {
                uuid: Behaviour::default().node_uuid,
                token: Some(Secret::new(token)),
                token_required: true,
                heartbeat_timeout: Duration::from_secs(300),
            });
        }
        Self { ironic, guard, probe: IpaProbe::new(status_url()).unwrap(), _decisions: decisions }
    }

    async fn look(&self) -> bool {
        look(&self.guard, &self.probe).await
    }
}

/// Takes the token, as IPA did.
fn first_lookup(ironic: &StandIn) -> String {
    let http = testbed::http::Http::new(ironic.address());
    let version = [("X-OpenStack-Ironic-API-Version", "1.62")];
    let answer = http.get("/v1/lookup?addresses=52:54:00:12:34:56", &version).unwrap();
    answer.json().unwrap()["config"]["agent_token"].as_str().unwrap().to_owned()
}

/// Answers `/v1/status` as IPA does, until the end of the test program; gives the port.
fn status_url() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 2048];
            let got = stream.read(&mut head).unwrap_or(0);
            if head[..got].starts_with(b"GET /v1/status ") {
                let body = r#"{"started_at": 1.0, "version": "13.0.0"}"#;
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        }
    });
    port
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn it_is_sent_after_90_s_and_once() {
    let lab = Lab::new(URL, seconds(89));
    assert!(!lab.look().await);
    assert_eq!(lab.ironic.heartbeats(), 0, "too early");
    lab.guard.memory().looked_up_at = Instant::now().checked_sub(SILENCE);
    assert!(lab.look().await, "done");
    assert_eq!(lab.ironic.agent_url().as_deref(), Some(URL));
    assert_eq!(lab.ironic.heartbeats(), 1);
    assert_eq!(lab.guard.pin().held().url.as_deref(), Some(URL));
    let (text, _) = lab.guard.surroundings.metrics.render().unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("ipa_sidecar_heartbeats_sent_total{trigger=\"stand_in\"} 1"), "{text}");
}

#[tokio::test]
async fn it_is_not_sent_beside_a_heartbeat_of_ipas() {
    let lab = Lab::new(URL, seconds(100));
    lab.guard.memory().heartbeat_seen = true;
    assert!(lab.look().await, "nothing left to do");
    assert_eq!(lab.ironic.heartbeats(), 0);
}

#[tokio::test]
async fn it_is_not_sent_for_an_ipa_that_does_not_answer_or_was_not_looked_up() {
    let mut lab = Lab::new(URL, seconds(100));
    lab.guard.memory().looked_up_at = None;
    assert!(!lab.look().await);
    lab.guard.memory().looked_up_at = Instant::now().checked_sub(SILENCE);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    lab.probe = IpaProbe::new(free).unwrap();
    assert!(!lab.look().await);
    assert_eq!(lab.ironic.heartbeats(), 0);
}

#[tokio::test]
async fn it_is_not_sent_without_the_token_over_https_or_with_a_bad_url() {
    for (url, has_token) in [(URL, false), ("https://10.77.0.2:9999", true), ("http://127.0.0.1:9999", true)]
    {
        let lab = Lab::new(url, seconds(100));
        if !has_token {
            lab.guard.memory().node.as_mut().unwrap().token = None;
        }
        assert!(!lab.look().await);
        let beats = lab.ironic.requests().into_iter();
        assert_eq!(beats.filter(|request| request.method == "POST").count(), 0, "{url}");
    }
}
