//! Layers: which value wins, where it came from, what a bad one reports.

use std::time::Duration;

use callback_url::{Host, Scheme};
use testbed::site::assert_names;

use super::machine::{Machine, entry};
use ipa_sidecar::inside::{ApiVersion, Mode, Parameters, ProblemKind, Source};

const SEED_CMDLINE: &str = include_str!("../fixtures/params-seed-cmdline.txt");

fn urls(parameters: &Parameters) -> Vec<String> {
    parameters.ironic.api_urls.iter().map(ToString::to_string).collect()
}

#[test]
fn the_kernel_command_line_of_the_original_failure() {
    let machine = Machine::new();
    machine.write("cmdline", SEED_CMDLINE);
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(urls(&loaded.parameters), ["http://172.25.134.35:6385"]);
    assert_eq!(loaded.parameters.ironic.driver_name.as_deref(), Some("pxe_ipmitool"));
    assert_eq!(loaded.parameters.advertise.host, None, "ip= is no answer");
    assert_eq!(loaded.problems, []);
    let cmdline = machine.path("cmdline");
    assert_eq!(
        entry(&loaded, "ironic.api-url"),
        ("[\"http://172.25.134.35:6385\"]".to_owned(), "cmdline", format!("{cmdline}: ipa-api-url"))
    );
    assert_eq!(entry(&loaded, "ironic.driver-name").2, format!("{cmdline}: ipa-driver-name"));
    assert_eq!(entry(&loaded, "advertise.port"), ("9999".to_owned(), "default", "built in".to_owned()));
    let of_before = SEED_CMDLINE.replace("ipa-api-url=", "other=");
    machine.write("cmdline", of_before);
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(urls(&loaded.parameters), ["http://172.25.134.35:6385"]);
    assert_eq!(entry(&loaded, "ironic.api-url").2, format!("{cmdline}: ironic_api_url"));
}

/// The address that we wrote last is no word of the operator's.
#[test]
fn our_own_drop_in_is_never_read_back() {
    let directories = ["etc/ironic-python-agent", "etc/ironic-python-agent.d"];
    for directory in directories {
        let machine = Machine::new();
        machine.write(&format!("{directory}/zz-ipa-sidecar.conf"), "[DEFAULT]\nadvertise_host = 192.0.2.9\n");
        for given in directories {
            let loaded = machine.load_with_drop_ins_in(given, &[]).unwrap();
            assert_eq!(loaded.parameters.advertise.host, None, "{directory}, and {given} is given");
            assert_eq!(loaded.problems, []);
        }
    }
}

/// What nobody could connect to is a problem, and counts as not given: the next layer's host is taken.
#[test]
fn a_foreign_host_that_nobody_could_connect_to_is_not_taken() {
    for host in [
        "None",
        "null",
        "UNDEFINED",
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "::1",
        "localhost",
        "fe80::7",
        "169.254.1.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
    ] {
        let machine = Machine::new();
        machine.write("cmdline", format!("ipa-api-url=http://192.0.2.1:6385 ipa-advertise-host={host}"));
        let loaded = machine.load(&[]).unwrap();
        assert_eq!(loaded.parameters.advertise.host, None, "{host}");
        let problem = loaded.problems.first().unwrap_or_else(|| panic!("{host} was taken"));
        let words = problem.to_string();
        for part in ["advertise.host", host, "ipa-advertise-host", "that Ironic can connect to"] {
            assert!(words.contains(part), "{host}: {words}");
        }
        machine.drop_in("10-x.conf", &format!("[DEFAULT]\nadvertise_host = {host}"));
        machine.write("cmdline", "ipa-advertise-host=192.0.2.7");
        let loaded = machine.load(&[]).unwrap();
        assert_eq!(loaded.parameters.advertise.host.unwrap().to_string(), "192.0.2.7", "{host}");
    }
    // Loopback is right where the API is there too.
    let machine = Machine::new();
    machine.write("cmdline", "ipa-api-url=http://127.0.0.1:6385 ipa-advertise-host=127.0.0.1");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.host.unwrap().to_string(), "127.0.0.1");
    assert_eq!(loaded.problems, []);
}

