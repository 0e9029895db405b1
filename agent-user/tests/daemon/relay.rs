//! The relay of a real `ipa-fleet`: Prometheus is in a network that the node is not in.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use callback_url::Scheme;
use exporter::{Answer, ClientTls, Handler};
use hyper::Request;
use hyper::body::Incoming;
use ipa_fleet::inside::{Cidrs, OnResult, Relay, RelayResult, SidecarAccess};
use testbed::http::{Http, Response};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::*;
use text::Secret;

use crate::fleet::{Task, ramdisks};

/// Where the fleet serves its pages, in the network of Prometheus.
const PAGES: &str = "10.88.0.1:10100";
const SIDECAR: &str = "10.77.0.5:10099";

struct Pages(Relay);

impl Handler for Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        self.0.answer(request).await
    }
}

/// The relay, and Prometheus beside it.
struct Lab {
    prometheus: Arc<Netns>,
    counted: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    _task: Task,
}

impl Lab {
    fn new(site: &Site, allow: &str) -> Self {
        let prometheus = Arc::new(Netns::new().unwrap());
        prometheus.join("eth0", &site.conductor, "monitoring").unwrap();
        site.conductor.ip("addr add 10.88.0.1/24 dev monitoring").unwrap();
        prometheus.ip("addr add 10.88.0.2/24 dev eth0").unwrap();
        let counted: Arc<Mutex<BTreeMap<&str, usize>>> = Arc::default();
        let counting = Arc::clone(&counted);
        let on_result: OnResult<RelayResult> =
            Arc::new(move |result| *counting.lock().unwrap().entry(result.as_str()).or_default() += 1);
        let tls = ClientTls { wanted: false, cafile: None, certfile: None, keyfile: None, insecure: false };
        let password = Secret::new("pass-w0rd".to_owned());
        let access = SidecarAccess::new((Scheme::Http, 10099), tls, Some(("prometheus", &password))).unwrap();
        let known = ramdisks(FIRST);
        let relay = Relay::new(access, Cidrs::parse(allow).unwrap(), known.subscribe(), on_result);
        let task = Task::start(site, move || {
            let listener = exporter::bind(Some(PAGES.parse().unwrap()), 0).unwrap();
            exporter::serve_up_to(2 * 64, listener, "ipa-fleet", None, Pages(relay))
        });
        Self { prometheus, counted, _task: task }
    }

    /// What Prometheus gets within this time, in seconds.
    fn scrape(&self, seconds: &str) -> Response {
        let http = Http::inside(&self.prometheus, PAGES.parse().unwrap());
        let headers = [("X-Prometheus-Scrape-Timeout-Seconds", seconds)];
        http.get(&format!("/relay?node={NODE}"), &headers).unwrap()
    }

    fn counted(&self, result: RelayResult) -> usize {
        self.counted.lock().unwrap().get(result.as_str()).copied().unwrap_or_default()
    }
}

/// Writes an answer.
type Writes = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// In place of a sidecar: answers each connection with the next of these, and then takes no more.
struct Odd {
    heads: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Odd {
    fn start(site: &Site, answers: Vec<Writes>) -> Self {
        let listener = site.node.enter(|| TcpListener::bind(SIDECAR).unwrap()).unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&heads);
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                heard.lock().unwrap().push(head);
                answer(&mut stream);
            }
        });
        Self { heads, thread }
    }
}

fn text(answer: &'static str) -> Writes {
    Box::new(move |stream| drop(stream.write_all(answer.as_bytes())))
}

#[test]
fn prometheus_gets_the_metrics_of_a_node_that_it_cannot_reach() {
    root_test!();
    let site = Site::new();
    let daemon = site.daemon(&[API_FLAG, "--web.listen-address=0.0.0.0:10099"]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    let lab = Lab::new(&site, "10.77.0.0/24");
    let direct = || TcpStream::connect_timeout(&SIDECAR.parse().unwrap(), Duration::from_secs(1));
    assert!(lab.prometheus.enter(direct).unwrap().is_err(), "there is no way from Prometheus to the node");
    let answer = lab.scrape("10");
    assert_eq!((answer.status, lab.counted(RelayResult::Ok)), (200, 1));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.text().contains("\nipa_sidecar_advertise_address_valid 1\n"));
    drop(daemon);
    assert_eq!(lab.scrape("10").status, 502);
    assert_eq!(lab.counted(RelayResult::Unreachable), 1);
}

