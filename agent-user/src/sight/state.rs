//! What sight shows of itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use callback_url::{ApiUrl, Scheme};
use serde::{Serialize, Serializer};
use text::foreign_text;

use super::chunk::Source;
use super::parse::{Exchange, Request};
use super::tls;
use crate::exchange::SeenBy;
use crate::http1::TokenSeen;
use crate::ipa::restart::SightRecord;
use crate::kept::{IpaId, since_boot};
use crate::probes::{Reason, Unavailable};
use crate::recent::{Moment, Recent};

/// Sight, as the page and `/state` show it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SightState {
    /// At the network, unencrypted.
    pub http: SourceState,
    /// At libssl's functions.
    pub tls: SourceState,
    /// The interpreters whose libssl is watched.
    #[serde(skip)]
    interpreters: Vec<PathBuf>,
    /// Pieces and events that were lost.
    pub lost: u64,
    /// Exchanges that were seen in part, and whose end will not be known.
    pub given_up: u64,
    /// When one of both last happened.
    #[serde(skip)]
    gap: Option<Moment>,
    /// Lookups that have begun, whoever asked.
    pub lookups_begun: u64,
    /// When the last of them did.
    #[serde(skip)]
    pub last_lookup: Option<Moment>,
    /// This node, by a lookup of IPA's or an accepted heartbeat.
    pub node_uuid: Option<String>,
    /// Why Ironic refused IPA's last heartbeat.
    pub refused: Option<String>,
    /// The last exchanges of IPA's, oldest first.
    pub exchanges: Recent<ExchangeSeen>,
    /// The last that were not of IPA's for this node, oldest first.
    pub foreign: Recent<ExchangeSeen>,
}

impl SightState {
    /// Of probes on libssl that are being loaded.
    pub fn loading() -> Self {
        Self { tls: SourceState::off(&Unavailable::loading()), ..Self::default() }
    }

    /// Since when every source looks that these API URLs need, without a gap; `None` where one does not.
    pub fn since<'a>(&self, mut urls: impl Iterator<Item = &'a ApiUrl>) -> Option<Moment> {
        let source = |url: &ApiUrl| match url.scheme {
            Scheme::Http => self.http.since,
            Scheme::Https => self.tls.since,
        };
        let first = source(urls.next()?)?;
        urls.try_fold(first, |latest, url| {
            let since = source(url)?;
            Some(if since.elapsed() < latest.elapsed() { since } else { latest })
        })
    }

    /// For how long nothing was lost, or seen in part only; `None`: since the start.
    pub fn whole_for(&self) -> Option<Duration> {
        self.gap.map(|gap| gap.elapsed())
    }

    /// So many pieces or events were lost.
    pub fn take_lost(&mut self, count: u64) {
        self.lost += count;
        self.gap = Some(Moment::now());
    }

    /// So many exchanges were seen in part.
    pub fn take_given_up(&mut self, count: u64) {
        self.given_up += count;
        self.gap = Some(Moment::now());
    }

    /// How it went with the probes on libssl.
    pub fn take_tls(&mut self, mut report: tls::Report) {
        self.interpreters = std::mem::take(&mut report.interpreters);
        self.tls = SourceState::of(report);
    }

    /// What it knows of an IPA, for who may restart it. `program`: what runs it. An interpreter whose libssl is not known to
    /// be watched may have spoken unseen.
    pub fn record<'a>(
        &self,
        urls: impl Iterator<Item = &'a ApiUrl> + Clone,
        ipa: IpaId,
        program: Option<&Path>,
    ) -> SightRecord {
        let is_https = urls.clone().any(|url| url.scheme == Scheme::Https);
        let is_watched = !is_https || program.is_some_and(|one| self.interpreters.iter().any(|i| i == one));
        let age = since_boot().saturating_sub(ipa.started());
        let is_since = |moment: Moment| moment.elapsed() <= age;
        SightRecord {
            attached_before_ipa: is_watched && self.since(urls).is_some_and(|since| since.elapsed() > age),
            lost: self.lost + self.given_up > 0,
            lookup_seen: self.last_lookup.is_some_and(is_since),
        }
    }

    /// What a source shows.
    pub fn source(&mut self, source: Source) -> &mut SourceState {
        match source {
            Source::Http => &mut self.http,
            Source::Tls => &mut self.tls,
        }
    }
}

