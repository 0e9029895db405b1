//! What both copies share: addresses, routes, DNS, Ironic's moods; and the lots, drawn once for both.

use std::net::IpAddr;

/// An address that the node can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addr {
    /// IPv4 on eth0.
    A4,
    /// IPv4 on eth1.
    B4,
    /// IPv6 on eth0.
    A6,
}

impl Addr {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::A4, Self::B4, Self::A6];

    /// The address itself.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::A4 => [10, 0, 0, 5].into(),
            Self::B4 => [10, 1, 0, 7].into(),
            Self::A6 => [0xfd00, 0, 0, 0, 0, 0, 0, 5].into(),
        }
    }

    /// Index of its device: eth0, eth1.
    pub fn nic(self) -> usize {
        usize::from(self == Self::B4)
    }

    /// The address of this text, if it is one of the three.
    pub fn of(ip: IpAddr) -> Option<Self> {
        Self::ALL.into_iter().find(|addr| addr.ip() == ip)
    }
}

/// An address of Ironic's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// IPv4, by the preferred route.
    P,
    /// IPv4, by a route of its own through eth1.
    Q,
    /// IPv6.
    S,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P, Self::Q, Self::S];

    /// The address itself.
    pub fn ip(self) -> IpAddr {
        match self {
            Self::P => [192, 0, 2, 1].into(),
            Self::Q => [192, 0, 2, 2].into(),
            Self::S => [0xfd00, 1, 0, 0, 0, 0, 0, 1].into(),
        }
    }
}

/// The API URLs that IPA is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// One address.
    Single,
    /// Two addresses, in order.
    List,
    /// A name with an address of either family.
    Dual,
}

impl Api {
    /// The URLs, each with all its addresses.
    pub fn urls(self) -> &'static [&'static [Endpoint]] {
        match self {
            Self::Single => &[&[Endpoint::P]],
            Self::List => &[&[Endpoint::P], &[Endpoint::Q]],
            Self::Dual => &[&[Endpoint::S, Endpoint::P]],
        }
    }
}

/// What DNS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dns {
    /// Both halves.
    Whole,
    /// The A question fails.
    NoA,
    /// The AAAA question fails.
    NoAaaa,
}

/// What our daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Writes the drop-in.
    Configure,
    /// Drop-in, and IPA's requests pass through it.
    Guard,
}

/// Drawn once, the same for both copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lots {
    pub mode: Mode,
    pub api: Api,
    /// Assigned at the beginning.
    pub first: &'static [Addr],
    /// Happened before our daemon started.
    pub before: Option<Event>,
    /// The network of this address does not lead to Ironic, nor Ironic to it.
    pub isolated: Option<Addr>,
    /// IPA takes the IPv6 address of a name first.
    pub v6_first: bool,
    /// IPA serves with a certificate that is made for its address.
    pub tls: bool,
    pub require_tls: bool,
    /// An IPA that takes its address from a text with ` uid 0`, and no advertise_host.
    pub seed: bool,
    /// HTTP_PROXY without loopback in NO_PROXY.
    pub proxy: bool,
    /// Ironic holds a URL from before, of another machine.
    pub held_before: bool,
    /// The kernel command line says `ipa-advertise-host=None`.
    pub placeholder: bool,
    /// Ironic keeps a connection open from one heartbeat to the next.
    pub keep_alive: bool,
    /// Sight sees IPA's requests since before its start, and systemd runs IPA.
    pub sight: bool,
    /// IPA is restarted where its address is lost before its lookup.
    pub restart: bool,
    /// How many faults a trace has at most; what heals is free.
    pub faults: u8,
    /// `ipa-listen-host`: IPA listens on this address only.
    pub listens: Option<Addr>,
    /// The only faults that happen; `None`: all.
    pub only: Option<&'static [Event]>,
    /// The daemon may be killed or stopped while a lookup is with Ironic.
    pub kill_in_flight: bool,
    /// IPA may start with the only address that is known, before anything of Ironic answered, though it leads nowhere.
    pub blind_start: bool,
    /// The address that IPA started with may be lost before its lookup was answered.
    pub lost_before_lookup: bool,
    /// It may be lost between that and the first accepted heartbeat.
    pub lost_before_heartbeat: bool,
}

/// One event of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    Gain(Addr),
    Lose(Addr),
    /// The other NIC's route wins.
    Prefer,
    CarrierLost(usize),
    CarrierBack(usize),
    DnsFails(Dns),
    DnsHeals,
    Away,
    Back,
    /// Lookups are answered after so many seconds.
    Slow(u8),
    Fast,
    Lock,
    Unlock,
    /// Ironic forgets URL and token.
    Wipe,
    /// systemd restarts IPA's unit.
    RestartIpa,
    Kill,
    Term,
    Stop,
    Continue,
    Start,
    /// The guard redirects again after a failure of its own.
    Recover,
    /// A lookup of our own.
    ReadBack,
}

/// The state of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Environment {
    pub assigned: [bool; 3],
    pub prefer_eth1: bool,
    pub carrier: [bool; 2],
    pub dns: Dns,
    pub away: bool,
    /// Seconds until a lookup is answered; 0: at once.
    pub slow: u8,
    pub locked: bool,
    pub faults_left: u8,
}

