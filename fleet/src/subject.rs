//! What is known of one node: its agent URL, judged, and why Ironic gave up on it. Pure.

use callback_url::{Context, Reason, Verdict, Warning, judge};
use serde::Serialize;
use text::redact;

use crate::failure::{self, Class};
use crate::moment::Moment;
use crate::node::{Event, Node};
use crate::states::is_failed;

/// The most bytes of a failure's text that are kept: a deploy step's error quotes a traceback.
const TEXT: usize = 4 << 10;

/// A failure of a node, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When Ironic recorded it.
    pub at: Moment,
    /// What went wrong.
    pub class: Class,
    /// What is wrong with the URL, worst first; none where it is good.
    pub reasons: Vec<Reason>,
    /// The agent URL that it is about.
    pub url: Option<String>,
    /// The URL that would be right, where it is known.
    pub suggestion: Option<String>,
    /// Ironic's text: redacted, cut.
    pub text: String,
}

/// A node as `check` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// Its UUID.
    pub uuid: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Its provision state.
    pub provision_state: String,
    /// The URL that Ironic holds, cut.
    pub agent_url: Option<String>,
    /// The judgement of that URL; null without one.
    pub verdict: Option<Verdict>,
    /// What is wrong with it.
    pub reasons: Vec<Reason>,
    /// What is doubtful about it.
    pub warnings: Vec<Warning>,
    /// The URL that would be right, where it is known.
    pub suggestion: Option<String>,
    /// When its agent was last heard.
    pub last_heartbeat: Option<Moment>,
    /// Why Ironic gave up on it.
    pub failure: Option<Failure>,
    /// When its state changed last.
    #[serde(skip)]
    pub changed_at: Option<Moment>,
    /// What Ironic remembers for a short time.
    #[serde(skip)]
    pub last_error: Option<String>,
}

impl Subject {
    /// Judges a node.
    pub fn of(node: Node) -> Self {
        let judged = node.agent_url.as_deref().map(|url| judge(url, &Context::default()));
        let (verdict, reasons, warnings, suggestion) = match judged {
            Some(judged) => (Some(judged.verdict), judged.reasons, judged.warnings, judged.suggestion),
            None => (None, Vec::new(), Vec::new(), None),
        };
        Self {
            uuid: node.uuid,
            name: node.name,
            provision_state: node.provision_state,
            agent_url: node.agent_url.as_deref().map(failure::kept),
            verdict,
            reasons,
            warnings,
            suggestion,
            last_heartbeat: node.last_heartbeat,
            failure: None,
            changed_at: node.changed_at,
            last_error: node.last_error.map(|text| shortened(&text)),
        }
    }

    /// Whether Ironic has given up on it.
    pub fn has_failed(&self) -> bool {
        is_failed(&self.provision_state)
    }

    /// Takes the failure out of its history: the newest event since then that is about its agent, else the newest one.
    pub fn remember(&mut self, events: Vec<Event>, since: Moment) {
        let events = events.into_iter().filter(|event| event.at >= since);
        let explained = events.map(|event| self.failure_of(event.at, &event.text));
        let newest = explained.max_by_key(|failure| (failure.is_agents(), failure.at));
        self.failure = newest.or(self.failure.take());
    }

    /// Takes the failure out of `last_error`, where no history tells.
    pub fn remember_last_error(&mut self, since: Moment) {
        let at = self.changed_at.filter(|at| *at >= since);
        if let (None, Some(at), Some(text)) = (&self.failure, at, &self.last_error) {
            self.failure = Some(self.failure_of(at, text));
        }
    }

    fn failure_of(&self, at: Moment, text: &str) -> Failure {
        Failure::of(at, text, self.agent_url.as_deref())
    }

    /// Whether its agent URL cannot work.
    pub fn is_bad(&self) -> bool {
        self.verdict == Some(Verdict::Bad)
    }

    /// Whether there is something to say about it.
    pub fn has_remark(&self) -> bool {
        self.is_bad() || self.failure.is_some() || !self.warnings.is_empty()
    }

    /// The worse, the less: a bad URL now, a failure by a bad one, another failure of the agent, the rest.
    pub fn rank(&self) -> u8 {
        match &self.failure {
            _ if self.is_bad() => 0,
            Some(failure) if !failure.reasons.is_empty() => 1,
            Some(failure) if failure.is_agents() => 2,
            Some(_) => 3,
            None if !self.warnings.is_empty() => 4,
            None => 5,
        }
    }
}

impl Failure {
    /// Explains a text. Where it names no host, it is about the last agent URL that was seen.
    pub fn of(at: Moment, text: &str, last_url: Option<&str>) -> Self {
        let failure::Explained { class, url, reasons, suggestion } = failure::explain(text, last_url);
        Self { at, class, reasons, url, suggestion, text: shortened(text) }
    }

    /// Whether it is about the agent, and not one of the hardware or of another service.
    pub fn is_agents(&self) -> bool {
        self.class != Class::Other || self.url.is_some()
    }
}

/// Redacted and cut: half a secret at the end would not be recognised, so what is cut is redacted first.
fn shortened(text: &str) -> String {
    let head = |most: usize, text: &str| {
        let mut end = text.len().min(most);
        while !text.is_char_boundary(end) {
            end -= 1; // 0 is a boundary.
        }
        text.get(..end).unwrap_or_default().to_owned()
    };
    let shown = redact(&head(4 * TEXT, text));
    match shown.len() > TEXT {
        true => format!("{}...", head(TEXT, &shown)),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(agent_url: Option<&str>, state: &str) -> Subject {
        Subject::of(Node {
            uuid: "f80db967-a8d4-4a05-9443-41b0855f1ec3".to_owned(),
            provision_state: state.to_owned(),
            agent_url: agent_url.map(str::to_owned),
            ..Node::default()
        })
    }

    fn event(at: u64, text: &str) -> Event {
        Event { at: Moment::from_seconds(at), text: text.to_owned() }
    }

    #[test]
    fn the_newest_event_about_the_agent_is_the_failure() {
        let mut node = subject(None, "clean failed");
        let agents = "Error invoking agent command: HTTPConnectionPool(host='10.0.0.1 uid 0', port=9999): \
                      Max retries exceeded with url: /v1/commands/?agent_token=abcdef (Caused by NameResolutionError(";
        let events = vec![event(50, "Failed to power off"), event(40, agents), event(5, "timed out")];
        node.remember(events, Moment::from_seconds(10));
        let failure = node.failure.as_ref().unwrap();
        assert_eq!((failure.class, failure.at), (Class::NameResolution, Moment::from_seconds(40)));
        assert_eq!(failure.suggestion.as_deref(), Some("http://10.0.0.1:9999"));
        assert!(!failure.text.contains("abcdef"), "{}", failure.text);
        assert_eq!(node.rank(), 1);
        let mut node = subject(None, "clean failed");
        node.remember(vec![event(5, agents)], Moment::from_seconds(10));
        assert_eq!(node.failure, None, "older than what is asked for");
    }

    #[test]
    fn worse_nodes_rank_before_better_ones() {
        assert_eq!(subject(Some("http://10.0.0.1 uid 0:9999"), "clean wait").rank(), 0);
        assert_eq!(subject(Some("http://10.0.0.1:9999"), "clean wait").rank(), 5);
        let long = subject(Some(&format!("http://{}:9999", "x".repeat(1 << 20))), "clean wait");
        assert!(long.is_bad() && long.agent_url.unwrap().len() < 2000);
    }
}
