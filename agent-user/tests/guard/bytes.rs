//! What arrives on either side, byte for byte.

use super::upstream::Upstream;
use super::*;

const ANSWER: &str = "HTTP/1.1 202 Taken\r\nX-Zeta: 1\r\nx-alpha: one\r\nX-MiXeD-Case:  two\r\nX-Alpha: again\r\n\
                      Content-Type: text/x; odd=\"yes\"\r\nSet-Cookie: a=b\r\nX-Last: end\r\nContent-Length: 11\r\n\r\n\
                      \u{0}odd\tbody\r\n";

fn site() -> (Site, Upstream, Daemon) {
    let site = Site::new();
    let upstream = Upstream::start(site.listener(API), ANSWER);
    let daemon = site.guard(&[]);
    wait_drop_in(&daemon, FIRST, SOON);
    (site, upstream, daemon)
}

fn request(headers: &str, body: &str) -> String {
    format!(
        "POST {PREFIX}/v1/heartbeat/{NODE}?x=%41&y HTTP/1.1\r\nHost: 127.0.0.1:6385\r\n{headers}Content-Length: \
         {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn an_unrepaired_heartbeat_arrives_as_it_was_sent() {
    root_test!();
    let (site, upstream, daemon) = site();
    let body = "{ \"agent_version\" :\t\"1\\u0033.0.0\",\r\n \"callback_url\":\"http:\\/\\/10.77.0.1:1\", \"x\":[1.50,1e3],\
                \"callback_url\" : \"http://10.77.0.5:9999\"  }\n";
    let headers = "User-Agent: python-requests/2.32\r\nx-openstack-ironic-api-version: 1.68\r\nX-Repeated: \
                   one\r\nX-MiXeD: Value\r\nx-repeated: two\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\
                   Content-Type: application/json\r\nX-Openstack-Request-Id: req-1\r\n";
    let mut raw = site.sent(request(headers, body));
    let (head, answered) = raw.answer();
    // Repeated headers stand together, in their order.
    let expected = "HTTP/1.1 202 Taken\r\nX-Zeta: 1\r\nx-alpha: one\r\nX-Alpha: again\r\nX-MiXeD-Case: two\r\n\
                    Content-Type: text/x; odd=\"yes\"\r\nSet-Cookie: a=b\r\nX-Last: end\r\nContent-Length: 11\r\n\r\n";
    assert_eq!(head, expected);
    assert_eq!(answered, "\u{0}odd\tbody\r\n".as_bytes());
    let requests = upstream.requests();
    let expected = format!(
        "POST /v1/heartbeat/{NODE}?x=%41&y HTTP/1.1\r\nHost: 10.77.0.1:6385\r\nUser-Agent: \
         python-requests/2.32\r\nx-openstack-ironic-api-version: 1.68\r\nX-Repeated: one\r\nx-repeated: two\r\n\
         X-MiXeD: Value\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\nX-Openstack-Request-Id: \
         req-1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(requests, [expected], "{}", daemon.log());
}

#[test]
fn a_repair_touches_nothing_but_the_url() {
    root_test!();
    let (site, upstream, _daemon) = site();
    let body =
        "{ \"callback_url\" : \"http://10.77.0.5 uid 0:9999\" , \"agent_token\":\"\\u0074\",  \"x\" : 1.0 }";
    site.sent(request("", body)).answer();
    let request = upstream.requests().pop().unwrap();
    let (head, sent) = request.split_once("\r\n\r\n").unwrap();
    let repaired = body.replace(" uid 0", "");
    assert_eq!(sent, repaired);
    assert!(head.ends_with(&format!("Content-Length: {}", repaired.len())), "{head}");
}

#[test]
fn what_is_no_heartbeat_that_we_know_is_for_ironic_to_answer() {
    root_test!();
    let (site, upstream, _daemon) = site();
    for body in ["", "{", "[]", "{\"callback_url\": null}", "{\"callback_url\": 7, \"a\": NaN}"] {
        assert!(site.sent(request("", body)).answer().0.starts_with("HTTP/1.1 202 "), "{body}");
        let request = upstream.requests().pop().unwrap();
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    }
}

#[test]
fn errors_of_ironic_come_back_as_they_are() {
    root_test!();
    let (site, upstream, _daemon) = site();
    let error = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nX-Openstack-Request-Id: \
                 req-2\r\nContent-Length: 92\r\n\r\n{\"error_message\": \"{\\\"faultstring\\\": \\\"Detected change in \
                 ramdisk provided \\\\\\\"callback_url\\\\\\\"\\\"}\"}";
    let length = error.split_once("\r\n\r\n").unwrap().1.len();
    let error = error.replace("Content-Length: 92", &format!("Content-Length: {length}"));
    upstream.set_answer(error.clone());
    let (head, body) = site.sent(request("", "{\"callback_url\": \"http://10.77.0.5:9999\"}")).answer();
    assert_eq!(format!("{head}{}", String::from_utf8(body).unwrap()), error);
}