#[test]
fn the_highest_of_any_set_of_layers_wins() {
    for set in 0..32_u32 {
        let has = |layer: u32| set & (1 << layer) != 0;
        let mut machine = Machine::new();
        let mut arguments = Vec::new();
        let own_file = format!("--config.file={}", machine.path("own.toml"));
        let mut expected = ("null".to_owned(), "default", "not set".to_owned());
        let mut given =
            |address: &str, source, detail: String| expected = (format!("\"{address}\""), source, detail);
        if has(0) {
            machine.write("cmdline", "ipa-advertise-host=192.0.2.1");
            given("192.0.2.1", "cmdline", format!("{}: ipa-advertise-host", machine.path("cmdline")));
        }
        if has(1) {
            machine.drop_in("10-x.conf", "[DEFAULT]\nadvertise_host = 192.0.2.2");
            let file = machine.path("etc/ironic-python-agent.d/10-x.conf");
            given("192.0.2.2", "ipa-config", format!("{file}: advertise_host"));
        }
        if has(2) {
            machine.write("own.toml", "log.level = \"info\"\nadvertise.host = \"192.0.2.3\"");
            arguments.push(own_file.as_str());
            given("192.0.2.3", "file", format!("{}:2", machine.path("own.toml")));
        }
        if has(3) {
            let name = "IPA_SIDECAR_ADVERTISE_HOST";
            machine.environment.insert(name.to_owned(), "192.0.2.4".to_owned());
            given("192.0.2.4", "environment", name.to_owned());
        }
        if has(4) {
            arguments.push("--advertise.host=192.0.2.5");
            given("192.0.2.5", "flag", "--advertise.host".to_owned());
        }
        let loaded = machine.load(&arguments).unwrap();
        assert_eq!(entry(&loaded, "advertise.host"), expected, "{set:05b}");
        let host = loaded.parameters.advertise.host.map(|host| host.to_string());
        assert_eq!(host.as_deref(), expected.0.contains('.').then(|| expected.0.trim_matches('"')));
        assert_eq!(loaded.problems, []);
    }
}

#[test]
fn every_own_parameter_is_read_from_flag_variable_and_file() {
    let samples = [
        ("mode", "guard"),
        ("ironic.api-url", "http://192.0.2.1:6385"),
        ("ironic.cafile", "/ca.pem"),
        ("ironic.insecure", "true"),
        ("ironic.request-timeout", "5"),
        ("ironic.api-version", "1.72"),
        ("ironic.global-request-id", "req-1"),
        ("ironic.driver-name", "ipmi"),
        ("advertise.host", "h.example"),
        ("advertise.port", "9998"),
        ("advertise.protocol", "https"),
        ("advertise.interface", "eth0"),
        ("advertise.family", "inet6"),
        ("advertise.wait", "60"),
        ("lookup.timeout", "70"),
        ("lookup.interval", "2"),
        ("ipa.config-dir", "/x"),
        ("ipa.restart-unit", "off"),
        ("guard.listen-address", "[::1]:1"),
        ("guard.redirect", "off"),
        ("agent.without-listener", "true"),
        ("agent.beside-ipa", "true"),
        ("agent.verify-ca", "/agent.pem"),
        ("probe.connect", "off"),
        ("web.listen-address", "[::]:1"),
        ("web.config.file", "/w.yml"),
        ("log.level", "debug"),
        ("log.format", "json"),
        ("vmedia", "false"),
    ];
    let file: String = samples
        .iter()
        .map(|(name, value)| match value.parse::<u32>() {
            Ok(number) => format!("{name} = {number}\n"),
            Err(_) if ["true", "false"].contains(value) => format!("{name} = {value}\n"),
            Err(_) => format!("{name} = \"{value}\"\n"),
        })
        .collect();
    let mut of_file = Machine::new();
    of_file.write("own.toml", file);
    let own_file = of_file.path("own.toml");
    of_file.environment.insert("IPA_SIDECAR_CONFIG_FILE".to_owned(), own_file);
    let mut of_environment = Machine::new();
    for (name, value) in samples {
        let variable = format!("IPA_SIDECAR_{}", name.to_uppercase().replace(['.', '-'], "_"));
        of_environment.environment.insert(variable, value.to_owned());
    }
    let of_flags = Machine::new();
    let arguments: Vec<String> = samples.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The setup itself gives this one as a flag.
    let arguments: Vec<&str> =
        arguments.into_iter().filter(|flag| !flag.starts_with("--ipa.config-dir")).collect();
    for (loaded, source) in [
        (of_file.load(&[]).unwrap(), Source::File),
        (of_environment.load(&[]).unwrap(), Source::Environment),
        (of_flags.load(&arguments).unwrap(), Source::Flag),
    ] {
        for (name, value) in samples.iter().filter(|(name, _)| *name != "ipa.config-dir") {
            let entry = loaded.entry(name).unwrap();
            assert_eq!(entry.source, source, "{name}");
            let shown = entry.value.to_string();
            assert_eq!(shown.trim_matches(['"', '[', ']']), value.trim_matches(['[', ']']), "{name}");
        }
        let read = loaded.parameters;
        assert_eq!(read.mode, Mode::Guard);
        assert_eq!(read.ironic.api_version, Some(ApiVersion { major: 1, minor: 72 }));
        assert_eq!(read.ironic.request_timeout, Duration::from_secs(5));
        assert_eq!(read.advertise.host, Some(Host::Name("h.example".to_owned())));
        assert_eq!(read.advertise.protocol, Scheme::Https);
        assert!(read.ironic.insecure && read.agent.without_listener);
        assert!(read.agent.beside_ipa && read.agent.verify_ca.is_some());
        assert!(!read.sources.vmedia);
    }
}

