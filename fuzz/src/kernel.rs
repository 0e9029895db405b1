//! What the kernel writes: netlink messages, type information, tracepoint formats, and our own programs' events.

use agent_ebpf::{EVENT_LENGTH, Event};
use fib::datagram;
use ipa_sidecar::inside::{Btf, Callbacks, Decision, Join, Metrics, ProbesState, Published, Recorder, field};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// A datagram of netlink's: every message has a header of 16 bytes, so there cannot be more of them than fit.
pub fn netlink(data: &[u8]) {
    assert!(datagram::read(data) <= data.len() / 16 + 1);
}

/// BTF: an offset that is found lies within a structure that can exist.
pub fn probe_btf(data: &[u8]) {
    let Ok(btf) = Btf::parse(data) else { return };
    for (structure, path) in [
        ("sock", &["sk_err"][..]),
        ("sock", &["__sk_common", "skc_net", "net"]),
        ("net", &["ns", "inum"]),
        ("bpf_array", &["map"]),
    ] {
        let _ = btf.member_offset(structure, path);
    }
}

/// A tracepoint's format: a field that is found is declared in the text.
pub fn probe_format(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in ["skaddr", "protocol", "saddr_v6", "common_type", "ret", ""] {
        if let Some(found) = field(&text, name) {
            assert!(text.contains("field:") && text.contains(name));
            assert!(text.contains(&found.offset.to_string()) && text.contains(&found.size.to_string()));
        }
    }
}

/// Events as they lie in the ring buffer: read, joined, counted, reported.
pub fn probe_event(data: &[u8]) {
    // One for all inputs: a registry for each would cost more than what is to be tested.
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| Metrics::new().expect("the metrics"));
    let (_sender, targets) = watch::channel(Vec::new());
    let (state, seen) = watch::channel(ProbesState::default());
    let (_sender, decisions) = watch::channel(Arc::new(Published::new(Decision::not_asked(), 1)));
    for errors_are_reported in [false, true] {
        let callbacks = Callbacks::new(decisions.clone(), metrics.clone(), state.clone());
        let join = Join::new(errors_are_reported);
        let mut recorder = Recorder::new(join, targets.clone(), callbacks, metrics.clone(), state.clone());
        for bytes in data.chunks(EVENT_LENGTH) {
            let event = Event::read(bytes);
            assert_eq!(event.is_some(), bytes.len() == EVENT_LENGTH);
            if let Some(event) = event {
                recorder.record(&event);
            }
        }
        recorder.flush();
        recorder.finish();
        assert!(!recorder.is_waiting());
    }
    let kept = seen.borrow().connect_failures.iter().count();
    assert!(kept <= 10, "{kept} are kept");
}
