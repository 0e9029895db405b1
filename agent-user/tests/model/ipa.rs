//! ironic-python-agent: one step after the other, each a request or the taking of its address.

use callback_url::{Host, Scheme, build};

use super::environment::{Addr, Environment, Lots};

/// The host in a callback URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// An address of the node.
    Ip(Addr),
    /// `ADDRESS uid 0`.
    Text(Addr),
    /// `None`.
    Placeholder,
    /// An address of another machine.
    Foreign,
}

impl Name {
    /// The address, where it is one of the node's.
    pub fn addr(self) -> Option<Addr> {
        match self {
            Self::Ip(addr) => Some(addr),
            _ => None,
        }
    }

    /// As the product knows it.
    pub fn host(self) -> Option<Host> {
        match self {
            Self::Ip(addr) => Some(Host::Ip(addr.ip())),
            Self::Placeholder => Host::parse("None"),
            Self::Foreign => Host::parse("10.9.9.9"),
            Self::Text(_) => None,
        }
    }

    /// From what the product gives.
    pub fn of(host: &Host) -> Self {
        match host {
            Host::Ip(ip) => Addr::of(*ip).map_or(Self::Foreign, Self::Ip),
            Host::Name(_) => Self::Placeholder,
        }
    }
}

/// A callback URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Url {
    pub tls: bool,
    pub name: Name,
}

impl Url {
    /// Of another machine, from before.
    pub const FOREIGN: Self = Self { tls: false, name: Name::Foreign };

    /// As it is sent.
    pub fn text(self) -> String {
        let scheme = if self.tls { Scheme::Https } else { Scheme::Http };
        match (self.name, self.name.host()) {
            (Name::Text(addr), _) => format!("{scheme}://{} uid 0:9999", addr.ip()),
            (_, Some(host)) => build(scheme, &host, 9999),
            (_, None) => String::new(),
        }
    }

    /// From what the product gives.
    pub fn of(text: &str) -> Self {
        let host = callback_url::host(text);
        let name = host.as_ref().map_or(Name::Placeholder, Name::of);
        Self { tls: text.to_ascii_lowercase().starts_with("https:"), name }
    }
}

/// The way of a connection to Ironic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// Through the guard.
    Guard,
    /// Without it.
    Direct,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not started, or being restarted.
    Off,
    /// Its lookup comes next.
    LookingUp,
    /// Its lookup is with Ironic, which takes its time.
    InFlight(Way),
    /// It has its token; its address comes next.
    HasToken,
    /// It heartbeats this URL.
    Beating(Url),
    /// Its lookup brought `******`: alive, silent.
    Dead,
}

/// One IPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ipa {
    pub phase: Phase,
    /// `advertise_host` as it was at its start.
    pub host: Option<Name>,
    /// `agent_token` as it was at its start.
    pub given: Option<u8>,
    /// The token that it sends.
    pub token: Option<u8>,
    /// A lookup of its has left.
    pub lookup_left: bool,
    /// Its standing connection.
    pub connection: Option<Way>,
    /// Whether Ironic took the last heartbeat.
    pub last: Option<bool>,
}

impl Ipa {
    /// Not started.
    pub fn off() -> Self {
        Self {
            phase: Phase::Off,
            host: None,
            given: None,
            token: None,
            lookup_left: false,
            connection: None,
            last: None,
        }
    }

    /// Starts with what its configuration says now.
    pub fn start(&mut self, host: Option<Name>, given: Option<u8>) {
        *self = Self { phase: Phase::LookingUp, host, given, ..Self::off() };
    }

    /// Whether it listens: only after its lookup (ironic_python_agent/agent.py, `run`).
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Beating(_))
    }

    /// What it has begun with counts until Ironic has accepted it.
    pub fn relies_on(&self, name: Name) -> bool {
        match self.phase {
            Phase::LookingUp | Phase::InFlight(_) | Phase::HasToken => self.host == Some(name),
            _ => false,
        }
    }

    /// Takes its address: advertise_host, else the source of the route to the first API URL that answers, of the family
    /// that its lot gives.
    pub fn take_address(&mut self, environment: &Environment, lots: &Lots) {
        let name = match self.host {
            Some(host) => Some(host),
            None => by_route(environment, lots)
                .map(|addr| if lots.seed { Name::Text(addr) } else { Name::Ip(addr) }),
        };
        if let Some(name) = name {
            self.phase = Phase::Beating(Url { tls: lots.tls, name });
        }
    }
}

fn by_route(environment: &Environment, lots: &Lots) -> Option<Addr> {
    let urls = environment.urls(lots);
    let answers = |url: &&&[_]| url.iter().any(|to| environment.connect(lots, *to).is_some());
    let mut addresses = urls.iter().find(answers)?.to_vec();
    if !lots.v6_first {
        addresses.reverse();
    }
    addresses.into_iter().find_map(|to| environment.source(to))
}
