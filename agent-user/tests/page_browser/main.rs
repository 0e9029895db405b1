#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]
//! The page for people in a real browser: healthy, broken and starting, with scripts and without, on a desk and on a
//! phone. `cargo xtask pages` keeps pictures.

mod browser;
#[path = "../guard_setup/mod.rs"]
mod guard_setup;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use browser::{Browser, is_here};
use guard_setup::*;
use serde_json::json;
use testbed::daemon::Daemon;
use testbed::needs_root;
use testbed::stand_in::StandIn;

const PAGE: &str = "http://127.0.0.1:10099/";
/// What others can put in front of us: it must stay text.
const HOSTILE_URL: &str = "https://<img src=x onerror=document.title='owned'>\u{202e}:9999";
const HOSTILE_PARAMETER: &str = "ftp://<script>document.title='owned'</script>";
const HOSTILE_DEVICE: &str = "<u>\"&'x";
const HOSTILE_NAME: &std::ffi::CStr = c"<s>&\"'</td>";

/// A scenario with its page open.
struct Scene {
    browser: Browser,
    daemon: Daemon,
    site: Site,
    _ironic: Option<StandIn>,
}

/// Something that answers as ironic-python-agent does, and keeps what connects, so that it is seen.
fn ipa(site: &Site) {
    let listener = site.node.enter(|| TcpListener::bind("0.0.0.0:9999").unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap_or(0);
            if head[..length].starts_with(b"GET /v1/status ") {
                let body = r#"{"started_at": 1.0, "version": "13.0.0"}"#;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            } else {
                kept.push(stream);
            }
        }
    });
}

