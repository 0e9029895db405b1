//! Everything that reads foreign bytes in a process of the daemon, each as the daemon calls it.

use callback_url::{ApiUrl, Context, Host, Local, judge, same_to_ironic};
use exporter::WebConfig;
use fib::datagram;
use ipa_sidecar::inside::{
    Answers, Asked, Btf, Chunk, Direction, Era, FlowId, Flows, HeartbeatBody, Image, Kind, LookupReply,
    PENDING, SightSeen, SightSource, Splitter, Step, Who, error_text, field, identify, parse_root, refusal,
};
use text::{Secret, foreign_text, printable, redact};

use crate::machine::Machine;

/// Reads a body once.
pub type Read = fn(&[u8]);

/// A reader.
pub struct Reader {
    pub name: &'static str,
    pub read: Read,
    /// What stands around the part that is repeated.
    pub around: &'static [(&'static [u8], &'static [u8])],
}

const PLAIN: (&[u8], &[u8]) = (b"", b"");

const fn reader(name: &'static str, read: Read, around: &'static [(&'static [u8], &'static [u8])]) -> Reader {
    Reader { name, read, around }
}

/// All of them.
pub const READERS: &[Reader] = &[
    reader("text of others", text_of_others, &[PLAIN]),
    reader("lookup answer", lookup, LOOKUPS),
    reader("versions answer", versions, &[PLAIN, (b"{\"default_version\":{\"version\":\"", b"\"}}"), OBJECT]),
    reader("error answer", error, ERRORS),
    reader("heartbeat, guard", heartbeat, HEARTBEATS),
    reader("requests, guard", requests::<16_384>, REQUESTS),
    reader("requests in 64 bytes", requests::<64>, REQUESTS),
    reader("answered requests", answered_requests::<16_384>, REQUESTS),
    reader("answers, guard", answers, ANSWERS),
    reader("requests, sight", sight_out::<65_536>, REQUESTS),
    reader("segments, sight", sight_out::<1448>, REQUESTS),
    reader("answers, sight", sight_in, ANSWERS),
    reader("callback URL", callback_url, &[PLAIN, (b"http://10.0.0.5:9999/", b""), (b"http://", b":9999")]),
    reader("API URL", api_url, &[PLAIN, (b"http://10.0.0.5:6385/", b""), (b"http://", b":6385")]),
    reader("command line", command_line, &[PLAIN, (b"ipa-api-url=", b""), (b"ipa-driver-name=", b"")]),
    reader("IPA's configuration", ipa_config, CONFIGURATIONS),
    reader("IPA's unit", unit, UNITS),
    reader("IPA's environment", environment_file, &[PLAIN, (b"A=\"", b"\"")]),
    reader("medium", medium, &[PLAIN]),
    reader("netlink", netlink, &[PLAIN]),
    reader("type information", type_information, &[PLAIN, (b"\x9f\xeb\x01\0\x18\0\0\0", b"")]),
    reader("tracepoint format", tracepoint, &[PLAIN, (b"format:\n\tfield:", b"\n")]),
    reader("web configuration", web_config, &[PLAIN, (b"basic_auth_users:\n  ", b""), (b"a: [", b"]")]),
];

const OBJECT: (&[u8], &[u8]) = (b"{", b"\"z\":0}");

const LOOKUPS: &[(&[u8], &[u8])] = &[
    PLAIN,
    OBJECT,
    (b"{\"node\":{", b"\"uuid\":\"1be26c0b-03f2-4d2e-ae87-c02d7f33c123\"},\"config\":{\"heartbeat_timeout\":300}}"),
    (b"{\"node\":{\"uuid\":\"", b"\"},\"config\":{\"heartbeat_timeout\":300}}"),
    (
        b"{\"config\":{\"heartbeat_timeout\":300},\"node\":{\"uuid\":\"1be26c0b-03f2-4d2e-ae87-c02d7f33c123\",\
          \"driver_internal_info\":{\"agent_url\":\"",
        b"\"}}}",
    ),
    (
        b"{\"node\":{\"uuid\":\"1be26c0b-03f2-4d2e-ae87-c02d7f33c123\"},\"config\":{\"heartbeat_timeout\":300,\
          \"agent_token\":\"",
        b"\"}}",
    ),
    (
        b"{\"node\":{\"uuid\":\"1be26c0b-03f2-4d2e-ae87-c02d7f33c123\"},\"config\":{\"heartbeat_timeout\":",
        b"}}",
    ),
];

