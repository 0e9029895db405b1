//! Strings of others that would forge a line of the log, and clients of the pages that speak no HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use testbed::stand_in::{Fault, Path};

use super::*;

const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z ERROR forged line\r\n\x1b[2J\x1b]0;title\x07";

#[test]
fn errors_of_ironic_forge_no_line() {
    root_test!();
    let site = Site::new();
    let ironic = site.ironic(fast());
    ironic.push_fault(Path::Lookup, Fault::Error(503, FORGED.to_owned()));
    ironic.push_fault(Path::Lookup, Fault::Status(502, FORGED.to_owned()));
    let node = format!(r#"{{"node": {{"uuid": {}}}, "config": {{}}}}"#, serde_json::Value::from(FORGED));
    ironic.push_fault(Path::Lookup, Fault::Status(200, node));
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, FORGED.to_owned()));
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, Duration::from_secs(90));
    assert_no_forgery(&daemon.log());
    assert!(daemon.log().contains("forged"), "it is shown, escaped: {}", daemon.log());
    seen("shown escaped, on the line of its event");
}

#[test]
fn a_kernel_command_line_forges_no_line() {
    root_test!();
    let site = Site::new();
    let directory = Directory::new("forged-cmdline");
    // Blanks end a word, so the rest of the line cannot come along; what can is an escape sequence.
    let text = format!("ipa-api-url=http://\x1b[31mred,http://{API} ipa-advertise-port=\x1b[2J{FORGED}");
    directory.write("cmdline", text);
    let daemon = site.daemon_with(&directory.file("cmdline"), &[], &[]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_no_forgery(&daemon.log());
    assert!(daemon.log().contains("[31mred"), "{}", daemon.log());
    seen("shown escaped, on the line of its event");
}

#[test]
fn a_device_name_forges_no_line() {
    root_test!();
    let site = Site::bare();
    // The kernel takes any byte but blanks, / and : in a name.
    site.node.ip(&format!("link set {DEVICE} down")).unwrap();
    let ip = |words: &[&str]| assert!(site.node.command("ip").args(words).status().unwrap().success());
    ip(&["link", "set", DEVICE, "name", "e\x1b[31m\x07"]);
    ip(&["link", "set", "e\x1b[31m\x07", "up"]);
    ip(&["addr", "add", "10.77.0.5/24", "dev", "e\x1b[31m\x07"]);
    let daemon = site.daemon(&[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    assert_no_forgery(&daemon.log());
    let page = daemon.get("/").unwrap().text();
    assert!(!page.contains('\x1b') && !page.contains('\x07'), "{page:?}");
    let explained = site
        .node
        .command(binary())
        .args(["explain", "--no-vmedia", "--cmdline.path=/dev/null", API_FLAG])
        .output();
    let explained = String::from_utf8_lossy(&explained.unwrap().stdout).into_owned();
    assert!(explained.contains(FIRST) && !explained.contains('\x1b'), "{explained:?}");
    seen("escaped in the log, on the page and in explain");
}

#[cfg(feature = "ebpf")]
#[test]
fn a_process_name_forges_no_line() {
    root_test!();
    let (site, daemon) = Site::observed();
    if !testbed::have("attached probes", metric(&daemon, "probe_attached{probe=\"connect\"}") == 1.0) {
        return;
    }
    const NAME: &std::ffi::CStr = c"\x1b[2Jx\nERROR f";
    site.node
        .enter(|| {
            rustix::thread::set_name(NAME).unwrap();
            TcpStream::connect("10.77.0.1:1").unwrap_err();
        })
        .unwrap();
    daemon.wait_log("a connect failed", SOON).unwrap();
    assert_no_forgery(&daemon.log());
    let page = daemon.get("/").unwrap().text();
    assert!(!page.contains('\x1b'), "{page:?}");
    seen("escaped in the log and on the page");
}

#[test]
fn what_is_no_http_is_refused_and_the_pages_stay() {
    root_test!();
    let (site, daemon) = Site::observed();
    let before = (resident(daemon.pid()), open_files(&daemon));
    let many_lines = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1000));
    let requests: [&[u8]; 10] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // a TLS ClientHello
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        many_lines.as_bytes(),
    ];
    for request in requests {
        for _ in 0..20 {
            let mut stream = site.node.enter(|| TcpStream::connect(WEB).unwrap()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let _ = stream.write_all(request);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let text = String::from_utf8_lossy(&answer);
            let fine = answer.is_empty() || text.starts_with("HTTP/1.1 ") || text.starts_with("HTTP/1.0 ");
            assert!(fine, "{request:?}: {text}");
        }
    }
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    wait_until(&daemon, "closed files", SOON, || open_files(&daemon) <= before.1 + 1);
    let grown = resident(daemon.pid()).saturating_sub(before.0);
    assert!(grown < 4096, "grew by {grown} KiB");
    assert_no_forgery(&daemon.log());
    seen(format!("{} bad requests refused; memory grew by {grown} KiB", 20 * requests.len()));
}

/// Something that answers to everything with endless header lines.
#[test]
fn a_bomb_of_header_lines_is_not_read() {
    root_test!();
    let site = Site::new();
    let listener = site.listener(API);
    let bomb = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        let lines = b"X-Bomb: y\r\n".repeat(1000);
        let mut sent = 0;
        while sent < 64 << 20 && stream.write_all(&lines).is_ok() {
            sent += lines.len();
        }
        sent
    });
    let daemon = site.agent(&[WITHOUT_LISTENER]);
    let failed =
        |state: &serde_json::Value| state["agent"]["last_failure"].as_str().is_some_and(|f| !f.is_empty());
    let state = daemon.wait_state("the failure", LATER, failed).unwrap();
    let sent = bomb.join().unwrap();
    assert!(sent < 8 << 20, "{sent} bytes were taken");
    seen(format!("broken off: {}", state["agent"]["last_failure"].as_str().unwrap()));
}
