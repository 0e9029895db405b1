//! Bytes of a connection on their way through the guard.

use ipa_sidecar::inside::{HeartbeatBody, Splitter, Step};

/// What a heartbeat is repaired to.
const REPAIRED: &str = "http://172.25.134.128:9999";

/// The first byte chooses the size of the pieces, the rest is what a client sends. However it is cut the same goes on; what
/// is not repaired goes on byte for byte, and a repaired body is as long as its head says.
pub fn split(data: &[u8]) {
    let Some((&size, input)) = data.split_first() else { return };
    let whole = passed(input, input.len().max(1), false);
    assert_eq!(whole, input);
    assert_eq!(passed(input, usize::from(size) + 1, false), input);
    let repaired = passed(input, input.len().max(1), true);
    assert_eq!(passed(input, usize::from(size) + 1, true), repaired);
}

/// What goes on of it in pieces of this size, where every heartbeat with a URL is repaired, or none.
fn passed(input: &[u8], size: usize, repair: bool) -> Vec<u8> {
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    for mut piece in input.chunks(size) {
        loop {
            match splitter.feed(&mut piece, &mut out) {
                Step::More => break,
                Step::Asked(_) => {}
                Step::Heartbeat(heartbeat) => {
                    let read = HeartbeatBody::read(&heartbeat.body, heartbeat.era).filter(|_| repair);
                    let body = read.map(|read| read.with_url(REPAIRED));
                    let before = out.len();
                    heartbeat.put(body.as_deref(), &mut out);
                    if let Some(body) = body {
                        let put = String::from_utf8_lossy(&out[before..]).to_ascii_lowercase();
                        assert!(out.ends_with(&body) && put.contains(&body.len().to_string()), "{put}");
                    }
                }
            }
        }
        assert!(piece.is_empty());
    }
    splitter.finish(&mut out);
    out
}
