//! What must never happen while the daemon works: a subprocess, or the token where it can be read.

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Behaviour, Fault, Path};

#[test]
fn no_subprocess_is_started() {
    root_test!("strace");
    let site = Site::new();
    let ironic = site.ironic(Behaviour { heartbeat_timeout: 10, ..Behaviour::default() });
    let directory = Directory::new("execve");
    let trace = directory.file("trace");
    let mut command = site.node.command("strace");
    command.args(["-f", "-qq", "-e", "trace=execve,execveat,fork,vfork", "-o"]).arg(&trace);
    // A name, so that resolving is part of it.
    let urls = "--ironic.api-url=http://localhost:1,http://10.77.0.1:6385";
    command.arg(binary()).args(Daemon::words(&["--mode=agent", urls, WITHOUT_LISTENER]));
    let mut daemon = Daemon::from_command(command, &site.node).unwrap();
    wait_metric(&daemon, ACCEPTED, 1.0, SOON);
    for _ in 0..3 {
        site.change(FIRST, SECOND);
        daemon.wait_address(Some(SECOND), SOON).unwrap();
        site.change(SECOND, FIRST);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
    }
    wait_beats(&daemon, &ironic, 2, LATER);
    for page in ["/", "/state", "/metrics"] {
        assert_eq!(daemon.get(page).unwrap().status, 200);
    }
    end_traced(&mut daemon);
    let calls = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<_> = calls.lines().filter(|line| line.contains('(')).collect();
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert!(calls[0].contains("execve(\"") && calls[0].contains("ipa-sidecar"), "{calls:?}");
}

/// Everything that can be read of a daemon.
pub fn readable(daemon: &Daemon) -> String {
    let mut all = daemon.log();
    for page in ["/", "/state", "/metrics", "/-/ready"] {
        all.push_str(&daemon.get(page).unwrap().text());
    }
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", daemon.pid())).unwrap();
        all.push_str(&String::from_utf8_lossy(&bytes));
    }
    all
}

/// Demands that neither half of the token stands in this text.
pub fn assert_hidden(token: &str, text: &str) {
    assert!(token.len() > 20);
    // Half of it would be too much as well.
    for part in [&token[..token.len() / 2], &token[token.len() / 2..]] {
        if let Some(at) = text.find(part) {
            let around: String = text[..at].chars().rev().take(200).collect();
            panic!("the token stands after {:?}", around.chars().rev().collect::<String>());
        }
    }
}

/// Runs a daemon whose token was handed out, or comes from the lookup, and which Ironic repeats in its errors.
fn a_daemon_hides_it(cmdline: &std::path::Path, flag: Option<&String>, handed_out: bool) {
    let site = Site::new();
    let ironic = site.ironic(Behaviour {
        pregenerated_token: handed_out.then(|| TOKEN.to_owned()),
        ..Behaviour::default()
    });
    let mut flags = vec!["--mode=agent", API_FLAG, WITHOUT_LISTENER, "--log.level=trace"];
    flags.extend(flag.map(String::as_str));
    let token = if handed_out { TOKEN.to_owned() } else { format!("stand-in_token_{:0>28}", 1) };
    let text = format!("Failed: POST /v1/commands?agent_token={token} with {token}");
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, text.clone()));
    ironic.push_fault(Path::Heartbeat, Fault::Status(502, format!("<html>{text}</html>")));
    let daemon = site.daemon_with(cmdline, &[], &flags);
    wait_metric(&daemon, ACCEPTED, 1.0, LATER);
    assert_eq!(ironic.token(), Some(token.clone()));
    let all = readable(&daemon);
    assert!(all.contains(" DEBUG "), "the level is debug or below");
    assert!(all.contains("Failed: POST"), "the errors are shown");
    assert_hidden(&token, &all);
}

#[test]
fn the_token_shows_nowhere() {
    root_test!();
    let directory = Directory::new("token-shows");
    let token_file = directory.flag("--ironic.agent-token-file", "token", TOKEN);
    // Handed out in a file, on the kernel command line, in IPA's configuration; got from a lookup.
    directory.flag("", "empty", "");
    directory.flag("", "with-token", &format!("ipa-agent-token={TOKEN}"));
    directory.write("ipa.d/10.conf", format!("[DEFAULT]\nagent_token = {TOKEN}\n"));
    let config_dir = config_dir(&directory.file("ipa.d"));
    std::thread::scope(|scope| {
        for (cmdline, flag, handed_out) in [
            ("empty", Some(&token_file), true),
            ("with-token", None, true),
            ("empty", Some(&config_dir), true),
            ("empty", None, false),
        ] {
            let cmdline = directory.file(cmdline);
            scope.spawn(move || a_daemon_hides_it(&cmdline, flag, handed_out));
        }
    });
    let site = Site::new();
    for command in ["params", "doctor", "explain"] {
        let output = site
            .node
            .command(binary())
            .args([command, "--json", "--no-vmedia", API_FLAG, &token_file, &config_dir])
            .arg(format!("--cmdline.path={}", directory.file("with-token").display()))
            .output()
            .unwrap();
        let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(all.len() > 20, "{command}: {all}");
        assert_hidden(TOKEN, &all);
    }
}

#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    root_test!();
    let site = Site::new();
    let mut command = site.node.command(binary());
    command.args(Daemon::words(&[API_FLAG]));
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take()); // As when journald is restarted.
    let web = testbed::http::Http::inside(&site.node, WEB.parse().unwrap());
    let sees = |address: &str| {
        let begun = std::time::Instant::now();
        let state = || web.get("/state", &[]).and_then(|answer| answer.json()).unwrap_or_default();
        while state()["address"] != address && begun.elapsed() < SOON {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        state()["address"] == address
    };
    let mut seen = sees(FIRST);
    site.change(FIRST, SECOND);
    seen &= sees(SECOND);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen);
}
