//! The connections to the API, by their two ends. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use tokio::time::Instant;

use super::super::chunk::{Chunk, Direction, FlowId, Seen, Source};
use super::owner::Owner;
use super::packet::Segment;
use super::stream::{Piece, Stream};
use crate::watch::Endpoints;

/// So many are followed; the one that was quiet for longest goes.
const CONNECTIONS: usize = 64;

/// The two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The side that dialled.
    pub client: SocketAddr,
    /// The API.
    pub server: SocketAddr,
}

impl Ends {
    fn flow(&self) -> FlowId {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        FlowId { source: Source::Http, id: hasher.finish() }
    }
}

/// Which connection a segment belongs to, and which way it goes; `None` where it is none to the API.
pub fn ends(segment: &Segment<'_>, endpoints: &Endpoints) -> Option<(Ends, Direction)> {
    let (from, to) = (segment.source, segment.destination);
    if endpoints.contains(to) {
        return Some((Ends { client: from, server: to }, Direction::Out));
    }
    endpoints.contains(from).then_some((Ends { client: to, server: from }, Direction::In))
}

#[derive(Debug)]
struct Connection {
    owner: Owner,
    /// The number of its SYN, where that was seen.
    opened: Option<u32>,
    out: Stream,
    back: Stream,
    used: Option<Instant>,
}

/// All that are followed.
#[derive(Debug, Default)]
pub struct Connections(HashMap<Ends, Connection>);

impl Connections {
    /// Whether a connection begins with this segment, as far as the daemon has seen.
    pub fn begins(&self, ends: &Ends, segment: &Segment<'_>) -> bool {
        match self.0.get(ends) {
            Some(known) => is_opening(segment) && known.opened != Some(segment.sequence),
            None => !segment.rst && (is_opening(segment) || !segment.payload.is_empty()),
        }
    }

    /// One begins, or is seen for the first time.
    pub fn begin(&mut self, ends: Ends, owner: Owner) {
        if self.0.len() >= CONNECTIONS
            && !self.0.contains_key(&ends)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, one)| one.used).map(|(ends, _)| *ends)
        {
            self.0.remove(&oldest);
        }
        let (out, back) = (Stream::default(), Stream::default());
        self.0.insert(ends, Connection { owner, opened: None, out, back, used: None });
    }

    /// A segment has come: what it brings of a connection that is not the daemon's own.
    pub fn take(
        &mut self,
        ends: &Ends,
        direction: Direction,
        segment: &Segment<'_>,
        now: Instant,
    ) -> Vec<Seen> {
        let Some(connection) = self.0.get_mut(ends) else { return Vec::new() };
        let is_new = connection.used.replace(now).is_none();
        let mut seen = Vec::new();
        if segment.syn {
            let stream = Stream::at(segment.sequence.wrapping_add(1));
            match direction {
                Direction::Out if is_new => {
                    (connection.out, connection.opened) = (stream, Some(segment.sequence));
                    // Of an earlier connection between the same ends.
                    seen.push(Seen::End(ends.flow()));
                }
                Direction::In if connection.back.is_untouched() => connection.back = stream,
                _ => {}
            }
        }
        let other = match direction {
            Direction::Out => Direction::In,
            Direction::In => Direction::Out,
        };
        if let Some(number) = segment.acknowledged.filter(|_| !segment.syn) {
            let pieces = connection.stream(other).acknowledged(number);
            seen.extend(connection.chunks(ends, other, pieces));
        }
        let stream = connection.stream(direction);
        let pieces = if segment.syn { Vec::new() } else { stream.push(segment.sequence, segment.payload) };
        stream.ended |= segment.fin;
        seen.extend(connection.chunks(ends, direction, pieces));
        if segment.rst || connection.out.ended && connection.back.ended {
            seen.push(Seen::End(ends.flow()));
            self.0.remove(ends);
        }
        seen
    }

    /// What was given did not arrive.
    pub fn lost(&mut self, ends: &Ends) {
        if let Some(connection) = self.0.get_mut(ends) {
            connection.out.lose();
            connection.back.lose();
        }
    }
}

impl Connection {
    fn stream(&mut self, direction: Direction) -> &mut Stream {
        match direction {
            Direction::Out => &mut self.out,
            Direction::In => &mut self.back,
        }
    }

    fn chunks(&self, ends: &Ends, direction: Direction, pieces: Vec<Piece>) -> Vec<Seen> {
        if self.owner.own {
            return Vec::new();
        }
        let (flow, who, remote) = (ends.flow(), self.owner.who, Some(ends.server));
        let chunk =
            |(lost_before, bytes)| Seen::Chunk(Chunk { flow, direction, who, remote, lost_before, bytes });
        pieces.into_iter().map(chunk).collect()
    }
}

