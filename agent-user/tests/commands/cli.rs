//! The commands that answer one question and end: what they print, and with which status.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use testbed::root_test;
use testbed::site::{
    API_FLAG, DEVICE, Directory, FIRST, FakeIpa, Site, assert_names, binary, config_dir, under,
};

/// What a command printed and how it ended.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {} {}", self.out, self.err))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command without this machine's own parameters.
fn command(words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(words).env("IPA_SIDECAR_CMDLINE_PATH", "/dev/null");
    command
}

/// A command that ends by itself; one that goes on is killed, and its status is none.
fn run(words: &[&str]) -> Run {
    let mut limited = Command::new("timeout");
    limited.args(["--signal=KILL", "20", binary()]).args(words);
    limited.env("IPA_SIDECAR_CMDLINE_PATH", "/dev/null");
    limited.output().unwrap().into()
}

fn run_with_input(words: &[&str], input: &[u8]) -> Run {
    let mut child =
        command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

/// The same inside a namespace.
fn run_inside(site: &Site, words: &[&str]) -> Run {
    let mut command = site.node.command(binary());
    command.args(words).env("IPA_SIDECAR_CMDLINE_PATH", "/dev/null");
    command.output().unwrap().into()
}

#[test]
fn check_url_judges_and_its_status_tells() {
    let good = run(&["check-url", "http://192.0.2.1:9999", "https://[2001:db8::1]:9999"]);
    assert_eq!(good.code, Some(0), "{}", good.err);
    assert_eq!(good.out, "good \"http://192.0.2.1:9999\"\ngood \"https://[2001:db8::1]:9999\"\n");

    let seed = "http://172.25.134.128%20uid%200:9999";
    let bad = run(&["check-url", "http://192.0.2.1:9999", seed]);
    assert_eq!(bad.code, Some(1));
    let lines: Vec<_> = bad.out.lines().collect();
    assert_eq!(lines[1], format!("bad  \"{seed}\""));
    assert!(lines[2].trim_start().starts_with("percent_encoded_host: "), "{}", bad.out);
    assert_eq!(lines[3].trim(), "it was meant to be http://172.25.134.128:9999");

    let json = run(&["check-url", "--json", "http://192.0.2.1:9999", seed]);
    assert_eq!(json.code, Some(1));
    assert_eq!(
        json.json(),
        json!([
            {"url": "http://192.0.2.1:9999", "verdict": "good", "reasons": [], "warnings": [],
             "suggestion": null},
            {"url": seed, "verdict": "bad", "reasons": ["percent_encoded_host"], "warnings": [],
             "suggestion": "http://172.25.134.128:9999"},
        ])
    );
    assert_eq!(json.err, "");

    let tls = run(&["check-url", "--require-tls", "--json", "http://192.0.2.1:9999"]);
    assert_eq!((tls.code, &tls.json()[0]["reasons"]), (Some(1), &json!(["not_tls"])));
    assert_eq!(run(&["check-url", "--require-tls", "https://192.0.2.1:9999"]).code, Some(0));
}

#[test]
fn check_url_reads_lines() {
    let input = b"http://192.0.2.1:9999\r\nhttp://None:9999\nhttp://\x1b[31m\xff:9999\nhttp://192.0.2.3:9999";
    let json = run_with_input(&["check-url", "--json", "http://192.0.2.9:9999", "-"], input);
    assert_eq!(json.code, Some(1));
    let list = json.json();
    let verdicts: Vec<_> = list.as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, ["good", "good", "bad", "bad", "good"]);
    assert_eq!(list[2]["reasons"], json!(["placeholder_host"]));

    let text = run_with_input(&["check-url", "-"], input);
    assert!(!text.out.contains('\x1b'), "a terminal would act on it: {:?}", text.out);

    // A line that nobody means: judged once, and cut.
    let mut long = vec![b'x'; 3 << 20];
    long.extend(b"\nhttp://192.0.2.1:9999\n");
    let json = run_with_input(&["check-url", "--json", "-"], &long).json();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["verdict"], "good");
    assert_eq!(run_with_input(&["check-url", "--json", "-"], b"").json(), json!([]));
}

