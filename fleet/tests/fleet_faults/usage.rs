//! Flags, variables, file: the layers, and 64 for whatever is wrong in them.

use testbed::site::Directory;

use crate::fake::{Fake, Run, assert_blind, command, fleet, node};

fn fails(words: &[&str], part: &str) {
    let run = fleet(words);
    assert_eq!(run.code, Some(64), "{words:?}: {}{}", run.out, run.err);
    assert!(run.err.contains(part), "{words:?}: {}", run.err);
}

#[test]
fn usage_errors_are_64_and_say_what_would_be_right() {
    fails(&["check", "--ironic.url=mdns"], "multicast DNS");
    fails(&["check"], "--ironic.url");
    let password = "--ironic.password-file=/nowhere";
    fails(
        &["check", "--ironic.url=http://h", "--ironic.auth=http_basic", "--ironic.username=a", password],
        "/nowhere",
    );
    fails(&["check", "--ironic.auth=magic"], "one of none, http_basic");
    fails(&["check", "--ironic.auth=http_basic"], "ironic.password-file");
    fails(&["check", "--ironic.username=a"], "http_basic");
    fails(&["check", "--ironic.certfile=a"], "go together");
    fails(&["check", "--since=5d"], "--since");
    fails(&["check", "--no-such-flag"], "--no-such-flag");
    fails(&["check", "--ironic.password=x"], "--ironic.password");
    fails(&["check", "--config.file=/nowhere.toml"], "/nowhere.toml");
    fails(&["check", "--log.level=loud"], "off, error");
    // A variable with a wrong name is named beside what is missing.
    let run: Run = command(&["check"]).env("IPA_FLEET_IRONIC_ULR", "hunter2").output().unwrap().into();
    assert_eq!(run.code, Some(64));
    assert!(run.err.contains("IPA_FLEET_IRONIC_ULR") && run.err.contains("--ironic.url"), "{}", run.err);
    assert!(run.err.contains("is IPA_FLEET_IRONIC_URL meant?") || run.err.contains("--help"), "{}", run.err);
    assert!(!run.err.contains("hunter2"), "{}", run.err);
    // A password in a URL is not shown.
    let run = fleet(&["check", "--ironic.url=http://admin:hunter2@192.0.2.1"]);
    assert!(run.code == Some(64) && !run.err.contains("hunter2"), "{}", run.err);
    assert_eq!(fleet(&["check", "--help"]).code, Some(0));
}

/// Kubernetes sets variables like these for every service, one of the name `ipa-fleet` too.
#[test]
fn a_variable_that_is_no_parameters_is_named_and_stops_nothing() {
    let fake = Fake::with_nodes(vec![node(1, "active", None)]);
    let url = format!("--ironic.url={}", fake.url());
    let service = ("IPA_FLEET_SERVICE_HOST", "10.96.0.7");
    let run: Run = command(&["check", &url]).env(service.0, service.1).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains(service.0) && !run.err.contains(service.1), "{}", run.err);
}

#[test]
fn flags_go_before_variables_and_those_before_the_file() {
    let fake = Fake::with_nodes(vec![node(1, "active", None)]);
    let directory = Directory::new("fleet-file");
    let file =
        directory.flag("--config.file", "fleet.toml", &format!("[ironic]\nurl = \"{}\"\n", fake.url()));
    assert_eq!(fleet(&["check", &file]).code, Some(0));
    let nobody = "http://127.0.0.1:1";
    let run: Run = command(&["check", &file]).env("IPA_FLEET_IRONIC_URL", nobody).output().unwrap().into();
    assert_eq!(run.code, Some(2), "the variable goes before the file: {}", run.out);
    let flag = format!("--ironic.url={}", fake.url());
    let run: Run =
        command(&["check", &file, &flag]).env("IPA_FLEET_IRONIC_URL", nobody).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.out);

    directory.write("wrong.toml", "\nironic.ulr = \"x\"\n");
    let wrong = format!("--config.file={}", directory.file("wrong.toml").display());
    fails(&["check", &wrong], "wrong.toml:2");
    directory.write("secret.toml", "ironic.password = \"hunter2\"\n");
    let secret = format!("--config.file={}", directory.file("secret.toml").display());
    let run = fleet(&["check", &secret]);
    assert!(
        run.code == Some(64) && !run.err.contains("hunter2") && run.err.contains("password-file"),
        "{}",
        run.err
    );
}

#[test]
fn a_cloud_that_cannot_be_used_is_named_without_its_password() {
    let directory = Directory::new("fleet-cloud");
    let check = |clouds: &str| -> Run {
        directory.write("clouds.yaml", clouds);
        let mut command = command(&["check", "--json", "--os-cloud=lab"]);
        command.env("OS_CLIENT_CONFIG_FILE", directory.file("clouds.yaml"));
        command.output().unwrap().into()
    };
    for (clouds, words) in [
        ("clouds: {}", "stands in no clouds.yaml"),
        (
            "clouds: {lab: {auth: {auth_url: 'http://127.0.0.1:1', username: u, password: hunter2}, auth_type: v3kerberos}}",
            "v3kerberos",
        ),
        ("clouds: {lab: {auth: {auth_url: 'http://127.0.0.1:1', username: u, password: hunter2", "YAML"),
        (
            "clouds: {lab: {auth: {auth_url: 'http://127.0.0.1:1', username: u, password: hunter2}}}",
            "cannot connect",
        ),
    ] {
        let run = check(clouds);
        if words == "cannot connect" {
            assert_blind(&run, &[words]);
        } else {
            assert_eq!(run.code, Some(64), "{}{}", run.out, run.err);
            assert!(run.err.contains(words), "{words}: {}", run.err);
        }
        assert!(!run.out.contains("hunter2") && !run.err.contains("hunter2"), "{}{}", run.out, run.err);
    }
}