/// IPA was looked up, Ironic took its heartbeat and has called back.
fn healthy() -> Scene {
    let site = Site::new("page-healthy");
    ipa(&site);
    let ironic = site.ironic(behaviour());
    let daemon = site.daemon(&[]);
    daemon.wait_address(Some(ADDRESS), SOON).unwrap();
    daemon.wait("the drop-in", SOON, || (!site.drop_in().is_empty()).then_some(())).unwrap();
    let lookup = site.lookup(PREFIX).json().unwrap();
    let token = lookup["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_eq!(site.heartbeat(URL, &token).status, 202);
    let mut call = site.server.enter(|| TcpStream::connect("10.77.0.2:9999").unwrap()).unwrap();
    call.write_all(b"GET /v1/commands/ ").unwrap();
    let called = |state: &serde_json::Value| state["probes"]["callback"]["connections"] != 0;
    daemon
        .wait_state("a call-back and IPA", SOON, |state| called(state) && state["ipa"]["up"] == true)
        .unwrap();
    let browser = Browser::start(&site.node, "healthy");
    Scene { browser, daemon, site, _ironic: Some(ironic) }
}

/// IPA's heartbeat is held; names, URLs and a process try to be markup.
fn broken() -> Scene {
    let site = Site::new("page-broken");
    let ironic = site.ironic(behaviour());
    site.node.join(HOSTILE_DEVICE, &site.server, "hostile").unwrap();
    site.node.ip(&format!("addr add 10.88.0.5/24 dev {HOSTILE_DEVICE}")).unwrap();
    let cmdline = site.directory.join("cmdline");
    std::fs::write(&cmdline, format!("ipa-advertise-protocol={HOSTILE_PARAMETER}")).unwrap();
    let urls =
        format!("--ironic.api-url=http://{API},http://10.88.0.9,http://198.51.100.1,http://nowhere.invalid");
    let mut command = site.node.command(SIDECAR);
    command.arg("run").args(Daemon::isolation().iter().filter(|flag| !flag.starts_with("--cmdline.path")));
    command.args(site.flags(&[&urls, &format!("--cmdline.path={}", cmdline.display())]));
    let daemon = Daemon::from_command(command, &site.node).unwrap();
    daemon.wait_address(Some(ADDRESS), SOON).unwrap();
    daemon.wait("the drop-in", SOON, || (!site.drop_in().is_empty()).then_some(())).unwrap();
    let lookup = site.lookup(PREFIX).json().unwrap();
    let token = lookup["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_eq!(site.heartbeat(HOSTILE_URL, &token).status, 409);
    let refused = || {
        rustix::thread::set_name(HOSTILE_NAME).unwrap();
        TcpStream::connect("127.0.0.1:1").unwrap_err();
    };
    site.node.enter(refused).unwrap();
    let seen = |state: &serde_json::Value| !state["probes"]["connect_failures"][0].is_null();
    let attached = |state: &serde_json::Value| state["probes"]["list"][0]["attached"] == true;
    daemon.wait_state("the connect", SOON, |state| seen(state) || !attached(state)).unwrap();
    let browser = Browser::start(&site.node, "broken");
    Scene { browser, daemon, site, _ironic: Some(ironic) }
}

/// Ironic takes the connection and says nothing.
fn starting(name: &str) -> Scene {
    let site = Site::new(name);
    let silent = site.listener(API);
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let daemon = Daemon::start(SIDECAR, &site.node, &["--mode=agent", API_FLAG]).unwrap();
    daemon.wait_state("a lookup", SOON, |state| state["agent"]["phase"] == "looking_up").unwrap();
    let browser = Browser::start(&site.node, name);
    Scene { browser, daemon, site, _ironic: None }
}

impl Scene {
    /// Opens the page in every way, checks what must hold in each, and keeps pictures where that is wanted.
    fn check(&mut self, name: &str, words: &[&str]) -> String {
        let mut dom = String::new();
        for (width, height, scripts, scheme) in [
            (1000, 800, true, "light"),
            (360, 740, true, "dark"),
            (320, 600, false, "light"),
            (1000, 800, false, "dark"),
        ] {
            self.browser.look(width, height, scripts, scheme);
            self.browser.open(PAGE);
            dom = self.browser.dom();
            for word in words {
                assert!(dom.contains(word), "{name} at {width}: {word:?} is missing in {dom}");
            }
            let (content, window) = self.browser.widths();
            assert!(content <= window, "{name}: {content} pixels wide in a window of {window}");
            let requests = self.browser.requests();
            // A browser looks for an icon by itself.
            let others = requests.iter().filter(|url| *url != PAGE && !url.ends_with("/favicon.ico"));
            assert_eq!(others.count(), 0, "{requests:?}");
            assert!(self.browser.complaints().is_empty(), "{:#?}", self.browser.complaints());
            let title = self.browser.evaluate("document.title");
            assert!(title.as_str().unwrap().ends_with(" - ipa-sidecar"), "{title}");
            if let Some(directory) = std::env::var_os("IPA_SIDECAR_PAGE_PICTURES").map(PathBuf::from) {
                let part = if width == 1000 { "" } else { "-phone" };
                let dark = if scheme == "dark" { "-dark" } else { "" };
                self.browser.picture(1000.0, &directory.join(format!("page-{name}{part}{dark}.png")));
            }
        }
        assert!(!self.daemon.log().contains("panicked"), "{}", self.daemon.log());
        dom
    }

    /// How many elements of a kind the browser sees.
    fn count(&mut self, selector: &str) -> u64 {
        self.browser
            .evaluate(&format!("document.querySelectorAll({}).length", json!(selector)))
            .as_u64()
            .unwrap()
    }
}

#[test]
fn a_healthy_node() {
    if !needs_root("a_healthy_node") || !is_here() {
        return;
    }
    let mut scene = healthy();
    let called = "Ironic calls this node back at http://10.77.0.2:9999, and did so ";
    let words =
        ["Healthy:", called, "advertise 10.77.0.2 on eth0.77", "version 13.0.0", "accepted", "masked_token"];
    scene.check("healthy", &words[..5]);
    assert_eq!(scene.count("h1"), 1);
    assert_eq!(scene.count("#state.good"), 1);
    assert_eq!(scene.count(".bad"), 0, "{}", scene.browser.dom());
    assert_eq!(scene.count("table:not(:has(th))"), 0, "a table without a heading");
    for link in ["/metrics", "/state", "/-/ready", "/-/healthy"] {
        assert_eq!(scene.count(&format!("a[href='{link}']")), 1, "{link}");
    }
    assert_eq!(scene.site.http().get(&format!("{PREFIX}/"), &[]).unwrap().status, 200);
}

#[test]
fn a_broken_node_and_hostile_texts() {
    if !needs_root("a_broken_node_and_hostile_texts") || !is_here() {
        return;
    }
    let mut scene = broken();
    let dom = scene.check(
        "broken",
        &[
            "Not ready:",
            "IPA's heartbeat is held",
            "Bad callback URLs seen",
            "no: the kernel has no route to it (ENETUNREACH) [no_route]",
            "nowhere.invalid",
            "Problems with parameters",
            "it contains a blank [whitespace]; ",
        ],
    );
    assert_eq!(scene.count("#state.bad"), 1);
    for element in ["script", "img", "u", "s", "[onerror]", "[style]"] {
        assert_eq!(scene.count(element), 0, "{element} in {dom}");
    }
    let text = scene.browser.evaluate("document.body.innerText");
    let text = text.as_str().unwrap();
    for hostile in ["<img src=x onerror=document.title='owned'>\\u{202e}", "<script>document", HOSTILE_DEVICE]
    {
        assert!(text.contains(hostile), "{hostile:?} is not shown: {text}");
    }
    if scene.daemon.state().unwrap()["probes"]["list"][0]["attached"] == true {
        assert!(text.contains("<s>&\\\"'</td>"), "{text}");
    }
}

#[test]
fn a_starting_node() {
    if !needs_root("a_starting_node") || !is_here() {
        return;
    }
    let mut scene = starting("page-starting");
    scene.check(
        "starting",
        &["Starting:", "the node is not looked up yet", "looking the node up", "No heartbeat seen."],
    );
    assert_eq!(scene.count("#state.wait"), 1);
}

/// Whoever reads further down is not thrown back to the top.
#[test]
fn it_loads_itself_again_and_stays_where_it_was() {
    if !needs_root("it_loads_itself_again_and_stays_where_it_was") || !is_here() {
        return;
    }
    let mut scene = starting("page-again");
    for scripts in [true, false] {
        scene.browser.look(360, 400, scripts, "light");
        scene.browser.open(PAGE);
        scene.browser.evaluate("window.scrollTo(0, 300)");
        assert_eq!(scene.browser.evaluate("window.scrollY"), 300);
        scene.browser.wait_loaded(2);
        let place = scene.browser.evaluate("window.scrollY").as_f64().unwrap();
        assert!((250.0..350.0).contains(&place), "scripts {scripts}: scrolled to {place}");
    }
}
