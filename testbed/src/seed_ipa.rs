//! A stand-in for ironic-python-agent 1.5.2, the one of the seed: it takes its address from what `ip route get` prints,
//! and advertises whatever that gives. Nothing runs by itself: one call, one request.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::http::{Http, Response};
use crate::ironic::VERSION_HEADER;
use crate::netns::Netns;

/// The version that it claims to be.
pub const VERSION: &str = "1.5.2";
/// The port of a URL that has none.
const HTTP_PORT: u16 = 80;
/// Minor API versions of ironic_python_agent/ironic_api_client.py: taken where the server does not tell its own; the
/// newest for a lookup; the newest for a heartbeat.
const UNKNOWN_MINOR: u16 = 31;
const LOOKUP_MINOR: u16 = 62;
const HEARTBEAT_MINOR: u16 = 68;

/// How it speaks to Ironic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/v1/lookup` and `/v1/heartbeat/<uuid>` with versions and token, as later versions do: a present Ironic answers.
    Modern,
    /// The vendor passthru of Mitaka.
    Passthru {
        /// The driver in the path of the lookup, `ipa-driver-name` on the kernel command line: `agent_ipmitool`.
        driver: String,
    },
}

/// How it is set up.
#[derive(Clone, Debug)]
pub struct SeedOptions {
    /// Where it runs.
    pub netns: Arc<Netns>,
    /// `http` URLs of the API. The next one is tried where no answer came; any status is final.
    pub api_urls: Vec<String>,
    /// The MACs that it looks up.
    pub macs: Vec<String>,
    /// `advertise_host`, as from a configuration file: nothing else is asked then.
    pub advertise_host: Option<String>,
    /// `advertise_port`.
    pub advertise_port: u16,
    /// How it speaks.
    pub dialect: Dialect,
}

impl SeedOptions {
    /// One API URL, the testbed's usual MAC, port 9999, the modern dialect.
    pub fn new(netns: &Arc<Netns>, api_url: impl Into<String>) -> Self {
        Self {
            netns: Arc::clone(netns),
            api_urls: vec![api_url.into()],
            macs: vec!["52:54:00:aa:00:01".to_owned()],
            advertise_host: None,
            advertise_port: 9999,
            dialect: Dialect::Modern,
        }
    }
}

/// The agent. Like the real one it decides once on its address.
#[derive(Debug)]
pub struct SeedIpa {
    options: SeedOptions,
    /// What the server offers, once it has answered.
    server_minor: Option<u16>,
    /// Its UUID and token, once looked up.
    node: Option<(String, Option<String>)>,
    address: Option<String>,
}

impl SeedIpa {
    /// One that has not asked anything yet.
    pub fn new(options: SeedOptions) -> Self {
        Self { options, server_minor: None, node: None, address: None }
    }

    /// The lookup: status and body. After status 200 it knows its node and its token.
    ///
    /// # Errors
    /// Where no API URL gives an answer, or a 200 that holds no node.
    pub fn lookup(&mut self) -> io::Result<(u16, String)> {
        let answer = match self.options.dialect.clone() {
            Dialect::Modern => {
                let path = format!("/v1/lookup?addresses={}", self.options.macs.join(","));
                let version = self.version(LOOKUP_MINOR);
                let headers = [(VERSION_HEADER, version.as_str()), ("Accept", "application/json")];
                self.ask(|http| http.get(&path, &headers))?
            }
            Dialect::Passthru { driver } => {
                let named = self.options.macs.iter().enumerate();
                let interfaces: Vec<_> =
                    named.map(|(n, mac)| json!({"name": format!("eth{n}"), "mac_address": mac})).collect();
                let body = json!({"version": "2", "inventory": {"interfaces": interfaces}});
                let path = format!("/v1/drivers/{driver}/vendor_passthru/lookup");
                self.ask(|http| http.post(&path, &[], &body))?
            }
        };
        if answer.status == 200 {
            let reply = answer.json()?;
            let text = |pointer| reply.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let uuid = text("/node/uuid").ok_or_else(|| {
                let start: String = answer.text().chars().take(200).collect();
                io::Error::other(format!("a lookup reply without a node: {start:?}"))
            })?;
            self.node = Some((uuid, text("/config/agent_token"))); // Mitaka had no tokens.
        }
        Ok((answer.status, answer.text()))
    }

    /// The host that it advertises: `advertise_host`, else what it makes of the output of `ip route get`.
    ///
    /// # Errors
    /// Where `ip` fails or its output has no `src`: the real one then ends its heartbeat thread, and is silent.
    pub fn advertised_host(&mut self) -> io::Result<String> {
        if let Some(host) = &self.address {
            return Ok(host.clone());
        }
        let host = match &self.options.advertise_host {
            Some(host) => host.clone(),
            None => {
                let url = self.options.api_urls.first();
                let url = url.ok_or_else(|| io::Error::other("no API URL"))?;
                let output = self.options.netns.ip(&format!("route get {}", address_of(url)?.ip()))?;
                source(&output).ok_or_else(|| {
                    io::Error::other(format!("Agent could not find a valid IP address in {output:?}"))
                })?
            }
        };
        self.address = Some(host.clone());
        Ok(host)
    }

