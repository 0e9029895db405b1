//! The heartbeats of one session.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use callback_url::{Context, Host};
use exporter::read_file;
use fib::listens;
use tokio::time::{Instant, sleep};

use super::{Agent, AgentPhase, Session};
use crate::advertise::{Decision, Origin};
use crate::ironic::schedule::{forced_wait, heartbeat_interval, heartbeat_retry};
use crate::ironic::{Connection, Heartbeat, HeartbeatResult, IronicError};
use crate::kernel_thread;
use crate::metrics::{Trigger, UrlAction, UrlSource};
use crate::pin::ReadBack;
use crate::recent::Moment;

/// Ironic's conductor records a heartbeat after it was answered (ironic, `conductor/manager.py`, `heartbeat`, spawns a
/// worker): before this pause nothing may be there to read back.
const READ_BACK_PAUSE: Duration = Duration::from_secs(1);
/// What a heartbeat has room for: a certificate with its chain has a third of it.
const VERIFY_CA_MAX: usize = 12 * 1024;
/// How often it is asked whether the agent listens by now.
const LISTENER_POLL: Duration = Duration::from_secs(1);

/// Names the flag in messages.
const AGENT_VERIFY_CA: &str = "--agent.verify-ca";
/// What the operator has to do where Ironic wants TLS.
const TLS_ADVICE: &str = "; give --advertise.protocol=https, and --agent.verify-ca where Ironic cannot verify the certificate of \
                          what listens there";

/// What to do after a heartbeat.
enum Next {
    /// Send another one after this pause, sooner where the address changes.
    After(Duration, Trigger),
    /// The token is no longer good.
    LookUp,
}

impl Agent {
    /// Sends heartbeats until Ironic refuses the token.
    pub(super) async fn send_heartbeats(&mut self, mut session: Session) {
        let mut trigger = Trigger::First;
        let mut last_sent: Option<Instant> = None;
        loop {
            if let Some(at) = last_sent {
                sleep(forced_wait(at.elapsed())).await;
            }
            let (decision, url) = self.listening().await;
            self.phase(AgentPhase::Heartbeating);
            if !self.may_leave(&decision, &url) {
                self.sleep_while_url_is(Some(&url), session.heartbeat_timeout).await;
                continue;
            }
            let certificate = match self.certificate().await {
                Ok(certificate) => certificate,
                Err(why) => {
                    self.heartbeat_failed(&url, format!("{AGENT_VERIFY_CA}: {why}"));
                    let pause = heartbeat_retry(&mut self.rng);
                    self.sleep_while_url_is(Some(&url), pause).await;
                    continue;
                }
            };
            last_sent = Some(Instant::now());
            let outcome = self.send(&decision, &url, &session, certificate, trigger).await;
            let accepted = outcome.is_ok();
            let next = self.after(outcome, &url, &mut session).await;
            if accepted && !self.pin.held().confirmed {
                sleep(READ_BACK_PAUSE).await;
                self.read_back(&url, &mut session).await;
            }
            match next {
                Next::LookUp => {
                    sleep(heartbeat_retry(&mut self.rng)).await;
                    return;
                }
                Next::After(pause, next) => {
                    self.sleep_while_url_is(Some(&url), pause).await;
                    let changed = self.decisions.borrow().decision.callback_url.as_ref() != Some(&url);
                    trigger = if changed { Trigger::AddressChange } else { next };
                }
            }
        }
    }

    /// Waits until there is an address and something listens on it: a heartbeat makes the conductor call back, and
    /// if it finds nobody it fails the node.
    async fn listening(&mut self) -> (Decision, String) {
        let mut said = false;
        loop {
            let decision = self.addressed().await;
            let listening = self.without_listener || self.is_listened_on(&decision).await;
            if let (true, Some(url)) = (listening, decision.callback_url.clone()) {
                return (decision, url);
            }
            if !said {
                tracing::warn!(
                    port = self.port,
                    "nothing listens on the advertised port: no heartbeat until it does"
                );
                said = true;
            }
            self.phase(AgentPhase::AwaitingListener);
            sleep(LISTENER_POLL).await;
        }
    }