#[test]
fn boolean_flags_stand_alone_and_can_be_denied() {
    let mut machine = Machine::new();
    machine.environment.insert("IPA_SIDECAR_AGENT_WITHOUT_LISTENER".to_owned(), "true".to_owned());
    assert!(machine.load(&[]).unwrap().parameters.agent.without_listener);
    assert!(!machine.load(&["--agent.without-listener=false"]).unwrap().parameters.agent.without_listener);
    let loaded = machine.load(&["--ironic.insecure", "--no-vmedia"]).unwrap();
    assert!(loaded.parameters.ironic.insecure && !loaded.parameters.sources.vmedia);
    assert_eq!(entry(&loaded, "vmedia").2, "--no-vmedia");
    assert!(machine.load(&["--no-vmedia", "--vmedia"]).unwrap().parameters.sources.vmedia);
}

#[test]
fn the_mode_is_known_to_commands_without_the_flag() {
    let command = ipa_sidecar::inside::flags(clap::Command::new("params"));
    let matches = command.try_get_matches_from(["params"]).unwrap();
    let mut places = ipa_sidecar::inside::Places::system(ipa_sidecar::inside::Image::default());
    places.environment = [("IPA_SIDECAR_MODE".to_owned(), "configure".into())].into();
    let loaded = ipa_sidecar::inside::load_from(&matches, &places).unwrap();
    assert_eq!(loaded.parameters.mode, Mode::Configure);
}

#[test]
fn the_help_names_variable_and_default() {
    let help = ipa_sidecar::inside::flags(clap::Command::new("x")).render_long_help().to_string();
    for part in ["IPA_SIDECAR_IRONIC_API_URL", "[default: 9999]", "Advertised address:", "--no-vmedia"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    assert!(!help.contains("--ironic.agent-token <"), "the token is no flag");
}

#[test]
fn the_last_of_several_wins() {
    let machine = Machine::new();
    machine.write("cmdline", "ipa-advertise-port=1 ipa-advertise-port=2");
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 2);
    machine.write("etc/ironic-python-agent.conf", "[DEFAULT]\nadvertise_port=3\nlookup_timeout=3");
    machine.write("etc/ironic-python-agent/a.conf", "[DEFAULT]\nadvertise_port=4\nlookup_interval=4");
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 4);
    machine.drop_in("10.conf", "[DEFAULT]\nadvertise_port=5\nadvertise_port=6");
    machine.drop_in("9.conf", "[DEFAULT]\nadvertise_port=7");
    machine.drop_in("99.conf.bak", "[DEFAULT]\nadvertise_port=8");
    machine.drop_in(".99.conf", "[DEFAULT]\nadvertise_port=9");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.port, 7, "9.conf sorts after 10.conf");
    assert_eq!(loaded.parameters.lookup.timeout, Duration::from_secs(3));
    assert_eq!(loaded.parameters.lookup.interval, Duration::from_secs(4));
    assert_eq!(loaded.problems, []);
}