#[test]
fn nobody_outside_of_the_networks_is_asked() {
    root_test!();
    let site = Site::new();
    let listener = site.listen(SIDECAR);
    listener.set_nonblocking(true).unwrap();
    let lab = Lab::new(&site, "10.78.0.0/16,2001:db8::/32");
    assert_eq!((lab.scrape("10").status, lab.counted(RelayResult::NotAllowed)), (403, 1));
    assert!(listener.accept().is_err(), "no connection was made");
}

#[test]
fn nothing_but_metrics_comes_back_and_no_redirect_is_followed() {
    root_test!();
    let site = Site::new();
    let elsewhere = site.listener("10.77.0.1:8080");
    elsewhere.set_nonblocking(true).unwrap();
    let metrics = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\n";
    let cases = [
        (
            "HTTP/1.1 302 X\r\nLocation: http://10.77.0.1:8080/\r\nContent-Length: 0\r\n\r\n",
            RelayResult::Redirected,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx", RelayResult::NotMetrics),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", RelayResult::NotMetrics),
        (
            "HTTP/1.1 404 X\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 0\r\n\r\n",
            RelayResult::Refused,
        ),
        ("HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", RelayResult::Refused),
        ("SSH-2.0-x\r\n", RelayResult::NotMetrics),
        ("", RelayResult::Unreachable),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 9\r\n\r\nx",
            RelayResult::Unreachable,
        ),
    ];
    let mut answers: Vec<_> = cases.iter().map(|(answer, _)| text(answer)).collect();
    answers.push(Box::new(move |stream| drop(stream.write_all(&[metrics.as_bytes(), &[0xff; 4]].concat()))));
    answers.push(Box::new(move |stream| drop(stream.write_all(&[metrics.as_bytes(), b"a 1\n"].concat()))));
    let odd = Odd::start(&site, answers);
    let lab = Lab::new(&site, "10.77.0.0/24");
    let mut expected = BTreeMap::new();
    for result in cases.iter().map(|(_, result)| *result).chain([RelayResult::NotMetrics]) {
        *expected.entry(result.as_str()).or_default() += 1;
        let answer = lab.scrape("5");
        assert_eq!(answer.status, 502, "{}", result.as_str());
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let good = lab.scrape("5");
    assert_eq!((good.status, good.text().as_str(), good.header("set-cookie")), (200, "a 1\n", None));
    *expected.entry("ok").or_default() += 1;
    assert_eq!(*lab.counted.lock().unwrap(), expected);
    assert!(elsewhere.accept().is_err(), "the redirect was not followed");
    odd.thread.join().unwrap();
    for head in odd.heads.lock().unwrap().iter() {
        assert!(head.starts_with("GET /metrics HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Basic cHJvbWV0aGV1czpwYXNzLXcwcmQ=\r\n"), "{head}");
    }
}

#[test]
fn slow_and_endless_answers_are_given_up_in_the_scrapers_time() {
    root_test!();
    let site = Site::new();
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
    let written = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&written);
    let odd = Odd::start(
        &site,
        vec![
            Box::new(|_| std::thread::sleep(Duration::from_secs(2))),
            Box::new(|stream| {
                let _ = stream.write_all(format!("{HEAD}Content-Length: 1000\r\n\r\n").as_bytes());
                while stream.write_all(b"a").is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }),
            Box::new(move |stream| {
                let _ = stream.write_all(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
                let chunk = format!("10000\r\n{}\r\n", "a 1\n".repeat(1 << 14));
                while stream.write_all(chunk.as_bytes()).is_ok() {
                    counting.fetch_add(chunk.len(), Ordering::SeqCst);
                }
            }),
        ],
    );
    let lab = Lab::new(&site, "10.77.0.0/24");
    for _ in 0..2 {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| lab.scrape("1.5"));
            std::thread::sleep(Duration::from_millis(400));
            assert_eq!(lab.scrape("1.5").status, 503, "one at a time for a node");
            assert_eq!(first.join().unwrap().status, 504);
        });
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    assert_eq!(lab.scrape("10").status, 502);
    assert_eq!(lab.counted(RelayResult::TooLarge), 1);
    odd.thread.join().unwrap();
    assert!(written.load(Ordering::SeqCst) < 16 << 20, "it was not read to its end, which it has not");
}