impl Environment {
    /// As it begins.
    pub fn begin(lots: &Lots) -> Self {
        let mut assigned = [false; 3];
        for addr in lots.first {
            assigned[*addr as usize] = true;
        }
        let mut environment = Self {
            assigned,
            prefer_eth1: false,
            carrier: [true; 2],
            dns: Dns::Whole,
            away: false,
            slow: 0,
            locked: false,
            faults_left: lots.faults,
        };
        if let Some(event) = lots.before {
            environment.happen(event);
            environment.faults_left = lots.faults;
        }
        environment
    }

    /// Whether this machine has the address.
    pub fn has(&self, addr: Addr) -> bool {
        self.assigned[addr as usize]
    }

    /// The source address of the kernel's route to it; carrier does not change a route.
    pub fn source(&self, to: Endpoint) -> Option<Addr> {
        let order = match (to, self.prefer_eth1) {
            (Endpoint::S, _) => return Some(Addr::A6).filter(|addr| self.has(*addr)),
            (Endpoint::P, false) => [Addr::A4, Addr::B4],
            (Endpoint::P, true) | (Endpoint::Q, _) => [Addr::B4, Addr::A4],
        };
        order.into_iter().find(|addr| self.has(*addr))
    }

    /// The source of a connection that succeeds.
    pub fn connect(&self, lots: &Lots, to: Endpoint) -> Option<Addr> {
        let source = self.source(to)?;
        let passes = self.carrier[source.nic()] && lots.isolated != Some(source) && !self.away;
        passes.then_some(source)
    }

    /// The API URLs, each with the addresses that DNS gives now.
    pub fn urls(&self, lots: &Lots) -> &'static [&'static [Endpoint]] {
        match (lots.api, self.dns) {
            (Api::Dual, Dns::NoA) => &[&[Endpoint::S]],
            (Api::Dual, Dns::NoAaaa) => &[&[Endpoint::P]],
            _ => lots.api.urls(),
        }
    }

    /// Whether any API URL lets this machine connect.
    pub fn reaches_ironic(&self, lots: &Lots) -> bool {
        self.urls(lots).iter().copied().flatten().any(|to| self.connect(lots, *to).is_some())
    }

    /// Whether the conductor reaches this address.
    pub fn is_good(&self, lots: &Lots, addr: Addr) -> bool {
        let listens = lots.listens.is_none_or(|only| only == addr);
        self.has(addr) && listens && lots.isolated != Some(addr)
    }

    /// What may happen to it now; faults only while there are some left.
    pub fn events(&self, lots: &Lots, events: &mut Vec<Event>) {
        let heals = [
            (self.away, Event::Back),
            (self.slow > 0, Event::Fast),
            (self.locked, Event::Unlock),
            (self.dns != Dns::Whole, Event::DnsHeals),
            (!self.carrier[0], Event::CarrierBack(0)),
            (!self.carrier[1], Event::CarrierBack(1)),
        ];
        events.extend(heals.into_iter().filter_map(|(is_ill, event)| is_ill.then_some(event)));
        if self.faults_left == 0 {
            return;
        }
        for addr in Addr::ALL {
            let concerns = addr != Addr::A6 || lots.api == Api::Dual;
            if concerns {
                events.push(if self.has(addr) { Event::Lose(addr) } else { Event::Gain(addr) });
            }
        }
        let dual = lots.api == Api::Dual && self.dns == Dns::Whole;
        let faults = [
            (self.has(Addr::B4), Event::Prefer),
            (self.carrier[0], Event::CarrierLost(0)),
            (self.carrier[1] && self.has(Addr::B4), Event::CarrierLost(1)),
            (dual, Event::DnsFails(Dns::NoA)),
            (dual, Event::DnsFails(Dns::NoAaaa)),
            (!self.away, Event::Away),
            (self.slow == 0, Event::Slow(10)),
            (self.slow == 0, Event::Slow(26)),
            (!self.locked, Event::Lock),
            (true, Event::Wipe),
            (true, Event::RestartIpa),
        ];
        events.extend(faults.into_iter().filter_map(|(can, event)| can.then_some(event)));
    }

    /// Lets one happen, as far as it concerns the environment.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Gain(addr) => self.assigned[addr as usize] = true,
            Event::Lose(addr) => self.assigned[addr as usize] = false,
            Event::Prefer => self.prefer_eth1 = !self.prefer_eth1,
            Event::CarrierLost(nic) => self.carrier[nic] = false,
            Event::CarrierBack(nic) => self.carrier[nic] = true,
            Event::DnsFails(dns) => self.dns = dns,
            Event::DnsHeals => self.dns = Dns::Whole,
            Event::Away => self.away = true,
            Event::Back => self.away = false,
            Event::Slow(seconds) => self.slow = seconds,
            Event::Fast => self.slow = 0,
            Event::Lock => self.locked = true,
            Event::Unlock => self.locked = false,
            _ => {}
        }
        if event.is_fault() {
            self.faults_left = self.faults_left.saturating_sub(1);
        }
    }

    /// Everything that is ill heals; addresses and routes stay as they are.
    pub fn rest(&mut self) {
        (self.away, self.slow, self.locked) = (false, 0, false);
        (self.dns, self.carrier, self.faults_left) = (Dns::Whole, [true; 2], 0);
    }
}

impl Event {
    /// Whether it counts against the bound.
    pub fn is_fault(self) -> bool {
        !matches!(
            self,
            Self::CarrierBack(_)
                | Self::DnsHeals
                | Self::Back
                | Self::Fast
                | Self::Unlock
                | Self::Continue
                | Self::Start
                | Self::Recover
                | Self::ReadBack
        )
    }
}