#[test]
fn check_url_local_knows_this_machine() {
    root_test!();
    let site = Site::new();
    for address in ["10.88.0.7", "192.0.2.7"] {
        site.node.ip(&format!("addr add {address}/32 dev {DEVICE}")).unwrap();
    }
    let urls =
        ["http://10.77.0.5:9999", "http://10.77.0.9:9999", "http://10.88.0.7:9999", "http://192.0.2.7:9999"];
    let mut words = vec!["check-url", "--local", "--json", API_FLAG];
    words.extend(urls);
    let judged = run_inside(&site, &words);
    assert_eq!(judged.code, Some(1), "{}", judged.err);
    let list = judged.json();
    let each = |key: &str| list.as_array().unwrap().iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(each("verdict"), ["good", "bad", "good", "bad"]);
    assert_eq!(each("reasons"), [json!([]), json!(["not_assigned"]), json!([]), json!(["not_routable"])]);
    let mismatch = json!(["route_mismatch"]);
    assert_eq!(each("warnings"), [json!([]), json!([]), mismatch.clone(), mismatch]);
    let text = run_inside(&site, &["check-url", "--local", API_FLAG, "http://10.88.0.7:9999"]);
    assert_eq!(text.code, Some(0), "a warning is no reason: {}", text.out);
    assert!(text.out.contains("good \"http://10.88.0.7:9999\""), "{}", text.out);
    assert!(text.out.contains("warning route_mismatch: "), "{}", text.out);
}

#[test]
fn explain_says_which_address_and_why() {
    root_test!();
    let site = Site::new();
    let two = "--ironic.api-url=http://10.77.0.1:6385,http://192.0.2.1:6385";
    let text = run_inside(&site, &["explain", two]);
    assert_eq!(text.code, Some(0), "{}", text.err);
    assert_eq!(
        text.out,
        "advertise 10.77.0.5 on eth0.77, the source of the route to http://10.77.0.1:6385\n\
         callback URL http://10.77.0.5:9999\n\
         whether ironic-python-agent reads /etc/ironic-python-agent.d is unknown: \
         neither a unit nor a process of ironic-python-agent is here\n\
         \n\
         API http://10.77.0.1:6385\n\
         \x20 yes: to 10.77.0.1 from 10.77.0.5 on eth0.77, table main\n\
         \n\
         API http://192.0.2.1:6385\n\
         \x20 no: to 192.0.2.1 (no_route: the kernel has no route to it (ENETUNREACH))\n"
    );
    let json = run_inside(&site, &["explain", "--json", two]).json();
    assert_eq!(
        json,
        json!({
            "address": FIRST, "device": DEVICE, "family": "inet", "callback_url": "http://10.77.0.5:9999",
            "api_urls": [
                {"url": "http://10.77.0.1:6385", "resolved": [{"ip": "10.77.0.1", "source": FIRST,
                    "device": DEVICE, "table": 254, "accepted": true, "reason": null}]},
                {"url": "http://192.0.2.1:6385", "resolved": [{"ip": "192.0.2.1", "source": null,
                    "device": null, "table": null, "accepted": false, "reason": "no_route"}]},
            ],
            "reason": null,
        })
    );
    let none = run_inside(&site, &["explain", "--ironic.api-url=http://192.0.2.1"]);
    assert_eq!(none.code, Some(1));
    assert!(none.out.starts_with("no advertise address (no_route): 192.0.2.1: "), "{}", none.out);
    let nothing = run_inside(&site, &["explain"]);
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.out.starts_with("no advertise address (no_api_url): "), "{}", nothing.out);

    // What is wrong with foreign parameters goes to stderr; stdout stays JSON.
    let directory = Directory::new("explain");
    let cmdline = directory.flag("--cmdline.path", "cmdline", "ipa-api-url=mdns");
    let mdns = run_inside(&site, &["explain", "--json", &cmdline]);
    assert_eq!((mdns.code, mdns.json()["reason"].clone()), (Some(1), json!("no_api_url")));
    assert!(mdns.err.contains("multicast DNS"), "{}", mdns.err);
}