    /// Whether something listens on the address and port of this decision, of its family.
    async fn is_listened_on(&self, decision: &Decision) -> bool {
        let address = match (&decision.address, decision.origin) {
            // The operator's address may be translated on the way here, to another one of its family.
            (Some(Host::Ip(IpAddr::V4(_))), Some(Origin::Operator)) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (Some(Host::Ip(IpAddr::V6(_))), Some(Origin::Operator)) => Some(Ipv6Addr::UNSPECIFIED.into()),
            (Some(Host::Ip(ip)), _) => Some(*ip),
            _ => None,
        };
        let port = self.port;
        match kernel_thread::ask(move || listens(address, port)).await {
            Some(Ok(listening)) => listening,
            unknown => {
                tracing::debug!(?unknown, "whether something listens cannot be asked; assuming so");
                true
            }
        }
    }

    /// The last look at a URL before it leaves. Ours are good by construction, and the operator's host is the
    /// operator's; anything else stays here.
    fn may_leave(&self, decision: &Decision, url: &str) -> bool {
        let judgement = callback_url::judge(url, &Context::default());
        if judgement.reasons.is_empty() || decision.origin == Some(Origin::Operator) {
            return true;
        }
        let words: Vec<_> = judgement.reasons.iter().map(|reason| reason.words()).collect();
        let words = format!("not sending the bad callback URL {url:?}: {}", words.join("; "));
        tracing::error!("{words}");
        self.exchanges.bad_url(url, UrlSource::Sidecar, UrlAction::Held, &judgement.reasons);
        self.failed(words);
        false
    }

    async fn send(
        &self,
        decision: &Decision,
        url: &str,
        session: &Session,
        certificate: Option<String>,
        trigger: Trigger,
    ) -> Result<(), IronicError> {
        let heartbeat = Heartbeat {
            uuid: session.uuid.clone(),
            callback_url: url.to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            agent_token: session.token.clone(),
            agent_verify_ca: certificate,
            agent_status: None,
            agent_status_message: None,
        };
        let connection =
            self.exchanges.send(&self.client, &decision.endpoints(), &heartbeat, trigger).await?;
        let Connection { url, remote, local } = &connection;
        self.reach.answered(decision, url, remote.ip(), local.ip());
        Ok(())
    }

    async fn after(&mut self, outcome: Result<(), IronicError>, url: &str, session: &mut Session) -> Next {
        let interval = heartbeat_interval(session.heartbeat_timeout, &mut self.rng);
        let Err(error) = outcome else {
            tracing::info!(url, next_in = ?interval, "heartbeat accepted");
            self.pin.accepted(url);
            self.pin.set_stale(None);
            self.state.send_modify(|state| {
                state.last_accepted = Some(Moment::now());
                state.last_failure = None;
            });
            return Next::After(interval, Trigger::Interval);
        };
        let mut words = self.decisions.borrow().decision.explained(&error);
        if error.heartbeat_result() == HeartbeatResult::TlsRequired {
            words.push_str(TLS_ADVICE);
        }
        self.heartbeat_failed(url, words);
        match error.heartbeat_result() {
            HeartbeatResult::PinnedRefused => {
                if self.finds_another_pin(url, session).await {
                    return Next::After(heartbeat_retry(&mut self.rng), Trigger::Retry);
                }
                self.pin.refused(url);
                Next::After(interval, Trigger::Interval)
            }
            HeartbeatResult::TokenRefused => Next::LookUp,
            // Only the operator can change that: no hurry.
            HeartbeatResult::TlsRequired => Next::After(interval, Trigger::Interval),
            _ => Next::After(heartbeat_retry(&mut self.rng), Trigger::Retry),
        }
    }

