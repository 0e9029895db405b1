//! All connections at once, bounded. Pure.

use std::collections::HashMap;

use tokio::time::Instant;

use super::chunk::{Chunk, FlowId, Seen};
use super::flow::{Event, Flow};

/// So many connections are followed; IPA keeps two. The one that was quiet for longest goes.
const FLOWS: usize = 64;
/// So many bytes they hold together.
const BYTES: usize = 4 << 20;

/// The connections.
#[derive(Debug, Default)]
pub struct Flows {
    flows: HashMap<FlowId, Flow>,
    given_up: u64,
}

impl Flows {
    /// What a source gives.
    pub fn take(&mut self, seen: &Seen, now: Instant) -> Vec<Event> {
        match seen {
            Seen::Chunk(chunk) => self.chunk(chunk, now),
            Seen::End(id) => self.end(*id, now),
            Seen::Lost(_) => {
                self.flows.values_mut().for_each(Flow::lose);
                self.collect_given_up();
                Vec::new()
            }
        }
    }

    /// How many bytes they hold.
    pub fn held(&self) -> usize {
        self.flows.values().map(Flow::held).sum()
    }

    /// How many exchanges were seen in part and given up, since this was asked last.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    fn chunk(&mut self, chunk: &Chunk, now: Instant) -> Vec<Event> {
        if self.flows.len() >= FLOWS && !self.flows.contains_key(&chunk.flow) {
            self.make_room();
        }
        let begin = || Flow::new(chunk.who, chunk.remote, now);
        let flow = self.flows.entry(chunk.flow).or_insert_with(begin);
        let events = flow.take(chunk, now);
        self.given_up += flow.take_given_up();
        if flow.held() > 0 && self.held() > BYTES {
            self.make_room();
        }
        events
    }

    fn end(&mut self, id: FlowId, now: Instant) -> Vec<Event> {
        let Some(mut flow) = self.flows.remove(&id) else { return Vec::new() };
        let events = flow.finish(now);
        self.given_up += flow.take_given_up();
        events
    }

    /// Lets the oldest go that awaits nothing, else the oldest.
    fn make_room(&mut self) {
        let oldest = self.flows.iter().min_by_key(|(_, flow)| (flow.is_waiting(), flow.used));
        if let Some(id) = oldest.map(|(id, _)| *id)
            && let Some(mut flow) = self.flows.remove(&id)
        {
            flow.lose();
            self.given_up += flow.take_given_up();
        }
    }

    fn collect_given_up(&mut self) {
        self.given_up += self.flows.values_mut().map(Flow::take_given_up).sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;
    use crate::sight::chunk::{Direction, Source, Who};

    fn chunk(id: u64, text: &str) -> Seen {
        Seen::Chunk(Chunk {
            flow: FlowId { source: Source::Http, id },
            direction: Direction::Out,
            who: Who::default(),
            remote: None,
            lost_before: false,
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
        })
    }

    #[test]
    fn the_oldest_idle_connection_goes_first() {
        let (mut flows, start) = (Flows::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        flows.take(&chunk(0, "GET /v1/lookup HTTP/1.1\r\n\r\n"), at(0));
        for id in 1..=FLOWS as u64 {
            flows.take(&chunk(id, "GET"), at(id));
        }
        assert_eq!((flows.flows.len(), flows.take_given_up()), (FLOWS, 0));
        assert!(flows.flows.keys().any(|id| id.id == 0), "it awaits its answer");
        assert!(!flows.flows.keys().any(|id| id.id == 1));
        for id in 1..=FLOWS as u64 {
            flows.take(&chunk(id, "GET /v1/lookup HTTP/1.1\r\n\r\n"), at(1000 + id));
        }
        assert!(flows.take_given_up() > 0, "it was counted");
    }

    #[test]
    fn together_they_hold_a_bounded_number_of_bytes() {
        let (mut flows, now) = (Flows::default(), Instant::now());
        let head = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(60_000));
        for id in 0..200 {
            flows.take(&chunk(id, &head), now);
            assert!(flows.held() <= BYTES && flows.flows.len() <= FLOWS);
        }
    }
}