#[test]
fn the_own_drop_in_is_not_read_and_one_behind_it_is_reported() {
    let machine = Machine::new();
    machine
        .drop_in("zz-ipa-sidecar.conf", "[DEFAULT]\nadvertise_host=192.0.2.1\napi_url=http://127.0.0.1:6385");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.host, None);
    assert!(loaded.parameters.ironic.api_urls.is_empty() && loaded.problems.is_empty());

    machine.drop_in("zzz.conf", "[DEFAULT]\nadvertise_host=192.0.2.2\nlisten_port=9998");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.ipa_settings.listen_port, 9998);
    assert_eq!(loaded.problems.len(), 1);
    let problem = &loaded.problems[0];
    assert_eq!((problem.kind, problem.name.as_str()), (ProblemKind::Conflict, "advertise.host"));
    assert_eq!(problem.value, "192.0.2.2");
    assert!(problem.detail.ends_with("zzz.conf: advertise_host"), "{}", problem.detail);
    assert!(!loaded.has_unusable(), "the value itself is right");
}

#[test]
fn bad_values_of_others_are_problems_and_the_next_layer_counts() {
    for (text, name, expected) in [
        ("ipa-api-url=mdns", "ironic.api-url", "null"),
        ("ipa-api-url=", "ironic.api-url", "null"),
        ("ipa-api-url=172.25.134.35", "ironic.api-url", "null"),
        ("ipa-api-url=http://h%20x", "ironic.api-url", "null"),
        ("ipa-advertise-port=0", "advertise.port", "9999"),
        ("ipa-advertise-port=65536", "advertise.port", "9999"),
        ("ipa-advertise-host=172.25.134.128\u{200b}", "advertise.host", "null"),
        ("ipa-advertise-host=10.1", "advertise.host", "null"),
        ("ipa-advertise-protocol=ftp", "advertise.protocol", "\"http\""),
        ("ipa-lookup-timeout=5m", "lookup.timeout", "600"),
        ("ipa-lookup-interval=0", "lookup.interval", "1"),
        ("ipa-http-request-timeout=never", "ironic.request-timeout", "30"),
        ("ipa-insecure=perhaps", "ironic.insecure", "false"),
        ("ipa-ironic-api-version=newest", "ironic.api-version", "\"auto\""),
        ("ipa-network-interface=a/b", "advertise.interface", "null"),
        ("ipa-global-request-id=\u{e9}", "ironic.global-request-id", "null"),
        ("ipa-driver-name=../x", "ironic.driver-name", "null"),
        ("ipa-listen-port=x", "ipa.listen-port", "9999"),
        ("ipa-ip-lookup-attempts=0", "ipa.ip-lookup-attempts", "6"),
        ("ipa-ip-lookup-timeout=-1", "ipa.ip-lookup-sleep", "10"),
    ] {
        let machine = Machine::new();
        machine.write("cmdline", text);
        let loaded = machine.load(&[]).unwrap();
        let (value, source, _) = entry(&loaded, name);
        assert_eq!((value.as_str(), source), (expected, "default"), "{text}");
        assert_eq!(loaded.problems.len(), 1, "{text}");
        let problem = &loaded.problems[0];
        assert_eq!((problem.name.as_str(), problem.source), (name, Source::Cmdline), "{text}");
        assert!(!problem.wanted.is_empty() && problem.detail.contains(text.split('=').next().unwrap()));
        assert!(loaded.has_unusable());

        // The same value in IPA's configuration: then the kernel command line counts.
        let (option, bad) = text.split_once('=').unwrap();
        let option = option.strip_prefix("ipa-").unwrap().replace('-', "_");
        let option = if option == "ip_lookup_timeout" { "ip_lookup_sleep".to_owned() } else { option };
        machine.drop_in("x.conf", &format!("[DEFAULT]\n{option} = {bad}\n"));
        machine.write("cmdline", "quiet");
        let loaded = machine.load(&[]).unwrap();
        assert_eq!(loaded.problems.len(), 1, "{text}");
        assert_eq!(loaded.problems[0].source, Source::IpaConfig, "{text}");
        assert_eq!(entry(&loaded, name).0, expected, "{text}");
    }
}

#[test]
fn a_bad_higher_layer_gives_way_to_a_good_lower_one() {
    let machine = Machine::new();
    machine.drop_in("x.conf", "[DEFAULT]\napi_url = mdns\nadvertise_host = $my_ip");
    machine.write("cmdline", "ipa-api-url=http://192.0.2.1:6385 ipa-advertise-host=192.0.2.9");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(urls(&loaded.parameters), ["http://192.0.2.1:6385"]);
    assert_eq!(loaded.parameters.advertise.host, Host::parse("192.0.2.9"));
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].contains("$my_ip") && said[0].contains("references"), "{said:?}");
    assert!(said[1].contains("\"mdns\"") && said[1].contains("multicast DNS"), "{said:?}");
}