    /// Shows why a heartbeat failed; what repeats is a log line once.
    fn heartbeat_failed(&self, url: &str, words: String) {
        let words = format!("heartbeat: {words}");
        if self.state.borrow().last_failure.as_ref() == Some(&words) {
            tracing::debug!(url, error = words, "heartbeat failed as the one before");
        } else {
            tracing::warn!(url, error = words, "heartbeat failed");
        }
        self.failed(words);
    }

    /// The certificate for Ironic, where one was named. It is read anew for each heartbeat: what listens on the port may
    /// make it late.
    async fn certificate(&self) -> Result<Option<String>, String> {
        let Some(path) = self.verify_ca.clone() else {
            return Ok(None);
        };
        let read = kernel_thread::ask(move || read_certificate(&path)).await;
        read.unwrap_or_else(|| Err("it was not read in time".to_owned())).map(Some)
    }

    /// A heartbeat whose answer was lost may have been recorded anyway. Where what is known does not explain the
    /// refusal, a lookup tells what Ironic holds, and the decision may return to it; true where it is news.
    async fn finds_another_pin(&mut self, url: &str, session: &mut Session) -> bool {
        let held = self.pin.held();
        if held.url.is_some() && !held.is(url) {
            return false;
        }
        let Ok(recorded) = self.recorded_url(session).await else {
            return false;
        };
        let news = recorded.as_ref().is_some_and(|recorded| !callback_url::same_to_ironic(recorded, url));
        if let (true, Some(recorded)) = (news, &recorded) {
            tracing::warn!(?recorded, url, "Ironic holds another callback URL than known so far");
            self.pin.judge(recorded);
        }
        self.pin.take(recorded.as_deref());
        news
    }

    /// What Ironic holds. A lookup after the daemon's own is harmless.
    async fn recorded_url(&mut self, session: &mut Session) -> Result<Option<String>, IronicError> {
        let query = self.query().await;
        let reply = self.ask_for_node(&query).await?;
        // A power cycle in between made this the first lookup: the daemon has the token again.
        if self.given_token.is_none() && reply.agent_token.is_some() {
            session.token = reply.agent_token;
        }
        Ok(reply.agent_url)
    }

    /// 202 does not mean recorded.
    async fn read_back(&mut self, url: &str, session: &mut Session) {
        match self.recorded_url(session).await {
            Ok(recorded) if self.pin.compare(recorded.as_deref()) == ReadBack::Confirmed => {
                tracing::info!(url, "Ironic has recorded the callback URL");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "reading back the recorded callback URL failed"),
        }
    }
}

/// A certificate (PEM) as Ironic may have it. A file with a private key stays here.
fn read_certificate(path: &Path) -> Result<String, String> {
    let about = |problem: String| format!("{path:?}: {problem}");
    let content = read_file(path).map_err(|error| about(error.to_string()))?;
    let text = String::from_utf8(content).map_err(|_| about("no PEM file".to_owned()))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(about("it holds a private key, which must not leave this machine".to_owned()));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(about("it holds no certificate (PEM)".to_owned()));
    }
    if text.len() > VERIFY_CA_MAX {
        return Err(about(format!("larger than {VERIFY_CA_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    #[test]
    fn only_certificates_leave() {
        let directory = Directory::new("certificate");
        let certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN EC PRIVATE KEY-----\nMA==\n-----END EC PRIVATE KEY-----\n";
        for (content, problem) in [
            (certificate.to_owned(), None),
            (format!("{certificate}{key}"), Some("private key")),
            (String::new(), Some("no certificate")),
            (certificate.repeat(300), Some("larger than")),
        ] {
            directory.write("ca.pem", &content);
            let read = read_certificate(&directory.file("ca.pem"));
            match problem {
                None => assert_eq!(read.as_deref(), Ok(content.as_str())),
                Some(problem) => assert!(read.unwrap_err().contains(problem), "{problem}"),
            }
        }
        assert!(read_certificate(&directory.file("none")).unwrap_err().contains("No such file"));
    }
}