/// Where sight looks.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SourceState {
    /// Whether it does.
    pub attached: bool,
    /// Why not, as a label.
    pub reason: Option<Reason>,
    /// The same as a sentence.
    pub detail: Option<String>,
    /// Since when it does.
    #[serde(rename = "since_seconds_ago")]
    pub since: Option<Moment>,
}

impl SourceState {
    /// It looks from now on.
    pub fn on() -> Self {
        Self { attached: true, since: Some(Moment::now()), ..Self::default() }
    }

    /// Of the probes on libssl.
    pub fn of(report: tls::Report) -> Self {
        match report.missing {
            Some(why) => Self::off(&why),
            None => Self { detail: report.answers_missing.map(|why| why.detail), ..Self::on() },
        }
    }

    /// It does not look, for this reason.
    pub fn off(why: &Unavailable) -> Self {
        Self { reason: Some(why.reason), detail: Some(why.detail.clone()), ..Self::default() }
    }
}

/// One exchange.
#[derive(Debug, Clone, Serialize)]
pub struct ExchangeSeen {
    /// When it ended.
    #[serde(rename = "seconds_ago")]
    pub at: Moment,
    /// What was asked.
    pub request: Request,
    /// The HTTP status; `None` where there was no answer.
    pub status: Option<u16>,
    /// The node that it names.
    pub node_uuid: Option<String>,
    /// The callback URL in it, fit to be shown.
    pub callback_url: Option<String>,
    /// What stood for the token in it.
    pub token: Option<TokenSeen>,
    #[serde(rename = "duration_seconds", serialize_with = "in_seconds")]
    pub duration: Duration,
    /// Where the connection led.
    pub endpoint: Option<SocketAddr>,
    /// The process, where it is known.
    pub pid: Option<u32>,
    /// The user, where it is known.
    pub uid: Option<u32>,
    /// Whose it is.
    pub seen_by: SeenBy,
}

impl ExchangeSeen {
    /// An exchange that has just ended.
    pub fn of(exchange: &Exchange, seen_by: SeenBy) -> Self {
        Self {
            at: Moment::now(),
            request: exchange.request,
            status: exchange.status,
            node_uuid: exchange.node_uuid.as_deref().map(|uuid| foreign_text(uuid, None)),
            callback_url: exchange.agent_url.as_deref().map(|url| foreign_text(url, None)),
            token: exchange.token,
            duration: exchange.duration,
            endpoint: exchange.remote,
            pid: exchange.who.pid,
            uid: exchange.who.uid,
            seen_by,
        }
    }
}

fn in_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over https it may have looked its node up unseen: it is not restarted then.
    #[test]
    fn an_interpreter_whose_libssl_is_not_known_to_be_watched_was_not_seen() {
        let report = tls::Report {
            attached: true,
            interpreters: vec!["/usr/bin/python3.11".into()],
            ..tls::Report::default()
        };
        let mut state = SightState { http: SourceState::on(), ..SightState::default() };
        state.take_tls(report);
        let [https, http] = ["https://192.0.2.1", "http://192.0.2.1"].map(|url| ApiUrl::parse(url).unwrap());
        let ipa = IpaId { pid: 1, start_ticks: u64::MAX }; // It began after everything.
        let is_attached = |url: &ApiUrl, program: Option<&str>| {
            state.record([url].into_iter(), ipa, program.map(Path::new)).attached_before_ipa
        };
        std::thread::sleep(Duration::from_millis(1));
        assert!(is_attached(&https, Some("/usr/bin/python3.11")));
        for program in [Some("/opt/python3"), None] {
            assert!(!is_attached(&https, program), "{program:?}");
            assert!(is_attached(&http, program), "the network shows all of them");
        }
    }
}