    /// The URL that it advertises: no brackets for IPv6, nothing checked, nothing escaped.
    ///
    /// # Errors
    /// As [`SeedIpa::advertised_host`].
    pub fn advertised_url(&mut self) -> io::Result<String> {
        let host = self.advertised_host()?;
        Ok(format!("http://{host}:{}", self.options.advertise_port))
    }

    /// One heartbeat: status and body. The first one does what is still missing: the lookup, then the address.
    ///
    /// # Errors
    /// As [`SeedIpa::lookup`] and [`SeedIpa::advertised_host`], and where the lookup was refused.
    pub fn beat(&mut self) -> io::Result<(u16, String)> {
        if self.node.is_none() {
            let (status, body) = self.lookup()?;
            if status != 200 {
                return Err(io::Error::other(format!("lookup answered {status}: {body:?}")));
            }
        }
        let (uuid, token) = self.node.clone().unwrap_or_default();
        let url = self.advertised_url()?;
        let answer = match &self.options.dialect {
            Dialect::Modern => {
                let path = format!("/v1/heartbeat/{uuid}");
                let version = self.version(HEARTBEAT_MINOR);
                let mut body = json!({"callback_url": url, "agent_version": VERSION});
                if let (Some(token), Some(map)) = (token, body.as_object_mut()) {
                    map.insert("agent_token".to_owned(), Value::String(token));
                }
                self.ask(|http| http.post(&path, &[(VERSION_HEADER, &version)], &body))?
            }
            Dialect::Passthru { .. } => {
                let path = format!("/v1/nodes/{uuid}/vendor_passthru/heartbeat");
                self.ask(|http| http.post(&path, &[], &json!({"agent_url": url})))?
            }
        };
        Ok((answer.status, answer.text()))
    }

    /// Goes on as another process with a given address: keeps node and token, as no real one could.
    pub fn set_advertise_host(&mut self, host: impl Into<String>) {
        self.address = Some(host.into());
    }

    /// The version to ask for: the server's, up to `newest`.
    fn version(&mut self, newest: u16) -> String {
        if self.server_minor.is_none() {
            let answered = self.ask(|http| http.get("/", &[]));
            self.server_minor = answered.ok().and_then(|answer| server_minor(&answer));
        }
        let minor = self.server_minor.unwrap_or(UNKNOWN_MINOR).min(newest);
        format!("1.{minor}")
    }

