//! A real Chromium without a screen, driven over a pipe (Chrome DevTools Protocol: JSON with a zero byte behind each).
//! All of it panics where the browser does not do what it is asked: it is for tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::missing_panics_doc)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::chromium;
use crate::netns::Netns;
use crate::site::Directory;

/// For whatever the browser is asked; it takes seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser reads and writes at descriptors 3 and 4.
const SCRIPT: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

const FLAGS: [&str; 2] = ["--disable-breakpad", "--remote-debugging-pipe"];

/// The browser with one page; ends with its owner.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    /// Removed after the browser has ended.
    _profile: Directory,
    session: String,
    sent: u64,
    /// What it sent without a request.
    pub events: Vec<Value>,
}

impl Browser {
    /// Starts it inside a namespace.
    pub fn start(netns: &Netns) -> Self {
        let profile = Directory::new("browser");
        let mut command = netns.command("sh");
        command.args(["-c", SCRIPT, "sh", "chromium"]).args(chromium::FLAGS).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("HOME", profile.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (commands, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let answers = read(output);
        let mut browser = Self {
            child,
            commands,
            answers,
            _profile: profile,
            session: String::new(),
            sent: 0,
            events: Vec::new(),
        };
        let targets = browser.ask("Target.getTargets", json!({}));
        let page =
            targets["targetInfos"].as_array().unwrap().iter().find(|one| one["type"] == "page").unwrap();
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        browser.session =
            browser.ask("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Asks one thing and waits for the answer.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut command = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = self.session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let answer = self.next(PATIENCE).unwrap_or_else(|| panic!("no answer to {method}"));
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn next(&mut self, limit: Duration) -> Option<Value> {
        let message = match self.answers.recv_timeout(limit) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended"),
        };
        if message["id"].is_null() {
            self.events.push(message.clone());
        }
        Some(message)
    }

    /// Waits until the page has loaded `times` times since the events were cleared.
    pub fn wait_loaded(&mut self, times: usize) {
        let began = Instant::now();
        let loads =
            |events: &[Value]| events.iter().filter(|one| one["method"] == "Page.loadEventFired").count();
        while loads(&self.events) < times {
            assert!(began.elapsed() < PATIENCE, "not loaded {times} times: {:#?}", self.events);
            self.next(Duration::from_millis(100));
        }
    }

    /// Shows a page and waits until it is there.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.wait_loaded(1);
    }

    /// The window, in CSS pixels, with the scripts of pages on or off and the wanted colours.
    pub fn look(&mut self, width: u32, height: u32, scripts: bool, scheme: &str) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", metrics);
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": !scripts}));
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.ask("Emulation.setEmulatedMedia", features);
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.ask("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The document as the browser understood it, as HTML.
    pub fn dom(&mut self) -> String {
        let root = self.ask("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
        self.ask("DOM.getOuterHTML", json!({"nodeId": root}))["outerHTML"].as_str().unwrap().to_owned()
    }

    /// Width of the content and of the window, in CSS pixels.
    pub fn widths(&mut self) -> (f64, f64) {
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        let width = |of: &str, name: &str| metrics[of][name].as_f64().unwrap();
        (width("cssContentSize", "width"), width("cssLayoutViewport", "clientWidth"))
    }

    /// The URLs that it asked for since the last [`Browser::open`].
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// What its console said: violations of the security policy, for example.
    pub fn complaints(&self) -> Vec<&Value> {
        let methods = ["Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"];
        self.events.iter().filter(|event| methods.iter().any(|method| event["method"] == *method)).collect()
    }

    /// A picture of the page from its top, at most `height` pixels high.
    pub fn picture(&mut self, height: f64, path: &Path) {
        let metrics = self.ask("Page.getLayoutMetrics", json!({}));
        let size = &metrics["cssContentSize"];
        let (width, whole) = (size["width"].as_f64().unwrap(), size["height"].as_f64().unwrap());
        let clip = json!({"x": 0, "y": 0, "width": width, "height": whole.min(height), "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let data = self.ask("Page.captureScreenshot", params)["data"].as_str().unwrap().to_owned();
        std::fs::write(path, STANDARD.decode(data).unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session.clear();
        let _ = self.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let began = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read(output: ChildStdout) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut message = Vec::new();
        while output.read_until(0, &mut message).is_ok_and(|length| length > 0) {
            message.pop();
            let Ok(value) = serde_json::from_slice(&message) else { return };
            if sender.send(value).is_err() {
                return;
            }
            message.clear();
        }
    });
    receiver
}
