//! The page for people in a real browser: healthy, broken and starting, with scripts and without, on a desk and on a
//! phone. `cargo xtask pages` keeps pictures.

use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::json;
use testbed::browser::Browser;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;
use testbed::stand_in::{Fault, Path, StandIn};

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
    _others: Option<(StandIn, Option<FakeIpa>)>,
}

/// IPA was looked up, Ironic took its heartbeat and has called back.
fn healthy() -> Scene {
    let site = Site::new();
    let ipa = FakeIpa::start(&site.node, "0.0.0.0:9999");
    let ironic = site.ironic(node_with_mac());
    let daemon = site.guard(&[]);
    wait_drop_in(&daemon, FIRST, SOON);
    wait_redirect(&daemon);
    let token = token(&site.lookup());
    assert_eq!(site.heartbeat(FIRST_URL, &token).status, 202);
    let mut call = site.conductor.enter(|| TcpStream::connect("10.77.0.5:9999").unwrap()).unwrap();
    call.write_all(b"GET /v1/commands/ ").unwrap();
    let called = |state: &serde_json::Value| state["probes"]["callback"]["connections"] != 0;
    daemon
        .wait_state("a call-back and IPA", SOON, |state| called(state) && state["ipa"]["up"] == true)
        .unwrap();
    let browser = Browser::start(&site.node);
    Scene { browser, daemon, site, _others: Some((ironic, Some(ipa))) }
}

/// IPA's heartbeat is refused; names, URLs and a process try to be markup.
fn broken() -> Scene {
    let site = Site::new();
    let ironic = site.ironic(node_with_mac());
    site.node.join(HOSTILE_DEVICE, &site.conductor, "hostile").unwrap();
    site.node.ip(&format!("addr add 10.88.0.5/24 dev {HOSTILE_DEVICE}")).unwrap();
    let parameter = format!("ipa-advertise-protocol={HOSTILE_PARAMETER}");
    let cmdline = site.directory.flag("--cmdline.path", "cmdline", &parameter);
    let urls =
        format!("--ironic.api-url=http://{API},http://10.88.0.9,http://198.51.100.1,http://nowhere.invalid");
    let daemon = site.guard(&[&urls, &cmdline]);
    wait_drop_in(&daemon, FIRST, SOON);
    let token = token(&site.lookup());
    wait_redirect(&daemon);
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, HOSTILE_URL.to_owned()));
    assert_eq!(site.heartbeat(HOSTILE_URL, &token).status, 400);
    let refused = || {
        rustix::thread::set_name(HOSTILE_NAME).unwrap();
        TcpStream::connect("127.0.0.1:1").unwrap_err();
    };
    site.node.enter(refused).unwrap();
    let seen = |state: &serde_json::Value| !state["probes"]["connect_failures"][0].is_null();
    let attached = |state: &serde_json::Value| state["probes"]["list"][0]["attached"] == true;
    daemon.wait_state("the connect", SOON, |state| seen(state) || !attached(state)).unwrap();
    let browser = Browser::start(&site.node);
    Scene { browser, daemon, site, _others: Some((ironic, None)) }
}

/// Ironic takes the connection and says nothing.
fn starting() -> Scene {
    let site = Site::new();
    let silent = site.listener(API);
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let daemon = site.agent(&[]);
    wait_phase(&daemon, "looking_up");
    let browser = Browser::start(&site.node);
    Scene { browser, daemon, site, _others: None }
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
#[cfg_attr(not(feature = "ebpf"), ignore = "the guard needs the eBPF programs")]
fn a_healthy_node() {
    root_test!("chromium");
    let mut scene = healthy();
    let called = "Ironic calls this node back at http://10.77.0.5:9999, and did so ";
    let words =
        ["Healthy:", called, "advertise 10.77.0.5 on eth0.77", "version 13.0.0", "accepted", "masked_token"];
    scene.check("healthy", &words[..5]);
    assert_eq!(scene.count("h1"), 1);
    assert_eq!(scene.count("#state.good"), 1);
    assert_eq!(scene.count(".bad"), 0, "{}", scene.browser.dom());
    assert_eq!(scene.count("table:not(:has(th))"), 0, "a table without a heading");
    for link in ["/metrics", "/state", "/-/ready", "/-/healthy"] {
        assert_eq!(scene.count(&format!("a[href='{link}']")), 1, "{link}");
    }
    assert_eq!(scene.site.http().get("/", &[]).unwrap().status, 200);
}

#[test]
#[cfg_attr(not(feature = "ebpf"), ignore = "the guard needs the eBPF programs")]
fn a_broken_node_and_hostile_texts() {
    root_test!("chromium");
    let mut scene = broken();
    let dom = scene.check(
        "broken",
        &[
            "Not ready:",
            "Ironic refused the heartbeat",
            "Bad callback URLs seen",
            "no: the kernel has no route to it (ENETUNREACH) [no_route]",
            "nowhere.invalid",
            "Problems",
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
    root_test!("chromium");
    let mut scene = starting();
    scene.check(
        "starting",
        &["Starting:", "the node is not looked up yet", "looking the node up", "No heartbeat seen."],
    );
    assert_eq!(scene.count("#state.wait"), 1);
}

/// Whoever reads further down is not thrown back to the top.
#[test]
fn it_loads_itself_again_and_stays_where_it_was() {
    root_test!("chromium");
    let mut scene = starting();
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
