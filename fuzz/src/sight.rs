//! Bytes of connections, as sight gets them.

use std::time::Duration;

use ipa_sidecar::inside::{
    Chunk, Direction, Exchange, FlowId, Flows, SightEvent, SightSeen, SightSource, Who,
};

/// What a connection may hold.
const HELD: usize = 256 * 1024;

/// Pieces, each ended by a byte 0xff. The first byte of a piece says which way it goes: `>` to Ironic, `<` back, and the
/// same with something missing before it: `}` and `{`. `!` ends the connection, `?` loses something anywhere. However the
/// pieces are cut, the same exchanges come out, and little is held.
pub fn sight(data: &[u8]) {
    let whole = seen(data, usize::MAX);
    for size in [1, 7, 64] {
        assert_eq!(seen(data, size), whole, "in pieces of {size}");
    }
}

fn seen(data: &[u8], size: usize) -> Vec<Exchange> {
    let (mut flows, now) = (Flows::default(), std::time::Instant::now().into());
    let flow = FlowId { source: SightSource::Http, id: 1 };
    let mut events = Vec::new();
    for piece in data.split(|byte| *byte == 0xff) {
        let Some((kind, bytes)) = piece.split_first() else { continue };
        let (direction, lost) = match kind {
            b'<' => (Direction::In, false),
            b'{' => (Direction::In, true),
            b'}' => (Direction::Out, true),
            b'!' | b'?' => {
                let seen = if *kind == b'!' { SightSeen::End(flow) } else { SightSeen::Lost(1) };
                events.extend(flows.take(&seen, now));
                continue;
            }
            _ => (Direction::Out, false),
        };
        for (index, part) in bytes.chunks(size).enumerate() {
            let lost_before = lost && index == 0;
            let (who, bytes) = (Who::default(), part.to_vec().into());
            let chunk = Chunk { flow, direction, who, remote: None, lost_before, bytes };
            events.extend(flows.take(&SightSeen::Chunk(chunk), now));
            assert!(flows.held() <= HELD, "{} bytes are held", flows.held());
        }
    }
    let exchange = |event| match event {
        SightEvent::Ended(exchange) => Some(Exchange { duration: Duration::ZERO, ..exchange }),
        SightEvent::Began(_) => None,
    };
    let exchanges: Vec<_> = events.into_iter().filter_map(exchange).collect();
    for one in &exchanges {
        assert!(one.status.is_none_or(|status| status >= 200));
        let _ = (one.lookup_result(), one.heartbeat_result());
    }
    exchanges
}
