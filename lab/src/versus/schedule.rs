//! What a schedule is: how the node begins, and what happens to it when.

use std::fmt;

use super::outcome::Beside;

/// One course of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What it is called; `--schedule` takes it.
    pub name: String,
    /// How IPA is given the API.
    pub api: Api,
    /// The node has its IPv4 lease from the start.
    pub lease: bool,
    /// The node has its IPv6 address from the start.
    pub inet6: bool,
    /// IPA's environment has HTTP_PROXY and no NO_PROXY.
    pub proxy: bool,
    /// How long IPA waits for disks between its lookup and its first heartbeat, in seconds.
    pub disks: u8,
    /// What happens, in this order where the times are equal.
    pub steps: Vec<(When, Step)>,
}

impl Schedule {
    /// A node with an IPv4 lease, an API by its IPv4 address, and nothing that happens.
    pub fn calm(name: impl Into<String>) -> Self {
        let steps = Vec::new();
        Self { name: name.into(), api: Api::Inet, lease: true, inet6: false, proxy: false, disks: 0, steps }
    }

    /// With one more step.
    pub fn then(mut self, when: When, step: Step) -> Self {
        self.steps.push((when, step));
        self
    }

    /// The exception of docs/promises.md under which a node may end worse here than bare. Where the guard repairs, a lost
    /// address is none.
    pub fn exception(&self, beside: Beside, setting: Setting) -> Option<&'static str> {
        let happens = |exception: fn(&(When, Step)) -> bool| self.steps.iter().any(exception);
        let lost_before_lookup =
            happens(|step| matches!(step, (When::Ipa(_) | When::Asked(_), Step::OtherLease)));
        let lost_before_heartbeat = happens(|step| matches!(step, (When::Lookup(_), Step::OtherLease)));
        // A stopped guard takes connects for 2 s more, and with them IPA's question for the API versions.
        let in_flight = happens(|step| {
            matches!(
                step,
                (When::Asked(_), Step::Daemon(Hit::Kill | Hit::Stop))
                    | (When::Ipa(_), Step::Daemon(Hit::Stop))
            )
        });
        if beside == Beside::Guard && in_flight {
            return Some("kill_in_flight");
        }
        if beside == Beside::Guard && setting.callback_is_http() {
            let stopped = happens(|step| matches!(step, (When::Beat(_), Step::Daemon(Hit::Stop))));
            let repaired = lost_before_lookup || lost_before_heartbeat;
            return (stopped && repaired).then_some("repaired_gap");
        }
        if lost_before_lookup {
            return Some("lost_before_lookup");
        }
        lost_before_heartbeat.then_some("lost_before_heartbeat")
    }

    /// Whether something happens after the first heartbeat: then a second one has to follow.
    pub fn goes_on(&self) -> bool {
        self.steps.iter().any(|(when, _)| matches!(when, When::Beat(_)))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "API by {}", self.api.word())?;
        let facts =
            [(!self.lease, "no lease at boot"), (self.inet6, "an IPv6 address"), (self.proxy, "HTTP_PROXY")];
        for (_, fact) in facts.iter().filter(|(holds, _)| *holds) {
            write!(f, ", {fact}")?;
        }
        if self.disks > 0 {
            write!(f, ", disks take {} s", self.disks)?;
        }
        for (when, step) in &self.steps {
            write!(f, "; {when}: {step}")?;
        }
        Ok(())
    }
}

/// How the API's URL names its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// By its IPv4 address.
    Inet,
    /// By its IPv6 address.
    Inet6,
    /// By a name that has both.
    Name,
}

impl Api {
    fn word(self) -> &'static str {
        match self {
            Self::Inet => "IPv4",
            Self::Inet6 => "IPv6",
            Self::Name => "name",
        }
    }
}

