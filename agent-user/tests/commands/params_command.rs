//! The command `params`, and that no token shows.

use testbed::site::assert_names;

use super::machine::{Machine, entry};
use ipa_sidecar::inside::{Loaded, print_parameters as run};

const TOKEN: &str = "hunter2-0123456789-abcdefghijklmnopqrstuvwx";

fn printed(loaded: &Loaded, json: bool) -> (String, u8) {
    let mut out = Vec::new();
    let status = run(loaded, json, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), status)
}

#[test]
fn json_has_the_promised_shape() {
    let machine = Machine::new();
    machine.write("cmdline", "ipa-api-url=http://192.0.2.1:6385");
    let (text, status) = printed(&machine.load(&["--advertise.wait=1.5"]).unwrap(), true);
    assert_eq!(status, 0);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = list.as_array().unwrap();
    let one = |name: &str| list.iter().find(|entry| entry["name"] == name).unwrap();
    assert_eq!(
        *one("ironic.api-url"),
        serde_json::json!({
            "name": "ironic.api-url",
            "kernel_name": "ipa-api-url",
            "value": ["http://192.0.2.1:6385"],
            "source": "cmdline",
            "detail": format!("{}: ipa-api-url", machine.path("cmdline")),
            "secret": false
        })
    );
    assert_eq!(one("advertise.wait")["value"], 1.5);
    assert_eq!(one("advertise.wait")["kernel_name"], serde_json::Value::Null);
    assert_eq!(one("advertise.port")["value"], 9999);
    let keys = ["detail", "kernel_name", "name", "secret", "source", "value"];
    for entry in list {
        let mut found: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
    }
}

#[test]
fn the_table_is_for_people_and_the_status_tells() {
    let machine = Machine::new();
    machine.write("cmdline", "ipa-api-url=http://192.0.2.1,http://192.0.2.2 ipa-advertise-port=x");
    let loaded = machine.load(&[]).unwrap();
    let (text, status) = printed(&loaded, false);
    assert_eq!(status, 65);
    assert_eq!(text.lines().count(), loaded.entries.len());
    let line = text.lines().find(|line| line.starts_with("ironic.api-url ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1], "http://192.0.2.1,http://192.0.2.2");
    assert_eq!(words[2], "cmdline:");
    assert!(!text.contains('\u{1b}'));
    machine.drop_in("zzz.conf", "[DEFAULT]\napi_url = http://192.0.2.3\nadvertise_port = 1");
    assert_eq!(printed(&machine.load(&[]).unwrap(), true).1, 0, "beaten by a later file, but usable");
}

#[test]
fn control_characters_of_others_do_not_reach_the_terminal() {
    let machine = Machine::new();
    machine.drop_in("x\u{1b}[31m.conf", "[DEFAULT]\ncafile = /a\u{1b}[31mb\nadvertise_port = \u{1b}[2J");
    let loaded = machine.load(&[]).unwrap();
    let (table, _) = printed(&loaded, false);
    let said: String = loaded.problems.iter().map(ToString::to_string).collect();
    assert!(said.contains("\\u{1b}[2J"), "{said}");
    assert!(!table.contains('\u{1b}') && !said.contains('\u{1b}'));
}

#[test]
fn a_token_shows_nowhere() {
    let on_cmdline = Machine::new();
    on_cmdline.write("cmdline", format!("ipa-agent-token={TOKEN}"));
    let in_ipa_config = Machine::new();
    in_ipa_config.drop_in("x.conf", &format!("[DEFAULT]\nagent_token = {TOKEN}"));
    let in_a_file = Machine::new();
    in_a_file.write("token", format!("{TOKEN}\n"));
    in_a_file.write("cmdline", "ipa-agent-token=other");
    let flag = format!("--ironic.agent-token-file={}", in_a_file.path("token"));
    for (loaded, source) in [
        (on_cmdline.load(&[]).unwrap(), "cmdline"),
        (in_ipa_config.load(&[]).unwrap(), "ipa-config"),
        (in_a_file.load(&[&flag]).unwrap(), "flag"),
    ] {
        assert_eq!(loaded.parameters.ironic.agent_token.as_ref().unwrap().expose(), TOKEN);
        let (value, from, _) = entry(&loaded, "ironic.agent-token");
        assert_eq!((value.as_str(), from), ("\"******\"", source));
        assert!(loaded.entry("ironic.agent-token").unwrap().secret);
        for shown in [printed(&loaded, true).0, printed(&loaded, false).0, format!("{loaded:#?}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn a_bad_token_shows_nowhere_either() {
    let machine = Machine::new();
    machine.write("cmdline", "ipa-agent-token=hunter2-\u{e9}");
    machine.drop_in("x.conf", "[DEFAULT]\nagent_token = $hunter2\nagent_token hunter2\n");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.problems.len(), 3);
    assert!(loaded.parameters.ironic.agent_token.is_none());
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    let json = serde_json::to_string(&loaded.problems).unwrap();
    assert!(!format!("{said:?}{json}{loaded:?}").contains("hunter2"), "{said:?}");

    let flag = format!("--ironic.agent-token-file={}", machine.path("token"));
    for content in ["hunter2 two words", "", "hunter2\u{e9}"] {
        machine.write("token", content);
        let error = machine.load(&[&flag]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(error.to_string().contains("visible ASCII"), "{error}");
    }
    let error = machine.load(&["--ironic.agent-token-file=/nowhere"]).unwrap_err().to_string();
    assert_names(&error, &["/nowhere", "--ironic.agent-token-file"]);
}
