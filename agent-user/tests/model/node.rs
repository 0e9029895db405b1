//! One copy: a node with its record at Ironic; and one step of its IPA, with or without us.

use super::environment::{Environment, Event, Lots};
use super::ipa::{Ipa, Name, Phase, Url, Way};
use super::ironic::{Beat, Ironic, Lookup};
use super::sidecar::{Process, Sidecar};

/// How a node is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a URL whose address is assigned here and reached by the conductor.
    Good,
    /// With another one.
    Wrong,
}

/// The node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node {
    pub ipa: Ipa,
    pub ironic: Ironic,
    /// At the first recorded heartbeat since the last wipe.
    pub first: Option<Outcome>,
    /// `None`: bare.
    pub sidecar: Option<Sidecar>,
}

impl Node {
    /// Before IPA starts.
    pub fn begin(sidecar: Option<Sidecar>, lots: &Lots) -> Self {
        Self { ipa: Ipa::off(), ironic: Ironic::begin(lots), first: None, sidecar }
    }

    /// An event, as far as it concerns this copy.
    pub fn happen(&mut self, event: Event, environment: &Environment) {
        match event {
            Event::Wipe => {
                self.ironic.wipe();
                self.first = None;
            }
            Event::RestartIpa => {
                self.ipa = Ipa::off();
                if let Some(sidecar) = &mut self.sidecar {
                    sidecar.ipa_ended();
                }
            }
            Event::Away => self.ipa.connection = None,
            _ => {}
        }
        if event == Event::ReadBack {
            self.read_back(environment);
        }
        let Some(sidecar) = &mut self.sidecar else { return };
        match event {
            Event::Kill | Event::Term => sidecar.end(),
            Event::Stop => sidecar.stop(),
            Event::Continue => sidecar.process = Process::Running,
            Event::Start => sidecar.start(),
            Event::Recover => sidecar.recover(),
            _ => return,
        }
        let is_gone = matches!(event, Event::Kill | Event::Term);
        if is_gone && self.ipa.connection == Some(Way::Guard) {
            self.ipa.connection = None;
        }
        // At SIGTERM a lookup in flight is finished.
        let breaks = matches!(event, Event::Kill | Event::Stop);
        if breaks && self.ipa.phase == Phase::InFlight(Way::Guard) {
            (self.ipa.phase, self.ipa.connection) = (Phase::LookingUp, None);
        }
    }

    /// The next step of IPA.
    pub fn step(&mut self, environment: &Environment, lots: &Lots) {
        match self.ipa.phase {
            Phase::Off => self.start(lots),
            Phase::LookingUp => self.look_up(environment, lots),
            Phase::InFlight(_) => self.ipa.phase = Phase::HasToken,
            Phase::HasToken => self.ipa.take_address(environment, lots),
            Phase::Beating(url) => self.beat(url, environment, lots),
            Phase::Dead => {}
        }
    }

    fn start(&mut self, lots: &Lots) {
        let operator = lots.placeholder.then_some(Name::Placeholder);
        let dropin = self.sidecar.and_then(|sidecar| sidecar.dropin).filter(|_| !lots.seed);
        let given = self.sidecar.and_then(|sidecar| sidecar.handed_out).filter(|_| !lots.seed);
        self.ipa.start(dropin.or(operator), given);
        if let Some(sidecar) = &mut self.sidecar {
            sidecar.ipa_began(lots);
        }
    }

    /// A lookup of our own.
    fn read_back(&mut self, environment: &Environment) {
        let Some(sidecar) = &mut self.sidecar else { return };
        let answer = self.ironic.lookup(environment);
        if answer != Lookup::Locked {
            let token = if let Lookup::Token(token) = answer { Some(token) } else { None };
            sidecar.read_back(self.ironic.url, token, &self.ipa);
        }
    }

    /// What happens to IPA's process where its address is lost before its lookup.
    pub fn restart(&mut self, environment: &Environment, lots: &Lots) {
        let Some(sidecar) = &mut self.sidecar else { return };
        if sidecar.restarts(&self.ipa, environment, lots) {
            self.ipa = Ipa::off();
            sidecar.ipa_ended();
        }
    }

    /// The way that a request takes; `None`: it gets no answer, and has not reached Ironic.
    fn connect(&mut self, environment: &Environment, lots: &Lots) -> Option<Way> {
        let redirects = self.sidecar.is_some_and(|sidecar| sidecar.redirects(lots));
        let way = self.ipa.connection.unwrap_or(if redirects { Way::Guard } else { Way::Direct });
        self.ipa.connection = None;
        let sidecar = self.sidecar.as_mut().filter(|_| way == Way::Guard);
        if let Some(sidecar) = sidecar {
            if !sidecar.runs() {
                return None; // A standing connection to a stopped guard.
            }
            if !environment.reaches_ironic(lots) {
                sidecar.upstream_failed();
            }
        }
        if !environment.reaches_ironic(lots) {
            return None;
        }
        self.ipa.connection = lots.keep_alive.then_some(way);
        Some(way)
    }

    fn look_up(&mut self, environment: &Environment, lots: &Lots) {
        let Some(way) = self.connect(environment, lots) else { return };
        self.ipa.lookup_left = true;
        let answer = self.ironic.lookup(environment);
        self.ipa.token = if let Lookup::Token(token) = answer { Some(token) } else { self.ipa.given };
        self.ipa.phase = match answer {
            Lookup::Locked => Phase::LookingUp,
            // An IPA of the first releases knows no token.
            Lookup::Masked if !lots.seed && self.ipa.given.is_none() => Phase::Dead,
            _ if environment.slow > 0 => Phase::InFlight(way),
            _ => Phase::HasToken,
        };
    }

    fn beat(&mut self, own: Url, environment: &Environment, lots: &Lots) {
        self.ipa.last = Some(false);
        let Some(way) = self.connect(environment, lots) else { return };
        let mut url = own;
        let sidecar = self.sidecar.as_mut().filter(|_| way == Way::Guard);
        if let Some(sidecar) = sidecar {
            url = sidecar.heartbeat(own, environment, lots);
        }
        let beat = self.ironic.heartbeat(url, self.ipa.token, environment, lots);
        self.ipa.last = Some(matches!(beat, Beat::Recorded | Beat::Dropped));
        if beat == Beat::Recorded {
            self.first.get_or_insert(outcome(url, own, environment, lots));
        }
        let Some(sidecar) = &mut self.sidecar else { return };
        if way == Way::Guard {
            sidecar.answered(beat, own, url);
        }
        if self.ipa.last == Some(true) && (way == Way::Guard || lots.sight) {
            sidecar.saw_accepted();
        }
    }
}

/// With TLS the certificate is made for the address that IPA took.
fn outcome(url: Url, own: Url, environment: &Environment, lots: &Lots) -> Outcome {
    match url.name {
        Name::Ip(addr) if environment.is_good(lots, addr) && (!url.tls || own.name == url.name) => {
            Outcome::Good
        }
        _ => Outcome::Wrong,
    }
}
