//! Which connects are redirected, and which go on as they are.

use std::net::TcpStream;
use std::sync::Arc;

use rustix::process::Signal;
use testbed::netns::Netns;

use super::*;

/// Whether a lookup now passes the guard.
fn passes(lab: &Lab) -> bool {
    let before = taken(&lab.daemon);
    assert_eq!(lab.lookup().status, 200);
    taken(&lab.daemon) > before
}

#[test]
fn a_connect_to_ironic_lands_at_the_guard_and_is_carried_to_what_was_dialled() {
    root_test!();
    let lab = Lab::new(&[]);
    let stream = lab.node.enter(|| TcpStream::connect(API).unwrap()).unwrap();
    assert_eq!(stream.peer_addr().unwrap().to_string(), GUARD);
    assert!(passes(&lab));
    let request = lab.ironic.requests().pop().unwrap();
    assert_eq!(request.header("host"), Some(API), "as it was sent");
    assert_eq!(request.target, format!("/v1/lookup?addresses={MAC}"));
    assert!(!lab.drop_in().contains("api_url"), "{}", lab.drop_in());
    let (status, words) = ready(&lab.daemon);
    assert_eq!(status, 200, "{words}");
    assert_names(words, &["the guard listens on 127.0.0.1:6385", "10.77.0.5"]);
}

/// A killed process releases its highest descriptor first, and the redirect must end before what is slow to end.
#[test]
fn its_links_have_the_highest_descriptors_of_all_links() {
    root_test!();
    let lab = Lab::new(&["--probe.connect=on"]);
    let mut kinds: Vec<(u32, String)> = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fdinfo", lab.daemon.pid())).unwrap() {
        let entry = entry.unwrap();
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let kind = info.lines().find_map(|line| line.strip_prefix("link_type:"));
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        kinds.extend(kind.map(|kind| (number, kind.trim().to_owned())));
    }
    kinds.sort();
    let redirect = kinds.iter().filter(|(_, kind)| kind == "cgroup").count();
    assert!(redirect == 2 && kinds.len() > 2, "{kinds:?}");
    assert!(kinds[kinds.len() - 2..].iter().all(|(_, kind)| kind == "cgroup"), "{kinds:?}");
}

#[test]
fn each_of_two_apis_gets_what_was_meant_for_it() {
    root_test!();
    let site = Site::new();
    site.conductor.ip("addr add 10.77.0.2/24 dev ironic").unwrap();
    site.conductor.ip("addr add fd77::1/64 dev ironic nodad").unwrap();
    site.node.ip(&format!("addr add fd77::5/64 dev {DEVICE} nodad")).unwrap();
    let apis = [API, "10.77.0.2:6385", "[fd77::1]:6385", "10.77.0.2:7000"];
    let others: Vec<_> =
        apis[1..].iter().map(|api| StandIn::start(site.listener(api), node_with_mac()).unwrap()).collect();
    let urls: Vec<_> = apis.iter().map(|api| format!("http://{api}")).collect();
    let lab = Lab::on(site, node_with_mac(), &[&format!("--ironic.api-url={}", urls.join(","))]);
    let all: Vec<_> = std::iter::once(&lab.ironic).chain(&others).collect();
    for (index, api) in apis.iter().enumerate() {
        let mut raw = Raw::connect(&lab.node, api);
        assert_eq!(raw.stream.peer_addr().unwrap().port(), 6385, "{api}");
        raw.send(get(&format!("/v1?n={index}")));
        assert!(raw.answer().0.starts_with("HTTP/1.1 200 "), "{api}");
    }
    for (index, ironic) in all.iter().enumerate() {
        let targets: Vec<_> = ironic.requests().into_iter().map(|request| request.target).collect();
        assert_eq!(targets, [format!("/v1?n={index}")], "{}", apis[index]);
    }
    assert_eq!(taken(&lab.daemon), 4);
    // An IPv4 address dialled by an IPv6 socket is the same address.
    let mut raw = Raw::connect(&lab.node, "[::ffff:10.77.0.2]:6385");
    raw.send(get("/v1?n=mapped"));
    assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    assert_eq!(others[0].requests().pop().unwrap().target, "/v1?n=mapped");
    assert_eq!(taken(&lab.daemon), 5);
}

#[test]
fn other_namespaces_and_our_own_connects_are_left_alone() {
    root_test!();
    let lab = Lab::new(&[]);
    // Another node with the same address of its Ironic.
    let (other, conductor) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
    other.join(DEVICE, &conductor, "ironic").unwrap();
    other.ip(&format!("addr add {SECOND}/24 dev {DEVICE}")).unwrap();
    conductor.ip("addr add 10.77.0.1/24 dev ironic").unwrap();
    let listener = conductor.enter(|| std::net::TcpListener::bind(API).unwrap()).unwrap();
    let foreign = StandIn::start(listener, node_with_mac()).unwrap();
    let mut raw = Raw::connect(&other, API);
    assert_eq!(raw.stream.peer_addr().unwrap().to_string(), API);
    raw.send(get("/v1"));
    assert!(raw.answer().0.starts_with("HTTP/1.1 200 "));
    assert_eq!((foreign.requests().len(), lab.ironic.requests().len()), (1, 0));
    assert_eq!(taken(&lab.daemon), 0);
    // Each own connection to Ironic goes there, and not to the guard again.
    assert!(passes(&lab));
    assert_eq!((taken(&lab.daemon), lab.ironic.connections()), (1, 1));
    // Another port of the same host, and UDP to the same port, are none of the guard's.
    let beside = lab.listener("10.77.0.1:80");
    let direct = lab.node.enter(|| TcpStream::connect("10.77.0.1:80").unwrap()).unwrap();
    assert_eq!(beside.accept().unwrap().1, direct.local_addr().unwrap());
    let udp = lab.node.enter(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect(API).unwrap();
        socket.peer_addr().unwrap()
    });
    assert_eq!(udp.unwrap().to_string(), API);
}