/// Runs a command where `/etc` has a unit of IPA's that starts it so.
fn run_with_unit(site: &Site, command_line: &str, words: &[&str]) -> String {
    let unit = "/etc/systemd/system/ironic-python-agent.service";
    let script = format!(
        "mount -t tmpfs tmpfs /etc; mkdir -p /etc/systemd/system /etc/ipa.d; \
         printf '[Service]\\nExecStart=%s\\n' '{command_line}' > {unit}; exec \"$@\""
    );
    let mut command = site.node.command("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-ec", &script, "sh"]);
    let output = command.arg(binary()).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn explain_and_doctor_say_where_ipa_reads() {
    root_test!();
    let site = Site::new();
    let explain = ["explain", API_FLAG];
    let doctor = ["doctor", "--mode=configure", API_FLAG];
    let reads = "/opt/ironic-python-agent --config-dir /etc/ipa.d";
    let output = run_with_unit(&site, reads, &explain);
    assert_names(
        &output,
        &["\ncallback URL https://10.77.0.5:9999\n", "\nironic-python-agent.service reads /etc/ipa.d\n"],
    );
    let output = run_with_unit(&site, reads, &doctor);
    assert_names(&output, &["\nok    drop-in's reader: ironic-python-agent.service reads /etc/ipa.d\n"]);
    let passed_by = "/bin/podman run --network host -v /:/host ipa";
    let output = run_with_unit(&site, passed_by, &doctor);
    assert_names(
        &output,
        &[
            "\nlack  drop-in's reader: ironic-python-agent.service does not read /etc/ironic-python-agent.d: ",
            "end its command with --config-dir /host/etc/ironic-python-agent.d\n",
        ],
    );
    assert_names(
        run_with_unit(&site, "/opt/start", &explain),
        &["is unknown: ironic-python-agent.service does not show"],
    );
    assert_names(run_inside(&site, &explain).out, &["is unknown: neither a unit nor a process"]);
}

#[test]
fn doctor_says_whether_the_mode_can_work() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("doctor");
    let there = directory.config_dir();
    let missing = config_dir(&directory.file("missing"));
    let web = "--web.listen-address=127.0.0.1:10099";
    for (words, code, failing) in [
        (vec!["--mode=observe"], 0, None),
        (vec!["--mode=configure", API_FLAG, &there], 0, None),
        (vec!["--mode=configure", API_FLAG, &missing], 1, Some("drop-in directory")),
        (vec!["--mode=configure", &there], 1, Some("parameters")),
        (vec!["--mode=agent", API_FLAG], 0, None),
        (vec!["--mode=agent"], 1, Some("parameters")),
        (
            vec!["--mode=agent", "--ironic.api-url=https://10.77.0.1", "--ironic.cafile=/nonexistent"],
            1,
            Some("TLS"),
        ),
    ] {
        let mut all = vec!["doctor", "--json", web];
        all.extend(&words);
        let run = run_inside(&site, &all);
        assert_eq!(run.code, Some(code), "{words:?}: {} {}", run.out, run.err);
        let answer = run.json();
        assert_eq!(answer["works"], code == 0, "{words:?}");
        for check in answer["checks"].as_array().unwrap() {
            let ok = check["ok"].as_bool().unwrap();
            assert_eq!(ok, check["cost"] == "", "{check}");
            assert!(!check["found"].as_str().unwrap().is_empty(), "{check}");
            if !ok && check["required"] == true {
                assert!(failing.is_some_and(|name| check["name"] == name), "{words:?}: {check}");
            }
        }
        let text = run_inside(&site, &[&["doctor", web][..], &words[..]].concat());
        assert_eq!(text.code, Some(code));
        let fails = text.out.lines().any(|line| line.starts_with("FAIL  "));
        assert_eq!(fails, failing.is_some(), "{}", text.out);
        assert!(text.out.contains(" work here\n"), "{}", text.out);
    }
    let _ipa = FakeIpa::start(&site.node, "[::]:9999");
    let beside = run_inside(&site, &["doctor", "--mode=agent", API_FLAG, web]);
    assert_eq!(beside.code, Some(1));
    assert!(beside.out.contains("would take its token"), "{}", beside.out);
}