/// SYN without ACK.
fn is_opening(segment: &Segment<'_>) -> bool {
    segment.syn && segment.acknowledged.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "10.77.0.5:40000";
    const SERVER: &str = "10.77.0.1:6385";

    struct Wire {
        connections: Connections,
        endpoints: Endpoints,
        owner: Owner,
    }

    impl Wire {
        fn new(own: bool) -> Self {
            let mut endpoints = Endpoints::default();
            endpoints.learn([SERVER.parse().unwrap()].into_iter());
            Self { connections: Connections::default(), endpoints, owner: Owner { own, ..Owner::default() } }
        }

        fn pass(&mut self, direction: Direction, sequence: u32, flags: &str, payload: &str) -> Vec<String> {
            let [client, server] = [CLIENT, SERVER].map(|text| text.parse().unwrap());
            let (source, destination) = match direction {
                Direction::Out => (client, server),
                Direction::In => (server, client),
            };
            let acknowledged = flags.split('a').nth(1).and_then(|number| number.parse().ok());
            let has = |flag| flags.contains(flag);
            let (syn, fin, rst, payload) = (has('s'), has('f'), has('r'), payload.as_bytes());
            let segment = Segment { source, destination, sequence, acknowledged, syn, fin, rst, payload };
            let (ends, direction) = ends(&segment, &self.endpoints).unwrap();
            if self.connections.begins(&ends, &segment) {
                self.connections.begin(ends, self.owner);
            }
            let seen = self.connections.take(&ends, direction, &segment, Instant::now());
            seen.into_iter().map(shown).collect()
        }
    }

    fn shown(seen: Seen) -> String {
        match seen {
            Seen::Chunk(chunk) => {
                let arrow = if chunk.direction == Direction::Out { '>' } else { '<' };
                let lost = if chunk.lost_before { "..." } else { "" };
                format!("{arrow}{lost}{}", String::from_utf8(chunk.bytes.to_vec()).unwrap())
            }
            Seen::End(_) => "end".to_owned(),
            Seen::Lost(count) => format!("lost {count}"),
        }
    }

    use Direction::{In, Out};

    #[test]
    fn from_the_first_segment_to_the_last_each_twice_as_on_loopback() {
        let mut wire = Wire::new(false);
        assert_eq!(wire.pass(Out, 99, "s", ""), ["end"]);
        for (direction, sequence, flags, payload, expected) in [
            (Out, 99, "s", "", vec![]),
            (In, 499, "sa100", "", vec![]),
            (Out, 100, "a500", "ask", vec![">ask"]),
            (In, 500, "a103", "answer", vec!["<answer"]),
            (In, 506, "fa103", "", vec![]),
        ] {
            assert_eq!(wire.pass(direction, sequence, flags, payload), expected);
            assert_eq!(wire.pass(direction, sequence, flags, payload), Vec::<String>::new(), "again");
        }
        assert_eq!(wire.pass(Out, 103, "fa507", ""), ["end"]);
        assert_eq!(wire.pass(Out, 103, "fa507", ""), Vec::<String>::new());
        assert!(wire.connections.0.is_empty());
    }

    #[test]
    fn what_was_not_seen_is_missing() {
        let mut wire = Wire::new(false);
        // It began before the daemon looked.
        assert_eq!(wire.pass(Out, 7, "a1", "ask"), [">...ask"]);
        assert_eq!(wire.pass(In, 1, "a10", "yes"), ["<...yes"]);
        // Two requests that were not seen, by what is acknowledged.
        assert_eq!(wire.pass(In, 4, "a50", "no"), ["<no"]);
        assert_eq!(wire.pass(Out, 50, "a6", "more"), [">...more"]);
        // The same ends again, without an end that was seen.
        assert_eq!(wire.pass(Out, 999, "s", ""), ["end"]);
        assert_eq!(wire.pass(Out, 1000, "a1", "new"), [">new"]);
        assert_eq!(wire.pass(In, 1, "ra1003", ""), ["end"]);
    }

    #[test]
    fn our_own_connections_are_left_out_and_what_does_not_arrive_is_missing() {
        let mut wire = Wire::new(true);
        wire.pass(Out, 99, "s", "");
        assert_eq!(wire.pass(Out, 100, "a1", "ask"), Vec::<String>::new());
        let mut wire = Wire::new(false);
        wire.pass(Out, 99, "s", "");
        let ends = Ends { client: CLIENT.parse().unwrap(), server: SERVER.parse().unwrap() };
        wire.connections.lost(&ends);
        assert_eq!(wire.pass(Out, 100, "a1", "ask"), [">...ask"]);
    }

    #[test]
    fn a_bounded_number_is_followed() {
        let (mut connections, server) = (Connections::default(), SERVER.parse().unwrap());
        for port in 1..1000 {
            let client = SocketAddr::new([10, 77, 0, 5].into(), port);
            connections.begin(Ends { client, server }, Owner::default());
        }
        assert_eq!(connections.0.len(), CONNECTIONS);
    }
}
