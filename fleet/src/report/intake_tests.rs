use std::collections::BTreeMap;
use std::net::SocketAddr;

use testbed::site::Directory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::ramdisks::Ramdisk;

const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
const HERE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

struct Lab {
    address: SocketAddr,
    words: watch::Sender<LastWords>,
    counted: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    task: JoinHandle<()>,
    _ramdisks: watch::Sender<Arc<Ramdisks>>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lab {
    /// Reports are taken from 127.0.0.1 to .3; the node is at .1.
    async fn new(token_file: Option<std::path::PathBuf>) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let allow = Cidrs::parse("127.0.0.1,127.0.0.2/31").unwrap();
        let parameters =
            ReportParameters { listen_address: Some(free), allow, token_file, config_file: None };
        let node = Ramdisk { uuid: NODE.to_owned(), claimed: Some(IpAddr::from(HERE)), suggested: None };
        let ramdisks = watch::Sender::new(Arc::new([node].into_iter().collect::<Ramdisks>()));
        let words = watch::Sender::new(LastWords::default());
        let counted: Arc<Mutex<BTreeMap<&str, usize>>> = Arc::default();
        let counting = Arc::clone(&counted);
        let on_result: OnResult<ReportsResult> =
            Arc::new(move |result| *counting.lock().unwrap().entry(result.as_str()).or_default() += 1);
        let serving = listen(&parameters, ramdisks.subscribe(), words.clone(), on_result).unwrap().unwrap();
        Self { address: free, words, counted, task: tokio::spawn(serving), _ramdisks: ramdisks }
    }

    fn counted(&self, result: ReportsResult) -> usize {
        self.counted.lock().unwrap().get(result.as_str()).copied().unwrap_or_default()
    }

