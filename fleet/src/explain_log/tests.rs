use std::io::Cursor;

use proptest::prelude::*;

use super::*;

const NODE: &str = "f80db967-a8d4-4a05-9443-41b0855f1ec3";
const SEED: &str = include_str!("../../tests/fixtures/conductor.log");

fn record(host: &str) -> String {
    format!(
        "2026-01-02 03:04:05.678 1 ERROR ironic [None req-75897e59-640c-4ce6-8fa3-d759f568c42a - - - - -] Error invoking \
         agent command clean.get_clean_steps for node {NODE}. Error: HTTPConnectionPool(host='{host}', port=9999): Max \
         retries exceeded with url: /v1/commands/?wait=true&agent_token=s3cret (Caused by NewConnectionError('[Errno 111] \
         Connection refused'))"
    )
}

#[test]
fn a_wrapped_record_and_a_device_are_one_cause() {
    let text = printed(SEED.as_bytes());
    for words in [
        NODE,
        "http://172.25.134.128%20uid%200:9999",
        "percent_encoded_host",
        "meant to be  http://172.25.134.128:9999",
        "name_resolution",
        "iSCSI device",
        "2022-10-13 22:57:56.988",
        "One cause, several symptoms",
        "uid 0",
        "1 node failed by a bad agent URL.",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(text.matches("agent URL    ").count(), 1, "{text}");
    assert!(!text.contains("75897e59"), "a request is no node: {text}");
}

#[test]
fn json_of_journald_is_read_in_both_forms() {
    let message = record("172.25.134.128 uid 0");
    let plain = serde_json::json!({"MESSAGE": message, "__REALTIME_TIMESTAMP": "1767323045678901"});
    let bytes = serde_json::json!({"MESSAGE": message.as_bytes(), "__REALTIME_TIMESTAMP": "1"});
    let cut = &plain.to_string()[..plain.to_string().len() - 40];
    for line in [plain.to_string(), bytes.to_string(), format!("{cut}\n")] {
        let text = printed(line.as_bytes());
        assert!(text.contains(NODE) && text.contains("whitespace"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
    // Without a time in the message its own counts.
    let device = "/dev/disk/by-path/ip-10.0.0.1%20uid%200:3260-iscsi-iqn.2008-10.org.openstack:x";
    let line = serde_json::json!({"MESSAGE": device, "__REALTIME_TIMESTAMP": "1767323045678901"}).to_string();
    assert!(printed(line.as_bytes()).contains("2026-01-02T03:04:05Z"));
}

#[test]
fn good_urls_and_good_deployments_are_not_blamed() {
    let text = printed(record("10.0.0.5").as_bytes());
    assert!(text.contains("good as it stands") && text.contains("refused"), "{text}");
    assert!(text.contains("0 nodes failed by a bad agent URL. 1 node could not be reached"), "{text}");
    for line in [
        "2026-01-02 03:04:05 DEBUG /dev/disk/by-path/ip-10.0.0.5:3260-iscsi-iqn.2008-10.org.openstack:x-lun-1",
        "2026-01-02 03:04:05 DEBUG urllib3 http://10.0.0.5:9999 \"POST /v1/commands/?wait=false HTTP/1.1\" 200 10",
        "2026-01-02 03:04:05 ERROR HTTPSConnectionPool(host='glance', port=9292): Max retries exceeded with url: /v2",
    ] {
        assert!(collect(Cursor::new(line)).unwrap().is_empty(), "{line}");
    }
}

#[test]
fn odd_logs_are_survived() {
    let mut log = vec![0xff, 0xfe, 0, b'\n'];
    log.extend(record("a\u{202e}\u{1b}[31mb").as_bytes());
    log.extend(b"\r\n");
    log.extend(vec![b'x'; 3 << 20]);
    log.extend(b"\n");
    log.extend(record("None").as_bytes());
    let text = printed(&log);
    assert!(text.contains("placeholder_host"), "the record behind the long line: {text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    let half = record("10.0.0.1 uid 0");
    assert!(collect(Cursor::new(&half[..half.len() / 2])).is_ok());
}

#[test]
fn what_is_kept_is_bounded() {
    let mut found = Found::default();
    for number in 0..20_000_u32 {
        let node = format!("{number:08x}-a8d4-4a05-9443-41b0855f1ec3");
        let text = record(&format!("10.0.0.{number} uid 0")).replace(NODE, &node);
        found.add(&records::Record { time: String::new(), text });
    }
    assert_eq!((found.nodes.len(), found.omitted), (10_000, 10_000));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes: Vec<u8>, text in "\\PC*", cut in 0_usize..600) {
        let _ = printed(&bytes);
        let text = format!("{}{text}\n{}", record(&text), record("10.0.0.1 uid 0"));
        let end = (0..=cut.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        let shown = printed(&text.as_bytes()[..end]);
        let acts = |c: char| c.is_control() && c != '\n';
        prop_assert!(!shown.chars().any(acts), "{shown:?}");
    }
}
