//! One connection: its pieces in, IPA's exchanges out. Pure.
//!
//! Where something is missing, it goes on with the next request: the client has its turn when it sends again after an
//! answer. However the same bytes are cut, the same exchanges come out.

use std::collections::VecDeque;
use std::net::SocketAddr;

use tokio::time::Instant;

use crate::http1::{Answers, PENDING, Splitter, Step};

use super::chunk::{Chunk, Direction, Who};
use super::parse::{Exchange, Pending, Request};

/// What a piece brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request has begun.
    Began(Request),
    /// One has its answer, or will have none.
    Ended(Exchange),
}

/// One connection.
#[derive(Debug)]
pub struct Flow {
    who: Who,
    remote: Option<SocketAddr>,
    splitter: Splitter,
    answers: Answers,
    /// As `answers` has them.
    pending: VecDeque<Pending>,
    last: Option<Direction>,
    /// Where requests begin is known.
    sure: bool,
    /// No request of this turn has been asked yet.
    fresh: bool,
    /// Which answer belongs to which request is not known until the next turn.
    deaf: bool,
    /// Exchanges of IPA's that were seen in part, and will not be known.
    given_up: u64,
    /// When its last piece came.
    pub used: Instant,
}

impl Flow {
    /// Nothing has come yet.
    pub fn new(who: Who, remote: Option<SocketAddr>, now: Instant) -> Self {
        Self {
            who,
            remote,
            splitter: Splitter::reading(),
            answers: Answers::reading(),
            pending: VecDeque::new(),
            last: None,
            sure: true,
            fresh: true,
            deaf: false,
            given_up: 0,
            used: now,
        }
    }

    /// Whether a request awaits its answer.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How many bytes it holds.
    pub fn held(&self) -> usize {
        self.splitter.held() + self.answers.held()
    }

    /// How many exchanges were given up since this was asked last.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// The next piece.
    pub fn take(&mut self, chunk: &Chunk, now: Instant) -> Vec<Event> {
        self.used = now;
        let mut events = Vec::new();
        match chunk.direction {
            Direction::Out => self.out(chunk, now, &mut events),
            Direction::In => self.answer(chunk, now, &mut events),
        }
        self.last = Some(chunk.direction);
        events
    }

    /// It has ended.
    pub fn finish(&mut self, now: Instant) -> Vec<Event> {
        let (last, _) = self.answers.finish();
        let last = last.and_then(|answer| self.pending.pop_front()?.answered(&answer, now));
        let others = self.pending.drain(..).filter_map(|pending| pending.unanswered(now));
        last.into_iter().chain(others).map(Event::Ended).collect()
    }

    /// Something is missing, in either direction.
    pub fn lose(&mut self) {
        self.sure = false;
        self.go_deaf();
    }

    fn out(&mut self, chunk: &Chunk, now: Instant, events: &mut Vec<Event>) {
        let turn = self.last != Some(Direction::Out);
        self.fresh |= turn;
        if chunk.lost_before {
            self.lose();
        }
        if !self.sure && (turn || chunk.lost_before) {
            self.splitter = Splitter::reading();
        }
        let mut input = chunk.bytes.as_slice();
        loop {
            match self.splitter.feed(&mut input, &mut ()) {
                Step::More => break,
                Step::Asked(asked) => {
                    self.sure = true;
                    if self.deaf && self.fresh {
                        (self.answers, self.deaf) = (Answers::reading(), false);
                    }
                    self.fresh = false;
                    let pending = Pending::new(&asked, self.who, self.remote, now);
                    events.extend(Request::of(&asked.kind).map(Event::Began));
                    if self.pending.len() >= PENDING {
                        self.go_deaf();
                    }
                    if self.deaf {
                        self.given_up += u64::from(pending.matters());
                    } else {
                        self.answers.expect(asked);
                        self.pending.push_back(pending);
                    }
                }
                Step::Heartbeat(heartbeat) => {
                    if let Some(pending) = self.pending.back_mut() {
                        pending.read(&heartbeat);
                    }
                }
            }
        }
        self.sure &= !self.splitter.is_lost();
    }

    fn answer(&mut self, chunk: &Chunk, now: Instant, events: &mut Vec<Event>) {
        if chunk.lost_before {
            self.go_deaf();
        }
        if self.deaf {
            return;
        }
        for answer in self.answers.take(&chunk.bytes) {
            // The body that awaited this answer may never come.
            self.sure &= !answer.asked.expects;
            let ended = self.pending.pop_front().and_then(|pending| pending.answered(&answer, now));
            events.extend(ended.map(Event::Ended));
        }
        if self.answers.is_lost() || self.answers.is_unasked() {
            self.go_deaf();
        }
    }

    fn go_deaf(&mut self) {
        self.deaf = true;
        self.answers = Answers::reading();
        self.given_up += self.pending.drain(..).filter(Pending::matters).count() as u64;
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