#[test]
fn doctor_says_what_sight_can_see() {
    root_test!();
    let site = Site::new();
    let lines = |words: &[&str], flags: &[&str]| {
        let all = [
            &["doctor", "--no-vmedia", "--cmdline.path=/dev/null", "--web.listen-address=127.0.0.1:0"],
            flags,
        ];
        let output = under(&site.node, words).args(all.concat()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |scheme| text.lines().find(|line| line.contains(scheme)).map(str::to_owned);
        (line("sight http:"), line("sight https:"), text)
    };
    let (http, https, text) = lines(&["env"], &["--mode=configure", API_FLAG]);
    assert_eq!(
        http.as_deref(),
        Some("ok    sight http: the daemon sees exchanges with Ironic at the network")
    );
    let https = https.unwrap();
    if cfg!(feature = "ebpf") {
        assert_names(https, &["sight https: the daemon sees what passes through ", "libssl"]);
    } else {
        assert_names(https, &["lack  sight https: ", "(not_built)"]);
        assert_names(text, &["over it are invisible; a read-back shows what Ironic holds"]);
    }
    let flags = ["--mode=configure", "--ironic.api-url=https://10.77.0.1", "--probe.connect=off"];
    let (http, https, _) = lines(&["env"], &flags);
    assert_names(http.unwrap(), &["ok    sight http: not needed: no API URL is http"]);
    assert_names(https.unwrap(), &["lack  sight https: --probe.connect=off (switched_off)"]);
    let (http, ..) = lines(&["setpriv", "--bounding-set", "-net_raw", "--"], &["--mode=guard", API_FLAG]);
    assert_names(http.unwrap(), &["lack  sight http: ", "CAP_NET_RAW", "(not_permitted)"]);
    let (http, https, _) = lines(&["env"], &["--mode=agent", API_FLAG]);
    assert_eq!((http, https), (None, None), "it records only what it sends itself");
}

#[test]
fn usage_errors_are_64_and_say_what_would_be_right() {
    let directory = Directory::new("usage");
    let file = |name: &str, content: &str| directory.flag("--config.file", name, content);
    let (unknown, wrong, broken) = (
        file("unknown.toml", "advertise.prot = 9999\n"),
        file("wrong.toml", "\nadvertise.port = \"x\"\n"),
        file("broken.toml", "= 1\n"),
    );
    for (words, said) in [
        (vec![], vec!["Usage: ipa-sidecar <COMMAND>", "check-url"]),
        (vec!["frobnicate"], vec!["frobnicate", "Usage"]),
        (vec!["run", "--advertise.prot=1"], vec!["--advertise.prot", "--advertise.port"]),
        (vec!["run", "--advertise.port=70000"], vec!["--advertise.port", "70000", "65535"]),
        (vec!["run", "--mode=agnet"], vec!["--mode", "agnet", "observe, configure, guard, agent"]),
        (vec!["explain", "--ironic.api-url=ftp://x"], vec!["--ironic.api-url", "ftp://x", "http"]),
        (vec!["doctor", &unknown], vec!["unknown.toml:1", "advertise.prot"]),
        (vec!["params", &wrong], vec!["wrong.toml:2", "advertise.port"]),
        (vec!["run", &broken], vec!["broken.toml:1", "TOML"]),
        (vec!["run", "--config.file=/nonexistent"], vec!["/nonexistent", "--config.file"]),
        (vec!["check-url"], vec!["<URL>", "Usage"]),
    ] {
        let run = run(&words);
        assert_eq!(run.code, Some(64), "{words:?}: {} {}", run.out, run.err);
        assert_eq!(run.out, "", "{words:?}");
        for text in said {
            assert!(run.err.contains(text), "{words:?}: {text:?} in {}", run.err);
        }
        assert!(!run.err.contains("panicked"), "{}", run.err);
    }
    let run: Run = command(&["explain"]).env("IPA_SIDECAR_ADVERTISE_PORT", "0").output().unwrap().into();
    assert_eq!(run.code, Some(64));
    assert_names(&run.err, &["IPA_SIDECAR_ADVERTISE_PORT", "\"0\""]);
}

#[test]
fn help_shows_groups_and_variables() {
    for name in ["run", "explain", "check-url", "params", "doctor"] {
        let help = run(&[name, "--help"]);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{name}");
        let words = help.out.split_whitespace().collect::<Vec<_>>().join(" "); // It is wrapped.
        for text in [
            "Ironic: --ironic.api-url",
            "Advertised address: --advertise.host",
            "Web: --web.listen-address",
            "Where parameters come from: --config.file",
            "[env: IPA_SIDECAR_IRONIC_API_URL",
            "[default: 9999]",
        ] {
            assert!(words.contains(text), "{name}: {text:?} in {}", help.out);
        }
        let has_mode = ["run", "doctor"].contains(&name);
        assert_eq!(words.contains("Mode: --mode <MODE>"), has_mode, "{name}");
        assert!(!help.out.contains("agent-token "), "the token is no flag: {}", help.out);
    }
    let status = run(&["status", "--help"]);
    assert_eq!(status.code, Some(0));
    assert_names(&status.out, &["--json", "--watch"]);
    assert!(!status.out.contains("--ironic.api-url"), "it asks the daemon: {}", status.out);
    let version = run(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert!(
        version.out.starts_with(concat!("ipa-sidecar ", env!("CARGO_PKG_VERSION"), " (")),
        "{}",
        version.out
    );
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for words in [
        &["params", "--json"][..],
        &["params"],
        &["explain", "--json"],
        &["explain"],
        &["doctor", "--json", "--web.listen-address=127.0.0.1:0"],
        &["check-url", "--json", "http://192.0.2.1:9999"],
        &["run", "--help"],
        &["--help"],
    ] {
        let mut child = command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let run: Run = child.wait_with_output().unwrap().into();
        assert!(!run.err.contains("panicked"), "{words:?}: {}", run.err);
        assert!(matches!(run.code, Some(0 | 1)), "{words:?}: {:?} {}", run.code, run.err);
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run: Run = command(&["params"]).stdout(full).output().unwrap().into();
    assert_eq!(run.code, Some(70), "{}", run.err);
    assert!(run.err.contains("No space left"), "{}", run.err);
}

#[test]
fn params_shows_every_layer() {
    let directory = Directory::new("params");
    let cmdline =
        directory.flag("--cmdline.path", "cmdline", "ipa-api-url=http://192.0.2.1 ipa-advertise-port=x");
    let json = run(&["params", "--json", "--no-vmedia", &cmdline, "--lookup.timeout=7"]);
    assert_eq!(json.code, Some(65), "a value is unusable");
    assert_names(&json.err, &["advertise.port", "\"x\""]);
    let entry = |name: &str| {
        let list = json.json();
        list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    assert_eq!(entry("ironic.api-url")["source"], "cmdline");
    assert_eq!(entry("lookup.timeout")["source"], "flag");
    assert_eq!(entry("advertise.port")["source"], "default");
    assert_eq!(run(&["params", "--no-vmedia"]).code, Some(0));
}

#[test]
fn without_privilege_the_commands_work_as_well() {
    root_test!();
    let site = Site::new();
    // The binary may lie where nobody else may go: this user gets a copy.
    let directory = Directory::new("unprivileged");
    let copy = directory.file("ipa-sidecar");
    std::fs::copy(binary(), &copy).unwrap();
    for words in [&["explain", API_FLAG][..], &["doctor", API_FLAG], &["params"]] {
        let mut command = site.node.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(&copy).args(words).env("IPA_SIDECAR_CMDLINE_PATH", "/dev/null");
        let run: Run = command.output().unwrap().into();
        assert_eq!(run.code, Some(0), "{words:?}: {} {}", run.out, run.err);
    }
}