#[test]
fn a_client_that_is_bound_to_a_device_or_address_is_left_alone() {
    root_test!();
    let lab = Lab::new(&[]);
    let bound =
        lab.node.command("curl").args(["-s", "--interface", DEVICE, &format!("http://{API}/v1")]).output();
    let bound = bound.unwrap();
    assert!(bound.status.success(), "{bound:?}");
    assert_eq!((taken(&lab.daemon), lab.ironic.requests().len()), (0, 1));
}

/// The variables are those of IPA's unit; they exempt Ironic's network from the proxy, and not loopback.
#[test]
fn a_proxy_of_ipas_meets_nothing_of_the_guards() {
    root_test!();
    let lab = Lab::new(&[]);
    let proxy = lab.listener("10.77.0.1:3128");
    let curl = |exempt: &str| {
        let mut command = lab.node.command("curl");
        command.env("http_proxy", "http://10.77.0.1:3128").env("no_proxy", exempt);
        command.args(["-s", "--max-time", "2", &format!("http://{API}/v1")]).output().unwrap()
    };
    assert!(curl("10.77.0.1").status.success(), "it reaches Ironic through the guard");
    assert_eq!((taken(&lab.daemon), lab.ironic.requests().len()), (1, 1));
    // Where all goes to the proxy it goes there as without us.
    assert!(!curl("").status.success());
    assert!(proxy.accept().is_ok());
    assert_eq!((taken(&lab.daemon), lab.ironic.requests().len()), (1, 1));
    assert!(!lab.drop_in().contains("127.0.0.1"), "{}", lab.drop_in());
}

#[test]
fn a_stopped_guard_is_passed_by_and_taken_again() {
    root_test!();
    let lab = Lab::new(&[]);
    assert!(passes(&lab));
    signal(&lab.daemon, Signal::STOP);
    std::thread::sleep(Duration::from_millis(2300));
    let before = lab.ironic.connections();
    let stream = lab.node.enter(|| TcpStream::connect(API).unwrap()).unwrap();
    assert_eq!(stream.peer_addr().unwrap().to_string(), API);
    assert_eq!(lab.lookup().status, 200);
    assert!(lab.ironic.connections() > before);
    signal(&lab.daemon, Signal::CONT);
    let holds_again = || lab.node.enter(|| TcpStream::connect(API).unwrap().peer_addr().unwrap()).unwrap();
    wait_until(&lab.daemon, "the redirect again", SOON, || holds_again().to_string() == GUARD);
    assert!(passes(&lab));
}

#[test]
fn after_kill_9_the_next_connect_is_direct() {
    root_test!();
    let mut lab = Lab::new(&[]);
    assert!(passes(&lab));
    signal(&lab.daemon, Signal::KILL);
    lab.daemon.ended(SOON).unwrap();
    let stream = lab.node.enter(|| TcpStream::connect(API).unwrap()).unwrap();
    assert_eq!(stream.peer_addr().unwrap().to_string(), API);
    assert_eq!(lab.lookup().status, 200);
    assert!(lab.drop_in().contains("advertise_host = 10.77.0.5\n"));
}

#[test]
fn without_loopback_the_guard_steps_aside() {
    root_test!();
    let lab = Lab::new(&[]);
    lab.node.ip("link set lo down").unwrap();
    // A connect of the first moment is lost with loopback; its caller's time-out ends it.
    let (api, patience) = (API.parse().unwrap(), Duration::from_secs(2));
    let peer = || {
        let connect = || Some(TcpStream::connect_timeout(&api, patience).ok()?.peer_addr().ok()?.to_string());
        lab.node.enter(connect).unwrap()
    };
    let started = std::time::Instant::now();
    while peer().as_deref() != Some(API) {
        assert!(started.elapsed() < SOON, "{:?}", peer());
        std::thread::sleep(Duration::from_millis(50));
    }
    lab.node.ip("link set lo up").unwrap();
    wait_redirect(&lab.daemon);
    assert!(passes(&lab));
}

#[test]
fn a_refused_connection_is_a_refusal_and_no_failure_of_the_guard() {
    root_test!();
    let Lab { daemon, ironic, site } = Lab::new(&[]);
    drop(ironic);
    let error = site.http().get("/v1", &[]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    let ironic = site.ironic(node_with_mac());
    assert!(passes(&Lab { daemon, ironic, site }));
}