const ERRORS: &[(&[u8], &[u8])] = &[
    PLAIN,
    OBJECT,
    (b"{\"error_message\":\"", b"\"}"),
    (b"{\"error_message\":{\"faultstring\":\"", b"\"}}"),
    (b"{\"error_message\":\"{\\\"faultstring\\\":\\\"", b"\\\"}\"}"),
    (b"{\"error_message\":\"{", b"}\"}"),
];

const HEARTBEATS: &[(&[u8], &[u8])] = &[
    PLAIN,
    (b"{", b"\"callback_url\":\"http://127.0.0.1:9999\"}"),
    (b"{\"callback_url\":\"", b"\"}"),
    (b"{\"callback_url\":\"http://127.0.0.1:9999/", b"\"}"),
    (b"{\"callback_url\":\"http://127.0.0.1:9999\",\"agent_token\":\"", b"\"}"),
    (b"{\"callback_url\":\"http://127.0.0.1:9999\",\"x\":", b"}"),
];

const REQUESTS: &[(&[u8], &[u8])] = &[
    PLAIN,
    (b"GET /", b" HTTP/1.1\r\n\r\n"),
    (b"POST /v1/heartbeat/", b" HTTP/1.1\r\n\r\n"),
    (b"POST /v1/heartbeat/u HTTP/1.1\r\n", b"\r\n\r\n"),
    (b"POST /v1/heartbeat/u HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n{\"callback_url\":\"", b"\"}"),
    (b"POST /v1/heartbeat/u HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
];

const ANSWERS: &[(&[u8], &[u8])] = &[
    PLAIN,
    (b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n"),
    (b"HTTP/1.1 400 No\r\n\r\n{\"error_message\":\"", b"\"}"),
    (b"HTTP/1.1 400 No\r\nContent-Length: 1048576\r\n\r\n", b""),
];

const CONFIGURATIONS: &[(&[u8], &[u8])] = &[
    PLAIN,
    (b"[DEFAULT]\n", b""),
    (b"[DEFAULT]\napi_url = ", b""),
    (b"[DEFAULT]\nadvertise_host = 'x", b"'"),
    (b"[DEFAULT]\nx =", b""),
];

const UNITS: &[(&[u8], &[u8])] = &[
    PLAIN,
    (b"[Service]\n", b""),
    (b"[Service]\nExecStart=/usr/bin/ironic-python-agent ", b""),
    (b"[Service]\nExecStart=/usr/bin/podman run ", b" image"),
    (b"[Service]\nEnvironment=", b"\nExecStart=/usr/bin/ironic-python-agent\n"),
];

fn text_of_others(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let secret = Secret::new("s3cret".to_owned());
    let _ = foreign_text(&text, Some(&secret)).len() + printable(&text).len();
}

fn lookup(data: &[u8]) {
    if let Ok(reply) = LookupReply::parse(data) {
        let url = reply.agent_url.unwrap_or_default();
        let _ =
            (judge(&url, &Context::default()), foreign_text(&url, None), same_to_ironic(&url, "http://x"));
    }
}

fn versions(data: &[u8]) {
    let _ = parse_root(data);
}

fn error(data: &[u8]) {
    let text = error_text(data).unwrap_or_default();
    let _ = (refusal(400, &text), foreign_text(&text, None), redact(text.get(..65_536).unwrap_or_default()));
}

fn local() -> Context {
    let ip = std::net::IpAddr::from([172, 25, 134, 128]);
    let local = Local { assigned: vec![ip], decided: Some(Host::Ip(ip)), ..Local::default() };
    Context { local: Some(local), ..Context::default() }
}

fn heartbeat(data: &[u8]) {
    if let Some(read) = HeartbeatBody::read(data, Era::Current) {
        let _ = (judge(&read.url, &local()), foreign_text(&read.url, None));
        let _ = read.with_url("http://172.25.134.128:9999");
    }
}

fn requests<const PIECE: usize>(data: &[u8]) {
    let (mut splitter, mut answers, mut out) = (Splitter::default(), Answers::default(), Vec::new());
    for mut piece in data.chunks(PIECE) {
        out.clear();
        loop {
            match splitter.feed(&mut piece, &mut out) {
                Step::More => break,
                Step::Asked(asked) => expect(&mut splitter, &mut answers, asked),
                Step::Heartbeat(seen) => {
                    heartbeat(&seen.body);
                    expect(&mut splitter, &mut answers, seen.asked());
                    seen.put(None, &mut out);
                }
            }
        }
    }
    splitter.finish(&mut out);
}

/// As the guard does it: what is asked too often without an answer passes unread.
fn expect(splitter: &mut Splitter, answers: &mut Answers, asked: Asked) {
    if answers.open().count() < PENDING {
        answers.expect(asked);
    } else {
        splitter.give_up();
    }
}

/// A connection whose requests are all answered.
fn answered_requests<const PIECE: usize>(data: &[u8]) {
    let (mut splitter, mut out) = (Splitter::default(), Vec::new());
    for mut piece in data.chunks(PIECE) {
        out.clear();
        while !matches!(splitter.feed(&mut piece, &mut out), Step::More) {}
    }
}

fn asked(kind: Kind) -> Asked {
    Asked { kind, bodiless: false, upgrade: false, expects: false, host: None }
}

fn answers(data: &[u8]) {
    let mut answers = Answers::default();
    for _ in 0..32 {
        answers.expect(asked(Kind::Heartbeat(Era::Current, "u".to_owned())));
    }
    for answer in data.chunks(16_384).flat_map(|piece| answers.take(piece)) {
        let text = error_text(&answer.body).unwrap_or_default();
        let _ = (refusal(answer.status, &text), foreign_text(&text, None));
    }
    let _ = answers.finish();
}

fn chunk(direction: Direction, bytes: &[u8]) -> SightSeen {
    let flow = FlowId { source: SightSource::Http, id: 1 };
    let bytes = bytes.to_vec().into();
    let who = Who::default();
    SightSeen::Chunk(Chunk { flow, direction, who, remote: None, lost_before: false, bytes })
}

fn sight(pieces: impl Iterator<Item = SightSeen>) {
    let (mut flows, now) = (Flows::default(), std::time::Instant::now().into());
    for piece in pieces {
        for event in flows.take(&piece, now) {
            drop(event);
        }
    }
}

fn sight_out<const PIECE: usize>(data: &[u8]) {
    sight(data.chunks(PIECE).map(|piece| chunk(Direction::Out, piece)));
}

fn sight_in(data: &[u8]) {
    const ASKED: &[u8] = b"GET /v1/lookup HTTP/1.1\r\n\r\nPOST /v1/heartbeat/u HTTP/1.1\r\n\r\n";
    let asked = chunk(Direction::Out, &ASKED.repeat(16));
    sight(std::iter::once(asked).chain(data.chunks(65_536).map(|piece| chunk(Direction::In, piece))));
}

fn callback_url(data: &[u8]) {
    let Ok(url) = std::str::from_utf8(data) else { return }; // JSON has no other text.
    let _ = (judge(url, &local()), same_to_ironic(url, "http://x"), foreign_text(url, None));
}

fn api_url(data: &[u8]) {
    let _ = ApiUrl::parse(&String::from_utf8_lossy(data));
}

thread_local! {
    /// It goes with the thread of the test.
    static MACHINE: Machine = Machine::new();
}

fn command_line(data: &[u8]) {
    MACHINE.with(|machine| {
        machine.write("cmdline", data);
        let _ = machine.load(&[]);
        machine.write("cmdline", "quiet");
    });
}

fn ipa_config(data: &[u8]) {
    MACHINE.with(|machine| {
        machine.write("etc/ironic-python-agent.d/a.conf", data);
        let _ = machine.load(&[]);
        machine.write("etc/ironic-python-agent.d/a.conf", "");
    });
}

const UNIT: &str = "etc/systemd/system/ironic-python-agent.service";

fn unit(data: &[u8]) {
    MACHINE.with(|machine| {
        machine.write(UNIT, data);
        let _ = Image::of(&machine.root.file(""), None);
    });
}

fn environment_file(data: &[u8]) {
    let text = "[Service]\nEnvironmentFile=/env\nExecStart=/usr/bin/ironic-python-agent $A\n";
    MACHINE.with(|machine| {
        machine.write(UNIT, text);
        machine.write("env", data);
        let _ = Image::of(&machine.root.file(""), None);
    });
}

fn medium(data: &[u8]) {
    let _ = identify(|offset, length| {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(data.len());
        data[start..end].to_vec()
    });
}

fn netlink(data: &[u8]) {
    let _ = datagram::read(data);
}

fn type_information(data: &[u8]) {
    if let Ok(btf) = Btf::parse(data) {
        let _ = btf.member_offset("sock", &["__sk_common", "skc_net", "net"]);
    }
}

fn tracepoint(data: &[u8]) {
    let _ = field(&String::from_utf8_lossy(data), "saddr_v6");
}

fn web_config(data: &[u8]) {
    let _ = WebConfig::parse(&String::from_utf8_lossy(data));
}