#[test]
fn a_list_keeps_its_usable_items() {
    let machine = Machine::new();
    machine.write(
        "cmdline",
        "ipa-api-url=http://192.0.2.1:6385/,junk,https://[fd00::1]:6385/v1,,http://u:hunter2@h,http://192.0.2.1:6385",
    );
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(urls(&loaded.parameters), ["http://192.0.2.1:6385", "https://[fd00::1]:6385"]);
    let values: Vec<&str> = loaded.problems.iter().map(|problem| problem.value.as_str()).collect();
    assert_eq!(values, ["junk", "", "http://******@h"]);
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn bad_values_of_our_own_are_errors() {
    for (name, value, wanted) in [
        ("mode", "watch", "observe, configure, guard, agent"),
        ("ironic.api-url", "mdns", "multicast DNS"),
        ("ironic.api-url", "http://h,junk", "a URL like"),
        ("ironic.request-timeout", "0", "seconds"),
        ("ironic.api-version", "2", "like 1.72"),
        ("advertise.host", "a b", "DNS name"),
        ("advertise.port", "0", "from 1 to 65535"),
        ("advertise.protocol", "HTTP", "http or https"),
        ("advertise.family", "ipv4", "auto, inet, inet6"),
        ("advertise.wait", "5 minutes", "5m"),
        ("guard.listen-address", "0.0.0.0:6385", "loopback"),
        ("guard.redirect", "on", "auto, off"),
        ("agent.without-listener", "maybe", "true or false"),
        ("web.listen-address", "10099", "like :10099"),
        ("log.level", "inof", "info"),
        ("ironic.certfile", "/only.pem", "ironic.keyfile"),
        ("ironic.keyfile", "/only.pem", "ironic.certfile"),
    ] {
        let mut machine = Machine::new();
        let flag = format!("--{name}={value}");
        let variable = format!("IPA_SIDECAR_{}", name.to_uppercase().replace(['.', '-'], "_"));
        let by_flag = machine.load(&[&flag]).unwrap_err().to_string();
        machine.environment.insert(variable.clone(), value.to_owned());
        let by_variable = machine.load(&[]).unwrap_err().to_string();
        for (error, origin) in [(by_flag, format!("--{name}")), (by_variable, variable)] {
            assert_names(error, &[name, origin.as_str(), wanted, value.rsplit(',').next().unwrap()]);
        }
    }
}

#[test]
fn bad_values_and_keys_in_our_file_name_file_and_line() {
    let machine = Machine::new();
    let flag = format!("--config.file={}", machine.path("own.toml"));
    let line = |number: u32| format!("{}:{number}", machine.path("own.toml"));
    for (content, parts) in [
        ("\nadvertise.host = \"a b\"", [line(2), "advertise.host".to_owned(), "\"a b\"".to_owned()]),
        ("advertise.port = 70000", [line(1), "70000".to_owned(), "65535".to_owned()]),
        ("[advertise]\nprot = 1", [line(2), "advertise.prot".to_owned(), "unknown".to_owned()]),
    ] {
        machine.write("own.toml", content);
        let error = machine.load(&[&flag]).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(&part), "{error}: {part}");
        }
    }
    let error = machine.load(&["--config.file=/nowhere.toml"]).unwrap_err().to_string();
    assert_names(error, &["/nowhere.toml", "--config.file", "No such file"]);
    machine.write("own.toml", b"\xff");
    assert!(machine.load(&[&flag]).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn an_empty_value_of_our_own_takes_back_what_a_lower_layer_gives() {
    let mut machine = Machine::new();
    machine.write("cmdline", "ipa-api-url=http://192.0.2.1:6385 ipa-advertise-port=9998");
    let given = machine.load(&[]).unwrap();
    assert_eq!((urls(&given.parameters).len(), given.parameters.advertise.port), (1, 9998));
    let empty = machine.load(&["--ironic.api-url=", "--advertise.port="]).unwrap();
    assert_eq!((urls(&empty.parameters).len(), empty.parameters.advertise.port), (0, 9999));
    assert_eq!(empty.entry("ironic.api-url").unwrap().detail, "--ironic.api-url, empty");
    machine.environment.insert("IPA_SIDECAR_ADVERTISE_PORT".to_owned(), String::new());
    assert_eq!(machine.load(&[]).unwrap().parameters.advertise.port, 9999);
    assert_eq!(machine.load(&["--advertise.port=9997"]).unwrap().parameters.advertise.port, 9997);
}

#[test]
fn a_misspelt_variable_is_a_problem_and_names_the_one_that_may_be_meant() {
    for (name, wanted) in [
        ("IPA_SIDECAR_IRONIC_API_URLS", "is IPA_SIDECAR_IRONIC_API_URL meant?"),
        ("IPA_SIDECAR_WEB_LISTEN", "is IPA_SIDECAR_WEB_LISTEN_ADDRESS meant?"),
        ("IPA_SIDECAR_X", "--help"),
    ] {
        let mut machine = Machine::new();
        machine.environment.insert(name.to_owned(), "http://192.0.2.1".to_owned());
        let loaded = machine.load(&[]).unwrap();
        let [problem] = &loaded.problems[..] else { panic!("{:?}", loaded.problems) };
        assert_names(problem.to_string(), &[name, wanted]);
        assert!(!format!("{problem:?}").contains("192.0.2.1"), "it may be a secret: {problem:?}");
    }
}

#[test]
fn a_port_alone_is_listened_on_everywhere() {
    let loaded = Machine::new().load(&["--web.listen-address=:10099"]).unwrap();
    assert_eq!(loaded.parameters.web_listen_address, Some("[::]:10099".parse().unwrap()));
}

#[test]
fn a_lonely_certificate_of_others_is_a_problem() {
    let machine = Machine::new();
    machine.drop_in("x.conf", "[DEFAULT]\nkeyfile = /k.pem\ncafile = /ca.pem");
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.ironic.keyfile, None);
    assert_eq!(loaded.parameters.ironic.cafile.as_deref(), Some("/ca.pem".as_ref()));
    assert_eq!(entry(&loaded, "ironic.keyfile").1, "default");
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.problems[0].wanted.contains("ironic.certfile"));
    let loaded = machine.load(&["--ironic.certfile=/c.pem"]).unwrap();
    assert_eq!(loaded.parameters.ironic.keyfile.as_deref(), Some("/k.pem".as_ref()));
    assert_eq!(loaded.problems, []);
}