/// When a step is due: so many seconds after something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The node's boot: the daemon starts, or without it IPA.
    Boot(f32),
    /// IPA's log begins.
    Ipa(f32),
    /// Ironic got the first lookup.
    Asked(f32),
    /// Ironic has answered a lookup with 200.
    Lookup(f32),
    /// Ironic has accepted the first heartbeat.
    Beat(f32),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(after) => write!(f, "boot+{after:.1}"),
            Self::Ipa(after) => write!(f, "IPA+{after:.1}"),
            Self::Asked(after) => write!(f, "asked+{after:.1}"),
            Self::Lookup(after) => write!(f, "lookup+{after:.1}"),
            Self::Beat(after) => write!(f, "heartbeat+{after:.1}"),
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The IPv4 lease comes, with its default route.
    Lease,
    /// The lease ends.
    LeaseEnds,
    /// The lease ends, and another address comes in its place.
    OtherLease,
    /// The wire is pulled, or put back.
    Carrier(bool),
    /// The second NIC gets a lease whose default route has a lower metric; does its network reach Ironic?
    SecondNic { reaches: bool },
    /// An IPv6 address of /128 comes, as DHCPv6 gives it.
    HostAddress,
    /// A router advertises a prefix, and itself.
    RouterAdvertisement,
    /// DNS answers differently from now on.
    Dns(Dns),
    /// Ironic does.
    Ironic(Mood),
    /// The daemon is hit; nothing without one.
    Daemon(Hit),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Lease => "lease",
            Self::LeaseEnds => "lease ends",
            Self::OtherLease => "another lease instead",
            Self::Carrier(true) => "carrier back",
            Self::Carrier(false) => "carrier lost",
            Self::SecondNic { reaches: true } => "second NIC, lower metric",
            Self::SecondNic { reaches: false } => "second NIC, lower metric, no way to Ironic",
            Self::HostAddress => "IPv6 /128",
            Self::RouterAdvertisement => "router advertisement",
            Self::Dns(Dns::Whole) => "DNS whole",
            Self::Dns(Dns::NoInet) => "DNS: A fails",
            Self::Dns(Dns::NoInet6) => "DNS: AAAA fails",
            Self::Dns(Dns::Silent) => "DNS silent",
            Self::Ironic(Mood::Slow(by)) => return write!(f, "Ironic answers {by:.1} s late"),
            Self::Ironic(Mood::Away) => "Ironic away",
            Self::Ironic(Mood::Up) => "Ironic well",
            Self::Daemon(Hit::Kill) => "kill -9",
            Self::Daemon(Hit::Stop) => "SIGSTOP",
            Self::Daemon(Hit::Continue) => "SIGCONT",
            Self::Daemon(Hit::Terminate) => "SIGTERM",
        };
        f.write_str(text)
    }
}

/// How DNS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dns {
    /// With both addresses.
    Whole,
    /// SERVFAIL to the question for IPv4.
    NoInet,
    /// SERVFAIL to the question for IPv6.
    NoInet6,
    /// Nothing.
    Silent,
}

/// How Ironic answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mood {
    /// At once.
    Up,
    /// So many seconds late.
    Slow(f32),
    /// It refuses connections, and ends those that there are, as while it restarts.
    Away,
}

/// What happens to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// SIGKILL; systemd starts it again after its `RestartSec`.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGTERM; it is started again as soon as it has ended.
    Terminate,
}

/// How this Ironic is served, and what it demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The API is https.
    pub https: bool,
    /// Ironic's `[agent]require_tls`.
    pub require_tls: bool,
    /// IPA makes itself a certificate (`enable_auto_tls`), so that its callback URL is https.
    pub auto_tls: bool,
}

/// Every one is run. Where plain callback URLs are allowed, IPA has one over the http API and none over the https API.
pub const SETTINGS: [Setting; 4] = [
    Setting { https: false, require_tls: true, auto_tls: true },
    Setting { https: true, require_tls: true, auto_tls: true },
    Setting { https: false, require_tls: false, auto_tls: false },
    Setting { https: true, require_tls: false, auto_tls: true },
];

impl Setting {
    /// The callback URL is http, and so is the API: then the guard can repair it.
    pub fn callback_is_http(self) -> bool {
        !self.https && !self.auto_tls
    }

    /// A short name for lines and files.
    pub fn name(self) -> String {
        let word = |on, word| if on { word } else { "" };
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}{}{}", word(self.require_tls, "+require"), word(self.auto_tls, "+auto"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guard_repairs_is_no_exception_for_it() {
        let lost = Schedule::calm("lost").then(When::Ipa(0.0), Step::OtherLease);
        let [tls, .., plain, _] = SETTINGS;
        assert!(plain.callback_is_http() && !tls.callback_is_http());
        assert_eq!(lost.exception(Beside::Guard, plain), None);
        assert_eq!(lost.exception(Beside::Guard, tls), Some("lost_before_lookup"));
        assert_eq!(lost.exception(Beside::Configure, plain), Some("lost_before_lookup"));
        let gap = lost.then(When::Beat(0.2), Step::Daemon(Hit::Stop));
        assert_eq!(gap.exception(Beside::Guard, plain), Some("repaired_gap"));
        let stopped = Schedule::calm("stopped").then(When::Beat(0.2), Step::Daemon(Hit::Stop));
        assert_eq!(stopped.exception(Beside::Guard, tls), None);
    }

    #[test]
    fn a_guard_that_stops_when_ipa_starts_may_take_its_first_request() {
        let [.., plain, _] = SETTINGS;
        let at_start = |hit| Schedule::calm("start").then(When::Ipa(0.0), Step::Daemon(hit));
        assert_eq!(at_start(Hit::Stop).exception(Beside::Guard, plain), Some("kill_in_flight"));
        assert_eq!(at_start(Hit::Stop).exception(Beside::Configure, plain), None);
        assert_eq!(at_start(Hit::Kill).exception(Beside::Guard, plain), None);
    }
}
