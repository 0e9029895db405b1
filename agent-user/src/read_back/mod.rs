//! Read-back: one lookup of its own, once IPA has its token, tells which callback URL Ironic holds. For modes configure and
//! guard.
//!
//! [`due`] (pure) says when. Never before the token is known to be spent: the lookup would take it, and IPA would hang for
//! good. A token that it gets anyway, because Ironic had wiped it, goes into IPA's drop-in.

pub mod due;
mod state;

pub use state::{ReadBackPhase, ReadBackState};

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use text::{Secret, foreign_text};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::exchange::{Exchanges, IpaBeats};
use crate::ipa::keeper::DropinState;
use crate::ipa::status::{IpaProbe, IpaState};
use crate::ipa::{commitment, token};
use crate::ironic::schedule::LookupSchedule;
use crate::ironic::{Client, IronicError, LookupQuery, LookupReply, LookupResult};
use crate::kept::{self, IpaId, Kept};
use crate::metrics::Metrics;
use crate::nics;
use crate::params::Parameters;
use crate::pin::{Pin, ReadBack as Compared};
use crate::recent::Moment;
use crate::watch::Published;

use due::{Facts, Last, due};

/// What it hears of, and where it records.
pub struct Surroundings {
    pub decisions: watch::Receiver<Arc<Published>>,
    pub ipa: watch::Receiver<IpaState>,
    pub dropin: watch::Receiver<DropinState>,
    /// What Ironic holds.
    pub pin: Pin,
    pub exchanges: Exchanges,
    /// What outlives the daemon.
    pub kept: Kept,
    pub metrics: Metrics,
}

/// Reads back.
pub struct ReadBack {
    client: Client,
    probe: IpaProbe,
    schedule: LookupSchedule,
    fresh_schedule: LookupSchedule,
    /// It fails: no sooner than this.
    not_before: Option<Instant>,
    surroundings: Surroundings,
    beats: watch::Receiver<IpaBeats>,
    seen: Seen,
    node_uuid: Option<String>,
    /// A token for IPA's drop-in.
    token: watch::Sender<Option<Secret>>,
    state: watch::Sender<ReadBackState>,
    rng: Rng,
}

/// What was seen of the IPA that runs now.
#[derive(Debug, Default)]
struct Seen {
    process: Option<IpaId>,
    up_since: Option<Instant>,
    /// Accepted heartbeats that were counted.
    accepted: u64,
    /// The last one, where it came after the last read-back.
    accepted_at: Option<Instant>,
    token_refused: bool,
    last: Option<(Instant, Last)>,
}

