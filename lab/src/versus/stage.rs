//! The node of one run, its wires, and the machine at their other end.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use testbed::netns::Netns;
use testbed::site::{NameServer, Says};

use super::schedule::{Api, Dns, Schedule, Step};
use super::{door, ra};

/// Where the API is, behind the node's router.
const API: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const API6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
/// What the API is called.
const NAME: &str = "ironic.example";
/// What a router advertises: nearer to the API than the node's own prefix (RFC 6724, rule 8).
const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd98, 0, 0, 0, 0, 0, 0, 0);
/// The SERVFAIL of RFC 1035, 4.1.1.
const SERVFAIL: u8 = 2;

/// Two NICs; IPA lists a veth only where its name looks like a VLAN's.
const NIC: &str = "eth0.77";
const SECOND: &str = "eth1.88";

/// Names and addresses that the API's certificate is for.
pub fn names() -> Vec<String> {
    vec![API.to_string(), API6.to_string(), NAME.to_owned()]
}

/// The API's host as a URL names it.
pub fn host(api: Api) -> String {
    match api {
        Api::Inet => API.to_string(),
        Api::Inet6 => format!("[{API6}]"),
        Api::Name => NAME.to_owned(),
    }
}

/// The value of HTTP_PROXY.
pub fn proxy() -> String {
    format!("http://{API}:{}", door::PROXY)
}

/// The content of the node's resolv.conf.
pub fn resolv_conf() -> String {
    format!("nameserver {API}\noptions timeout:2 attempts:2\n")
}

/// One node and its other end; both vanish when dropped.
pub struct Stage {
    /// Where the daemon and IPA run.
    pub node: Arc<Netns>,
    /// Where the API is, and from where a conductor calls.
    pub conductor: Arc<Netns>,
    dns: NameServer,
}

impl Stage {
    /// As the schedule begins.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn new(schedule: &Schedule, mac: &str) -> std::io::Result<Self> {
        let (node, conductor) = (Arc::new(Netns::new()?), Arc::new(Netns::new()?));
        // It is there from the start, and what it says does not wait for its addresses.
        conductor.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        conductor.ip_lines(&format!("addr add {API}/32 dev lo\n addr add {API6}/128 dev lo nodad"))?;
        for (nic, wire) in [(NIC, "wire0"), (SECOND, "wire1")] {
            node.join(nic, &conductor, wire)?;
        }
        node.ip(&format!("link set {NIC} address {mac}"))?;
        conductor.ip_lines("addr add 10.77.0.1/24 dev wire0\n addr add 10.88.0.1/24 dev wire1")?;
        conductor.sysctl("net/ipv6/conf/all/forwarding", "1")?; // A router.
        let dns = NameServer::start(&conductor, &API.to_string(), Says::Nothing);
        let stage = Self { node, conductor, dns };
        stage.conductor_inet6()?;
        stage.dns(Dns::Whole);
        if schedule.lease {
            stage.apply(&Step::Lease)?;
        }
        if schedule.inet6 {
            stage.node.ip_lines(&format!(
                "addr add fd77::5/64 dev {NIC} nodad\n route add default via fd77::1 dev {NIC} metric 100"
            ))?;
        }
        Ok(stage)
    }

    /// Lets a step happen; those of Ironic and of the daemon are nothing here.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn apply(&self, step: &Step) -> std::io::Result<()> {
        match step {
            Step::Lease => self.lease("10.77.0.5"),
            Step::LeaseEnds => self.node.ip(&format!("-4 addr flush dev {NIC}")).map(drop),
            Step::OtherLease => {
                self.apply(&Step::LeaseEnds)?;
                self.lease("10.77.0.6")
            }
            Step::Carrier(true) => {
                self.conductor.ip("link set wire0 up")?;
                self.conductor_inet6()
            }
            Step::Carrier(false) => self.conductor.ip("link set wire0 down").map(drop),
            Step::SecondNic { reaches } => {
                if !reaches {
                    self.conductor.ip("route add blackhole 10.88.0.5/32")?;
                }
                self.node.ip_lines(&format!(
                    "addr add 10.88.0.5/24 dev {SECOND}\n route add default via 10.88.0.1 dev {SECOND} metric 50"
                ))
            }
            Step::HostAddress => self.node.ip(&format!("addr add fd98::128/128 dev {NIC} nodad")).map(drop),
            Step::RouterAdvertisement => ra::advertise(&self.conductor, "wire0", PREFIX),
            Step::Dns(dns) => {
                self.dns(*dns);
                Ok(())
            }
            Step::Ironic(_) | Step::Daemon(_) => Ok(()),
        }
    }

    fn lease(&self, address: &str) -> std::io::Result<()> {
        self.node.ip_lines(&format!(
            "addr replace {address}/24 dev {NIC}\n route replace default via 10.77.0.1 dev {NIC} metric 100"
        ))
    }

    /// The kernel takes these away with the carrier of the other end.
    fn conductor_inet6(&self) -> std::io::Result<()> {
        self.conductor
            .ip_lines("addr replace fd77::1/64 dev wire0 nodad\n addr replace fd98::1/64 dev wire0 nodad")
    }

    fn dns(&self, dns: Dns) {
        self.dns.set(match dns {
            Dns::Whole => Says::Families(Ok(API), Ok(API6)),
            Dns::NoInet => Says::Families(Err(SERVFAIL), Ok(API6)),
            Dns::NoInet6 => Says::Families(Ok(API), Err(SERVFAIL)),
            Dns::Silent => Says::Nothing,
        });
    }
}