#[test]
fn unreadable_sources_of_others_are_problems() {
    let machine = Machine::new();
    machine.drop_in("a.conf", "[DEFAULT]\nword\nadvertise_port = 7");
    std::fs::create_dir(machine.root.file("etc/ironic-python-agent.d/b.conf")).unwrap();
    machine.drop_in("c.conf", &"#".repeat(1024 * 1024 + 1));
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.parameters.advertise.port, 7);
    let said: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    for part in ["not a regular file", "larger than 1048576", "line 2"] {
        assert_eq!(said.iter().filter(|line| line.contains(part)).count(), 1, "{part}: {said:?}");
    }
    let error = machine.load(&[]).map(|_| ()).and_then(|()| {
        std::fs::remove_file(machine.root.file("cmdline")).unwrap();
        machine.load(&[]).map(|_| ())
    });
    assert!(error.unwrap_err().to_string().contains("cmdline.path"), "named by a flag: an error");
}

#[test]
fn nothing_at_all_is_fine() {
    let machine = Machine::new();
    let loaded = machine.load(&[]).unwrap();
    assert_eq!(loaded.problems, []);
    let mut expected = Parameters::default();
    expected.sources.cmdline_path = machine.root.file("cmdline");
    expected.ipa.config_dir = machine.root.file("etc/ironic-python-agent.d");
    assert_eq!(format!("{:?}", loaded.parameters), format!("{expected:?}"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_foreign_bytes_stop_the_start(cmdline: Vec<u8>, drop_in: Vec<u8>, host in "\\PC{0,20}") {
        let machine = Machine::new();
        let mut text = cmdline;
        text.extend_from_slice(format!(" ipa-advertise-host={host} ipa-api-url={host} ipa-agent-token={host}").as_bytes());
        machine.write("cmdline", text);
        machine.write("etc/ironic-python-agent.d/x.conf", drop_in);
        proptest::prop_assert!(machine.load(&[]).is_ok());
    }
}