impl ReadBack {
    /// Reads what concerns it from the parameters. What it shows of itself appears in `state`, a token for the drop-in in
    /// `token`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(
        client: Client,
        parameters: &Parameters,
        surroundings: Surroundings,
        token: watch::Sender<Option<Secret>>,
        state: watch::Sender<ReadBackState>,
    ) -> Result<Self, IronicError> {
        let schedule = LookupSchedule::new(parameters.lookup.interval, parameters.lookup.timeout);
        state.send_modify(|state| state.state = ReadBackPhase::Waiting);
        let beats = surroundings.exchanges.ipa_beats();
        let node_uuid = surroundings.kept.read().read_back.map(|read_back| read_back.node_uuid);
        Ok(Self {
            client,
            probe: IpaProbe::of(&parameters.ipa_settings)?,
            schedule: schedule.clone(),
            fresh_schedule: schedule,
            not_before: None,
            surroundings,
            beats,
            seen: Seen::default(),
            node_uuid,
            token,
            state,
            rng: Rng::new(),
        })
    }

    /// Reads back whenever it is due, until the daemon ends.
    pub async fn run(mut self) {
        loop {
            self.look_around();
            let now = Instant::now();
            let at =
                due(&self.seen.facts(now)).map(|pause| (now + pause).max(self.not_before.unwrap_or(now)));
            tokio::select! {
                () = until(at) => self.read_back().await,
                Ok(()) = self.surroundings.ipa.changed() => {}
                Ok(()) = self.beats.changed() => {}
            }
        }
    }

    /// Takes in what IPA's status and its heartbeats show.
    fn look_around(&mut self) {
        let ipa = self.surroundings.ipa.borrow_and_update().clone();
        let beats = *self.beats.borrow_and_update();
        if ipa.process.is_some() && ipa.process != self.seen.process {
            // Another IPA: what was read back was of the one before.
            self.seen = Seen { process: ipa.process, accepted: self.seen.accepted, ..Seen::default() };
            self.remember(&ipa);
        }
        self.seen.take(ipa.up, beats, Instant::now());
    }

    /// What an earlier run has read back of this IPA: no need to ask again.
    fn remember(&mut self, ipa: &IpaState) {
        let read_back = self.surroundings.kept.read().read_back;
        let Some(kept) = read_back.filter(|kept| kept.ipa == ipa.process && kept.url.is_some()) else {
            return;
        };
        self.seen.last =
            Some((Instant::now(), Last { ago: Duration::ZERO, url: true, after_heartbeat: true }));
        if let Some(timeout) = kept.heartbeat_timeout {
            self.surroundings.exchanges.heartbeat_timeout(timeout);
        }
        let pin = &self.surroundings.pin;
        if pin.held().url.is_none() {
            pin.take(kept.url.as_deref());
        }
        self.state.send_modify(|state| {
            state.state = ReadBackPhase::Done;
            state.node_uuid = Some(kept.node_uuid);
            state.agent_url = kept.url.map(|url| foreign_text(&url, None));
        });
    }

    async fn read_back(&mut self) {
        let decision = self.surroundings.decisions.borrow().decision.clone();
        let endpoints = decision.endpoints();
        let query = LookupQuery {
            addresses: nics::ask(&self.surroundings.metrics).await,
            node_uuid: self.node_uuid.clone(),
        };
        let answer = match self.client.prepare_lookup(&endpoints).await {
            // As late as can be: all of the above may have taken long.
            Ok(()) if !self.is_spent().await => return,
            Ok(()) => self.surroundings.exchanges.look_up(&self.client, &endpoints, &query, None).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => self.answered(answer.value),
            Err(error) => {
                let conflict = error.lookup_result() == LookupResult::Conflict;
                let pause = self.schedule.after_failure(conflict, &mut self.rng);
                self.not_before = Some(Instant::now() + pause);
                self.failed(decision.explained(&error));
            }
        }
    }

    /// Whether the token is spent at this moment. An IPA that was restarted since the last look may be inside its lookup.
    async fn is_spent(&mut self) -> bool {
        let before = self.seen.process;
        let ipa = self.probe.look(before).await;
        self.look_around();
        let is_spent = !self.seen.token_refused && ipa.process == before && ipa.up;
        if !is_spent {
            // The next look at IPA says more.
            self.not_before = Some(Instant::now() + self.schedule.after_failure(false, &mut self.rng));
        }
        is_spent
    }

    fn answered(&mut self, reply: LookupReply) {
        (self.schedule, self.not_before) = (self.fresh_schedule.clone(), None);
        let last = Last {
            ago: Duration::ZERO,
            url: reply.agent_url.is_some(),
            after_heartbeat: self.seen.accepted_at.is_some(),
        };
        (self.seen.last, self.seen.accepted_at) = (Some((Instant::now(), last)), None);
        self.node_uuid = Some(reply.uuid.clone());
        self.surroundings.exchanges.heartbeat_timeout(reply.heartbeat_timeout);
        self.compare(&reply);
        let handed_out = reply.agent_token.is_some();
        if let Some(token) = reply.agent_token {
            self.hand_over(token, &reply.uuid);
        }
        self.state.send_modify(|state| {
            *state = ReadBackState {
                state: ReadBackPhase::Done,
                at: Some(Moment::now()),
                node_uuid: Some(reply.uuid),
                agent_url: reply.agent_url.map(|url| foreign_text(&url, None)),
                token_handed_out: state.token_handed_out || handed_out,
                last_failure: None,
            };
        });
    }

    /// What Ironic holds, and whether it is what IPA was started with.
    fn compare(&self, reply: &LookupReply) {
        let Surroundings { ipa, dropin, pin, kept, .. } = &self.surroundings;
        let (url, ipa) = (reply.agent_url.as_deref(), ipa.borrow().clone());
        kept.update(|contents| {
            contents.read_back = Some(kept::ReadBack {
                ipa: self.seen.process,
                node_uuid: reply.uuid.clone(),
                url: url.map(str::to_owned),
                heartbeat_timeout: Some(reply.heartbeat_timeout),
            });
        });
        let shown = url.map(|url| foreign_text(url, None));
        match reply.agent_token {
            // Ironic had wiped everything: nothing that it accepted before counts any more.
            Some(_) => pin.take(url),
            None => match pin.compare(url) {
                Compared::Confirmed | Compared::News => {
                    tracing::info!(node = reply.uuid, url = shown, "Ironic holds this callback URL");
                }
                Compared::Nothing => tracing::info!(node = reply.uuid, "Ironic holds no callback URL yet"),
                Compared::Another | Compared::Unrecorded => {} // The log has it.
            },
        }
        let dropin = dropin.borrow().address.clone();
        let known = url.and_then(|url| commitment::by_read_back(url, dropin.as_ref(), &kept.read(), &ipa));
        if let Some(known) = known {
            commitment::equals(known, kept, pin);
        }
    }

    /// IPA's own token is void: it gets the new one at its next start.
    fn hand_over(&self, token: Secret, node: &str) {
        if !token::is_plain(&token) {
            tracing::error!(node, "Ironic gave out a token, and no ironic-python-agent would take it");
            return;
        }
        tracing::error!(
            node,
            "Ironic had forgotten this node's token and gave a new one to the daemon's lookup: it is in IPA's drop-in, and \
             IPA takes it at its next start"
        );
        self.token.send_replace(Some(token));
    }

    /// Shows why it failed; what repeats is a log line once.
    fn failed(&self, words: String) {
        let is_new = self.state.borrow().last_failure.as_ref() != Some(&words);
        match is_new {
            true => tracing::warn!(error = words, "read-back of what Ironic holds failed"),
            false => tracing::debug!(error = words, "read-back of what Ironic holds failed"),
        }
        self.state.send_modify(|state| {
            (state.state, state.last_failure) = (ReadBackPhase::Failed, Some(words));
        });
    }
}

impl Seen {
    fn take(&mut self, up: bool, beats: IpaBeats, now: Instant) {
        self.up_since = up.then_some(self.up_since.unwrap_or(now));
        if beats.accepted > self.accepted {
            (self.accepted, self.accepted_at) = (beats.accepted, Some(now));
        }
        self.token_refused = beats.token_refused;
    }

    fn facts(&self, now: Instant) -> Facts {
        let ago = |at: Instant| now.saturating_duration_since(at);
        Facts {
            up: self.up_since.map(ago),
            accepted: self.accepted_at.map(ago),
            token_refused: self.token_refused,
            last: self.last.map(|(at, last)| Last { ago: ago(at), ..last }),
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