    async fn connect(&self, from: [u8; 4]) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// The status of a request on a connection of its own.
    async fn ask(&self, from: [u8; 4], request: &str) -> u16 {
        let mut stream = self.connect(from).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        status(&mut stream).await
    }
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(length @ 1..) => answer.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn report(uuid: &str) -> String {
    format!(r#"{{"report": {{"node_uuid": "{uuid}"}}, "agent_token": "s3cret", "callback_url": "x"}}"#)
}

fn post(body: &str, headers: &str) -> String {
    let length = body.len();
    format!("POST /v1/report HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn who_may_report_what_is_kept_and_others_get_the_reason() {
    let lab = Lab::new(None).await;
    for (from, request, expected) in [
        (OTHER, post(&report(NODE), ""), 202),
        (HERE, post(&report(NODE), ""), 202),
        (HERE, post(&report("00000000-0000-0000-0000-000000000000"), ""), 404),
        (HERE, post("no json", ""), 400),
        ([127, 0, 0, 9], post(&report(NODE), ""), 403),
        (OTHER, "GET /v1/report HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 405),
        (OTHER, "POST /v1/nodes HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(), 404),
    ] {
        assert_eq!(lab.ask(from, &request).await, expected, "{request}");
    }
    let kept = lab.words.borrow().of(NODE).cloned().unwrap();
    let (own, [unverified]) = (kept.own.unwrap(), kept.unverified.as_slice()) else { panic!("one of each") };
    assert_eq!((own.from, unverified.from), (IpAddr::from(HERE), IpAddr::from(OTHER)));
    assert!(!own.text.contains("s3cret") && own.text.contains("callback_url"), "{}", own.text);
    assert!(lab.words.borrow().heard_within(NODE, Duration::from_secs(120)));
    for result in [
        ReportsResult::Accepted,
        ReportsResult::Unverified,
        ReportsResult::UnknownNode,
        ReportsResult::Unreadable,
        ReportsResult::NotAllowed,
    ] {
        assert_eq!(lab.counted(result), 1, "{}", result.as_str());
    }
}

/// A node that another one names is not heard by that, and keeps its own words.
#[tokio::test]
async fn a_report_that_lies_about_its_node_is_unverified() {
    let lab = Lab::new(None).await;
    assert_eq!(lab.ask(OTHER, &post(&report(NODE), "X-Forwarded-For: 127.0.0.1\r\n")).await, 202);
    let words = lab.words.borrow().of(NODE).cloned().unwrap();
    assert!(words.own.is_none() && words.unverified.len() == 1);
    assert!(!lab.words.borrow().heard_within(NODE, Duration::from_secs(120)));
}

#[tokio::test]
async fn without_the_secret_nothing_is_read() {
    let directory = Directory::new("intake");
    directory.write("secret", "of-the-fleet\n");
    let lab = Lab::new(Some(directory.file("secret"))).await;
    for (headers, expected) in [
        ("", 401),
        ("Authorization: Bearer of-the-flee\r\n", 401),
        ("Authorization: Basic of-the-fleet\r\n", 401),
        ("Authorization: Bearer of-the-fleet\r\n", 202),
    ] {
        assert_eq!(lab.ask(HERE, &post(&report(NODE), headers)).await, expected, "{headers}");
    }
    let wrong = |content: &str| {
        directory.write("wrong", content);
        secret(&directory.file("wrong")).err().unwrap().to_string()
    };
    assert!(
        wrong("two words\n").contains("its first line must be a token")
            && !wrong("two words").contains("two words")
    );
}

/// 5,000 at once stand for 100,000 a minute: the flood takes what one source may, and a node beside it gets in.
#[tokio::test]
async fn a_flood_from_one_address_is_refused_and_others_get_in() {
    let lab = Lab::new(None).await;
    let request = post(&report(NODE), "");
    let flood = async {
        let began = Instant::now();
        for _ in 0..2500 {
            let status = lab.ask(OTHER, &request).await;
            assert!([202, 429].contains(&status), "{status}");
        }
        began.elapsed()
    };
    let node = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(lab.ask(HERE, &request).await, 202);
        }
    };
    let (took, ()) = tokio::join!(flood, node);
    let taken = lab.counted(ReportsResult::Unverified);
    assert!(taken <= 9 + usize::try_from(took.as_millis() / 500).unwrap(), "{taken} in {took:?}");
    assert_eq!(lab.counted(ReportsResult::TooMany) + taken, 2500);
    assert_eq!(lab.counted(ReportsResult::Accepted), 5);
}

#[tokio::test]
async fn slow_and_endless_bodies_are_given_up() {
    let lab = Lab::new(None).await;
    let head = "POST /v1/report HTTP/1.1\r\nHost: x\r\n";
    // So long a body is not even begun.
    let huge = format!("{head}Content-Length: 65537\r\n\r\n");
    assert_eq!(lab.ask(HERE, &huge).await, 413);
    let mut endless = lab.connect(HERE).await;
    endless.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for _ in 0..64 {
        if endless.write_all(chunk.as_bytes()).await.is_err() {
            break; // It was closed.
        }
    }
    assert!([413, 0].contains(&status(&mut endless).await)); // 0: its end has overtaken the answer.
    let mut slow = lab.connect(HERE).await;
    slow.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
    let began = Instant::now();
    assert_eq!(status(&mut slow).await, 408);
    assert!(began.elapsed() < BODY_TIME * 2, "{:?}", began.elapsed());
    assert_eq!((lab.counted(ReportsResult::TooLarge), lab.counted(ReportsResult::Slow)), (2, 1));
    assert!(lab.words.borrow().of(NODE).is_none());
}

#[test]
fn off_by_default_and_files_that_cannot_be_used_are_errors() {
    let begin = |parameters: &ReportParameters| {
        let (ramdisks, words) = (watch::channel(Arc::default()).1, watch::Sender::default());
        listen(parameters, ramdisks, words, Arc::new(|_| ())).map(|serving| serving.is_some())
    };
    assert!(!begin(&ReportParameters::default()).unwrap());
    let listen_address = Some("127.0.0.1:1".parse().unwrap());
    let token_file = Some("/nowhere/secret".into());
    let error =
        begin(&ReportParameters { listen_address, token_file, ..ReportParameters::default() }).unwrap_err();
    assert!(error.to_string().starts_with("--report.token-file \"/nowhere/secret\""), "{error}");
}