    /// The first answer of the API URLs; the URL that gave it comes first from then on.
    fn ask(&mut self, exchange: impl Fn(&Http) -> io::Result<Response>) -> io::Result<Response> {
        let mut last = io::Error::other("no API URL");
        for (at, url) in self.options.api_urls.iter().enumerate() {
            let http = Http::inside(&self.options.netns, address_of(url)?);
            match exchange(&http) {
                Ok(answer) => {
                    self.options.api_urls.rotate_left(at);
                    return Ok(answer);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Exactly what version 1.5.2 did to the output of `ip route get`:
/// `out.strip().split('\n')[0].split('src')[1].strip()`.
fn source(output: &str) -> Option<String> {
    let line = output.trim().split('\n').next()?;
    line.split("src").nth(1).map(|text| text.trim().to_owned())
}

fn server_minor(answer: &Response) -> Option<u16> {
    let document = answer.json().ok()?;
    let version = document.pointer("/default_version/version")?.as_str()?;
    version.strip_prefix("1.")?.parse().ok()
}

/// The address of an `http` URL, IPv4 first as gethostbyname(3) has nothing else.
fn address_of(url: &str) -> io::Result<SocketAddr> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("API URL {url:?}: {why}"));
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("the stand-in speaks http only"))?;
    let authority = rest.trim_end_matches('/');
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && !authority.ends_with(']');
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{HTTP_PORT}") };
    let found: Vec<_> = authority.to_socket_addrs().map_err(|e| invalid(&e.to_string()))?.collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    ipv4.or(found.first()).copied().ok_or_else(|| invalid("no address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_in::{Behaviour, Fault, Path, StandIn};

    #[test]
    fn the_source_is_cut_out_as_in_version_1_5_2() {
        for (output, source) in [
            // The seed's ramdisk, and the same route as an older iproute2 prints it.
            ("172.25.134.35 dev enp2s0 src 172.25.134.128 uid 0\n    cache\n", Some("172.25.134.128 uid 0")),
            ("172.25.134.35 dev enp2s0  src 172.25.134.128\n    cache \n", Some("172.25.134.128")),
            ("10.0.0.1 dev srcnic src 10.0.0.5 uid 0", Some("nic")),
            ("10.0.0.1 dev eth0", None),
            ("", None),
        ] {
            assert_eq!(super::source(output).as_deref(), source, "{output:?}");
        }
    }

    #[test]
    fn api_urls_are_read() {
        for (url, address) in [
            ("http://10.77.0.1:6385", "10.77.0.1:6385"),
            ("http://10.77.0.1/", "10.77.0.1:80"),
            ("http://[fd77::1]:6385/", "[fd77::1]:6385"),
            ("http://[fd77::1]", "[fd77::1]:80"),
        ] {
            assert_eq!(address_of(url).unwrap().to_string(), address);
        }
        let error = address_of("https://10.77.0.1").unwrap_err().to_string();
        assert!(error.contains("https://10.77.0.1") && error.contains("http only"), "{error}");
    }

    /// A node at 10.77.0.2 with an Ironic of its own in the same namespace.
    fn node(behaviour: Behaviour) -> (Arc<Netns>, StandIn) {
        let netns = Arc::new(Netns::new().unwrap());
        netns
            .ip_lines("link add nic type veth peer name peer\naddr add 10.77.0.2/24 dev nic\nlink set nic up\nlink set peer up")
            .unwrap();
        let listener = netns.enter(|| std::net::TcpListener::bind("10.77.0.2:6385").unwrap()).unwrap();
        (netns, StandIn::start(listener, behaviour).unwrap())
    }

    #[test]
    fn mitaka_takes_the_wrong_url_and_then_the_right_one() {
        crate::root_test!();
        let (netns, ironic) = node(Behaviour::mitaka());
        netns.ip("route add 10.77.9.0/24 dev nic").unwrap();
        let mut options = SeedOptions::new(&netns, "http://10.77.0.2:6385");
        options.dialect = Dialect::Passthru { driver: "agent_ipmitool".to_owned() };
        // The address is the one towards an Ironic elsewhere; the first URL, where nothing is, gives it.
        options.api_urls.insert(0, "http://10.77.9.1:6385".to_owned());
        let mut seed = SeedIpa::new(options.clone());
        assert_eq!(seed.advertised_url().unwrap(), "http://10.77.0.2 uid 0:9999");
        seed.options.api_urls = vec!["http://10.77.0.2:1".to_owned(), ironic.url()];
        assert_eq!(seed.beat().unwrap(), (202, String::new()));
        assert_eq!(seed.options.api_urls.first(), Some(&ironic.url()), "the one that works comes first");
        assert_eq!(ironic.agent_url().as_deref(), Some("http://10.77.0.2 uid 0:9999"));
        options.advertise_host = Some("10.77.0.2".to_owned());
        options.api_urls = vec![ironic.url()];
        assert_eq!(SeedIpa::new(options).beat().unwrap().0, 202);
        assert_eq!(ironic.agent_url().as_deref(), Some("http://10.77.0.2:9999"));
        let paths: Vec<_> = ironic.requests().iter().map(|r| r.path().to_owned()).collect();
        let uuid = Behaviour::default().node_uuid;
        let pair = [
            "/v1/drivers/agent_ipmitool/vendor_passthru/lookup".to_owned(),
            format!("/v1/nodes/{uuid}/vendor_passthru/heartbeat"),
        ];
        assert_eq!(paths, [pair.clone(), pair].concat());
    }

    #[test]
    fn a_status_is_final_and_silence_is_not() {
        crate::root_test!();
        let (netns, ironic) = node(Behaviour::default());
        let listener = netns.enter(|| std::net::TcpListener::bind("10.77.0.2:6386").unwrap()).unwrap();
        let other = StandIn::start(listener, Behaviour::default()).unwrap();
        let mut options = SeedOptions::new(&netns, ironic.url());
        options.api_urls.push(other.url());
        options.advertise_host = Some("10.77.0.2".to_owned());
        let mut seed = SeedIpa::new(options);
        ironic.push_fault(Path::Lookup, Fault::Error(409, "wait".to_owned()));
        assert_eq!(seed.lookup().unwrap().0, 409);
        assert!(other.requests().is_empty());
        ironic.set_fault(Path::Any, Some(Fault::CloseBeforeResponse));
        assert_eq!(seed.beat().unwrap().0, 202);
        assert_eq!((ironic.heartbeats(), other.recorded_heartbeats()), (0, 1));
        let beat = other.requests().pop().unwrap();
        assert_eq!(beat.header("x-openstack-ironic-api-version"), Some("1.68"));
        assert_eq!(beat.json()["agent_token"], other.token().unwrap());
        assert_eq!(beat.json()["callback_url"], "http://10.77.0.2:9999");
    }
}
