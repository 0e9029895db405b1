//! Names resolve as the C library's getaddrinfo resolves them: one table of set-ups, each tried by both.

mod rows;
mod server;

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rows::Row;
use server::Server;
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::{Directory, program_with_etc, with_etc};

use crate::machine::Explained;

/// So many set-ups at a time; most of them wait.
const WORKERS: usize = 10;
/// The name for the child that asks the C library.
const NAME: &str = "GETADDRINFO_OF";

/// What one side found, and how long it took.
struct Found {
    addresses: BTreeSet<IpAddr>,
    took: Duration,
}

impl Found {
    fn shown(&self) -> String {
        let mut text: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        if text.is_empty() {
            text.push("none".to_owned());
        }
        format!("{} ({:.1} s)", text.join(" "), self.took.as_secs_f64())
    }
}

#[test]
fn names_resolve_as_the_c_library_resolves_them() {
    root_test!();
    let rows = rows::all();
    assert!(rows.len() >= 60, "{}", rows.len());
    let next = Mutex::new(rows.iter().enumerate());
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some((number, row)) = next.lock().unwrap().next() else { break };
                    let (library, ours) = both(row);
                    lines.lock().unwrap().push((number, library, ours));
                }
            });
        }
    });
    let mut lines = lines.into_inner().unwrap();
    lines.sort_unstable_by_key(|(number, ..)| *number);
    let mut wrong = Vec::new();
    println!("| Set-up | Name | getaddrinfo | ipa-sidecar | Equal |\n|---|---|---|---|---|");
    for (number, library, ours) in &lines {
        let row = &rows[*number];
        let verdict = match (library.addresses == ours.addresses, row.differs) {
            (true, None) => "yes".to_owned(),
            (false, Some(reason)) => format!("no: {reason}"),
            (is_equal, _) => {
                wrong.push(row.what);
                format!("equal: {is_equal}, and the row says otherwise")
            }
        };
        println!("| {} | {} | {} | {} | {verdict} |", row.what, row.name, library.shown(), ours.shown());
    }
    assert!(wrong.is_empty() && lines.len() == rows.len(), "{wrong:?}");
}

/// Both sides at the same time, in the same namespaces.
fn both(row: &Row) -> (Found, Found) {
    let netns = Netns::new().unwrap();
    netns.ip_lines(row.devices).unwrap();
    let etc = Directory::new("getaddrinfo");
    etc.write("nsswitch.conf", "hosts: files dns\n");
    etc.write("host.conf", if row.multi { "multi on\n" } else { "" });
    etc.write("hosts", &row.hosts);
    if let Some(text) = &row.resolv_conf {
        etc.write("resolv.conf", text);
    }
    let _servers: Vec<_> =
        row.servers.iter().map(|(address, rules)| Server::start(&netns, address, rules)).collect();
    std::thread::scope(|scope| {
        let library = scope.spawn(|| {
            library(plain(program_with_etc(&netns, etc.path(), std::env::current_exe().unwrap())), row)
        });
        let ours = ours(plain(with_etc(&netns, etc.path())), row);
        (library.join().unwrap(), ours)
    })
}

/// An IPv4-mapped address is reached over IPv4 and shown as such.
fn canonical(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// Without what could change the C library's mind.
fn plain(mut command: Command) -> Command {
    for name in ["RES_OPTIONS", "LOCALDOMAIN", "HOSTALIASES", "RESOLV_HOST_CONF", "RESOLV_MULTI"] {
        command.env_remove(name);
    }
    command
}

fn library(mut command: Command, row: &Row) -> Found {
    let test = "getaddrinfo::the_c_library_is_asked_by_a_child_of_its_own";
    let started = Instant::now();
    let output = command.args([test, "--exact", "--nocapture"]).env(NAME, row.name).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("asked"), "{}: {text}", row.what);
    let addresses = text.lines().filter_map(|line| canonical(line.strip_prefix("found ")?)).collect();
    Found { addresses, took: started.elapsed() }
}

/// std asks as Python's socket.getaddrinfo does for IPA: any family, streams, no flags.
#[test]
fn the_c_library_is_asked_by_a_child_of_its_own() {
    let Ok(name) = std::env::var(NAME) else { return };
    println!("\nasked");
    for address in (name.as_str(), 6385).to_socket_addrs().into_iter().flatten() {
        println!("found {}", address.ip());
    }
}

fn ours(command: Command, row: &Row) -> Found {
    let started = Instant::now();
    let url = format!("http://{}:6385", row.name);
    let explained = Explained::by(command, &["--ironic.api-url", &url]);
    let took = started.elapsed();
    let words = format!("{}{}", explained.answer, explained.stderr);
    for foreign in ["Name(", "Query", "DecodeError", "ProtoError"] {
        assert!(!words.contains(foreign), "{}: {words}", row.what);
    }
    assert!(!explained.stderr.contains("WARN"), "{}: {}", row.what, explained.stderr);
    let resolved = explained.answer["api_urls"][0]["resolved"].as_array();
    let ips = resolved.into_iter().flatten().filter_map(|one| canonical(one["ip"].as_str()?));
    Found { addresses: ips.collect(), took }
}
