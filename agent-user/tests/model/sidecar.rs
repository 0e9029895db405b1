//! The sidecar: the product's own functions decide; here are only the facts that they get, and what is done with what
//! they answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use callback_url::{ApiUrl, Local};
use fib::{Address, Errno, Link, Route};
use ipa_sidecar::inside::{
    AdvertiseParameters, Answered, Candidate, Committed, Contents, Destination, DropinWrite, Facts,
    HeartbeatAction, HeartbeatFacts, IpaId, IpaState, Lack, LastReadBack, Parameters, Pinned, ReadBackFacts,
    Repaired, RestartFacts, RouteFailure, SightRecord, StartedWith, Target, Verdict, advertise_host,
    by_read_back, decide, heartbeat, judge_restart, read_back_due, settle, started_with,
};

use super::environment::{Addr, Api, Dns, Endpoint, Environment, Lots, Mode};
use super::ipa::{Ipa, Name, Phase, Url};
use super::ironic::Beat;

/// What a pure function answered before, it answers again.
macro_rules! once {
    ($key_type:ty => $value_type:ty, $key:expr, $work:expr) => {{
        thread_local! {
            static KNOWN: RefCell<HashMap<$key_type, $value_type>> = RefCell::default();
        }
        let key = $key;
        match KNOWN.with_borrow(|known| known.get(&key).copied()) {
            Some(value) => value,
            None => {
                let value = $work;
                KNOWN.with_borrow_mut(|known| known.insert(key, value));
                value
            }
        }
    }};
}

/// Whether the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Process {
    Running,
    /// SIGSTOP.
    Stopped,
    Dead,
}

/// The daemon, and what it leaves on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sidecar {
    pub process: Process,
    /// The address in the drop-in on disk.
    pub dropin: Option<Name>,
    kept: Kept,
    memory: Memory,
    /// When it last looked, nothing of Ironic answered.
    pub blind: bool,
    /// A token that Ironic handed out to us, in the drop-in.
    pub handed_out: Option<u8>,
    /// What sight knows of the IPA that runs.
    sight: SightRecord,
    /// A URL with an address that is not this machine's left us.
    pub foreign: bool,
    /// After a 202 we sent another URL.
    pub changed: bool,
    /// We changed a URL whose address is assigned here.
    pub meddled: bool,
}

/// What outlives the daemon: `kept.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Kept {
    /// The drop-in was written after IPA's start.
    rewritten: bool,
    /// The address with which the running IPA has started, where its lookup has passed.
    started_with: Option<Name>,
    /// The repaired URL that Ironic holds.
    repaired: Option<Url>,
    /// What Ironic holds was read back since IPA began.
    read_back: bool,
}

/// What a killed daemon forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Memory {
    /// Which addresses of the API are known; `None`: not asked yet.
    names: Option<[bool; 3]>,
    /// The source of a connection that Ironic answered.
    answered: Option<Addr>,
    decided: Option<Name>,
    held: Option<Url>,
    /// It has refused a repaired URL, and we do not know which one it holds.
    holds_another: bool,
    /// Assigned here since the start, or given by our drop-in.
    were: [bool; 3],
    /// The guard does not redirect, after a failure of its own.
    off: bool,
    /// A heartbeat was seen to be accepted since the last read-back.
    accepted_since: bool,
}

/// What came of one round of the watch.
#[derive(Debug, Clone, Copy)]
struct Decided {
    name: Option<Name>,
    /// Connects could change it.
    open: bool,
    /// No drop-in.
    undecided: bool,
    /// Where they go.
    order: [Option<Endpoint>; 3],
}

impl Sidecar {
    /// Just started on a machine without a drop-in.
    pub fn begin() -> Self {
        Self {
            process: Process::Running,
            dropin: None,
            kept: Kept::default(),
            memory: Memory::default(),
            blind: false,
            handed_out: None,
            sight: SightRecord::NOT_ATTACHED,
            foreign: false,
            changed: false,
            meddled: false,
        }
    }

    /// Whether it reacts.
    pub fn runs(&self) -> bool {
        self.process == Process::Running
    }

    /// Ends; what is on disk stays.
    pub fn end(&mut self) {
        (self.process, self.memory) = (Process::Dead, Memory::default());
        self.sight = SightRecord::NOT_ATTACHED;
    }

    /// Starts again.
    pub fn start(&mut self) {
        self.process = Process::Running;
        self.memory.held = self.kept.repaired;
    }

    /// Is stopped: what happens meanwhile may be too much for sight.
    pub fn stop(&mut self) {
        self.process = Process::Stopped;
        self.sight.lost = true;
    }

    /// An IPA has started.
    pub fn ipa_began(&mut self, lots: &Lots) {
        let attached_before_ipa = lots.sight && self.runs();
        self.sight = SightRecord { attached_before_ipa, ..SightRecord::NOT_ATTACHED };
    }

    /// Whether its address may be lost: it would be restarted.
    pub fn may_restart(&self, ipa: &Ipa) -> bool {
        self.runs() && self.sight.attached_before_ipa && !self.sight.lost && !ipa.lookup_left
    }

    /// Whether IPA is restarted, through the product's own `judge`.
    pub fn restarts(&self, ipa: &Ipa, environment: &Environment, lots: &Lots) -> bool {
        let started = matches!(ipa.phase, Phase::LookingUp | Phase::InFlight(_));
        if !self.runs() || !lots.restart || !started {
            return false;
        }
        let ip = |name: Option<Name>| name.and_then(Name::addr).map(Addr::ip);
        let assigned: Vec<_> =
            Addr::ALL.into_iter().filter(|addr| environment.has(*addr)).map(Addr::ip).collect();
        let facts = RestartFacts {
            started_with: ip(ipa.host),
            assigned: Some(&assigned),
            dropin: ip(self.dropin),
            token_spent: false,
            listens: false,
            sight: SightRecord { lookup_seen: ipa.lookup_left, ..self.sight },
            stopped: true,
        };
        judge_restart(&facts) == Verdict::Restart
    }

    /// Whether a lookup of our own is due, through the product's own `due`; delay does not count.
    pub fn is_due(&self, ipa: &Ipa) -> bool {
        let long = Duration::from_secs(9999);
        let last =
            self.kept.read_back.then_some(LastReadBack { ago: long, url: true, after_heartbeat: true });
        let facts = ReadBackFacts {
            up: ipa.is_up().then_some(long),
            accepted: self.memory.accepted_since.then_some(long),
            // Only the guard sees it.
            token_refused: false,
            last,
        };
        self.runs() && read_back_due(&facts).is_some()
    }

    /// A heartbeat of IPA's was seen to be accepted.
    pub fn saw_accepted(&mut self) {
        self.memory.accepted_since |= self.runs();
    }

    /// What Ironic answered to our lookup.
    pub fn read_back(&mut self, url: Option<Url>, token: Option<u8>, ipa: &Ipa) {
        (self.kept.read_back, self.memory.accepted_since) = (true, false);
        self.handed_out = token.or(self.handed_out);
        self.memory.held = url.or(self.memory.held.filter(|_| token.is_none()));
        let id = IpaId { pid: 7, start_ticks: 1000 };
        let state = IpaState { up: ipa.is_up(), version: None, process: Some(id) };
        let repaired = self.kept.repaired.map(|url| Repaired {
            node_uuid: String::new(),
            url: url.text(),
            instead_of: String::new(),
            endpoints: Vec::new(),
        });
        let contents = Contents { repaired, ..Contents::default() };
        let dropin = self.dropin.and_then(Name::host);
        let known = url.and_then(|url| by_read_back(&url.text(), dropin.as_ref(), &contents, &state));
        if let Some(known) = known {
            self.kept.started_with = Some(Name::of(&known.address));
        }
    }

    /// Runs again, whatever has become of it.
    pub fn revive(&mut self) {
        (self.process, self.memory.off) = (Process::Running, false);
    }

    /// The IPA that was known is gone.
    pub fn ipa_ended(&mut self) {
        (self.kept.rewritten, self.kept.started_with, self.kept.read_back) = (false, None, false);
    }

    /// Whether new connections of IPA's come to the guard.
    pub fn redirects(&self, lots: &Lots) -> bool {
        lots.mode == Mode::Guard && self.runs() && !self.memory.off && !lots.proxy
    }

    /// A failure of our own stops the stamp.
    pub fn upstream_failed(&mut self) {
        self.memory.off = true;
    }

    /// Whether the stamp is stopped.
    pub fn is_off(&self) -> bool {
        self.memory.off
    }

    /// The stamp goes on.
    pub fn recover(&mut self) {
        self.memory.off = false;
    }

    /// Hears, asks, decides, writes.
    pub fn react(&mut self, ipa: &Ipa, environment: &Environment, lots: &Lots) {
        if !self.runs() {
            return;
        }
        self.resolve(environment, lots);
        self.commit(ipa);
        self.connect(environment, lots);
        let found = self.decide(environment, lots);
        self.memory.decided = found.name;
        for addr in Addr::ALL {
            let given = self.dropin == Some(Name::Ip(addr));
            self.memory.were[addr as usize] |= environment.has(addr) || given;
        }
        let wanted = found.name.filter(|_| !found.undecided);
        if self.dropin != wanted {
            self.dropin = wanted;
            self.kept.rewritten = ipa.phase != Phase::Off;
            self.foreign |= self.dropin.is_some_and(|name| !is_ours(name, environment));
        }
    }

    /// The address with which IPA has started, through the product's own `started_with`.
    fn commit(&mut self, ipa: &Ipa) {
        type Key = (Option<Name>, Kept, bool, bool);
        let key = (self.dropin, self.kept, ipa.is_up(), ipa.phase != Phase::Off);
        self.kept.started_with = once!(Key => Option<Name>, key, self.ask_commitment(ipa));
    }

    fn ask_commitment(&self, ipa: &Ipa) -> Option<Name> {
        // IPA started 10 s after the kernel.
        let id = IpaId { pid: 7, start_ticks: 1000 };
        let written = Duration::from_secs(if self.kept.rewritten { 99 } else { 1 });
        let address = |name: Option<Name>| name.and_then(Name::host);
        let contents = Contents {
            dropin: address(self.dropin).map(|address| DropinWrite { address, written }),
            started_with: address(self.kept.started_with).map(|address| StartedWith { ipa: id, address }),
            ..Contents::default()
        };
        let process = (ipa.phase != Phase::Off).then_some(id);
        let state = IpaState { up: ipa.is_up(), version: None, process };
        started_with(&contents, &state).map(|known| Name::of(&known.address))
    }

    /// Connects without a byte, where the decision is open; in the order of the decision.
    fn connect(&mut self, environment: &Environment, lots: &Lots) {
        if self.memory.answered.is_some_and(|addr| !environment.has(addr)) {
            self.memory.answered = None;
        }
        let found = self.decide(environment, lots);
        let source = found.order.into_iter().flatten().find_map(|to| environment.connect(lots, to));
        if found.open && self.memory.answered.is_none() {
            self.memory.answered = source;
        }
        self.blind = source.is_none();
    }

    /// Which addresses are known, through the product's own `settle`.
    fn resolve(&mut self, environment: &Environment, lots: &Lots) {
        let whole = lots.api != Api::Dual;
        let known = self.memory.names.unwrap_or([whole; 3]);
        self.memory.names = Some(if whole { known } else { settled(environment.dns, known) });
    }

    fn decide(&self, environment: &Environment, lots: &Lots) -> Decided {
        type Key = (
            [bool; 3],
            bool,
            [bool; 2],
            Api,
            Option<[bool; 3]>,
            bool,
            Option<Url>,
            Option<Addr>,
            Option<Addr>,
        );
        let key = (
            environment.assigned,
            environment.prefer_eth1,
            environment.carrier,
            lots.api,
            self.memory.names,
            lots.placeholder,
            self.memory.held,
            self.committed(),
            self.memory.answered,
        );
        once!(Key => Decided, key, self.ask_decision(environment, lots))
    }

    fn ask_decision(&self, environment: &Environment, lots: &Lots) -> Decided {
        let decision = decide(&self.facts(environment, lots), &parameters(lots));
        let mut order = [None; 3];
        let addresses = decision.endpoints().into_iter().flat_map(|endpoint| endpoint.addresses);
        for (place, ip) in order.iter_mut().zip(addresses) {
            *place = Endpoint::ALL.into_iter().find(|to| to.ip() == ip);
        }
        let name = decision.address.as_ref().map(Name::of);
        Decided { name, open: decision.is_open(), undecided: decision.is_undecided(), order }
    }

    fn facts(&self, environment: &Environment, lots: &Lots) -> Facts {
        let known = self.memory.names.unwrap_or_default();
        let targets = lots.api.urls().iter().zip(api_urls(lots.api)).map(|(addresses, url)| Target {
            url: url.clone(),
            resolution: {
                let addresses = addresses.iter().filter(|to| known[**to as usize]);
                Ok(addresses.map(|to| destination(*to, environment)).collect())
            },
        });
        let place = |addr: Addr| {
            let here = Some(addr).filter(|addr| environment.has(*addr));
            (here.map(address), here.map(|addr| link(addr, environment)))
        };
        let pinned = self.memory.held.map(|url| {
            let addr = url.name.addr();
            let (address, link) = addr.map(place).unwrap_or_default();
            Pinned { url: url.text(), ip: addr.map(Addr::ip), address, link, unanswered: None }
        });
        let committed = self.committed().map(|addr| {
            let (address, link) = place(addr);
            Committed { ip: addr.ip(), address, link, unanswered: None }
        });
        let answered = self.memory.answered.map(|addr| {
            let (address, link) = place(addr);
            let url = api_urls(lots.api)[0].clone();
            Answered { ip: addr.ip(), url, address, link, unanswered: None }
        });
        Facts { targets: targets.collect(), pinned, committed, answered }
    }

    /// Whether the choice is the address that IPA has started with, or what Ironic holds, as long as that is assigned here.
    pub fn stays(&self, environment: &Environment) -> bool {
        let pinned = self.memory.held.and_then(|url| url.name.addr());
        let kept: Vec<_> =
            [pinned, self.committed()].into_iter().flatten().filter(|addr| environment.has(*addr)).collect();
        let chosen = self.memory.decided.and_then(Name::addr);
        !self.runs() || kept.is_empty() || chosen.is_some_and(|addr| kept.contains(&addr))
    }

    fn committed(&self) -> Option<Addr> {
        self.kept.started_with.and_then(Name::addr)
    }

    /// The URL with which a heartbeat goes on.
    pub fn heartbeat(&mut self, url: Url, environment: &Environment, lots: &Lots) -> Url {
        type Key =
            (Url, [bool; 3], [bool; 3], Option<Name>, Option<Url>, Option<Url>, Option<Addr>, bool, bool);
        let lost = |url: &Url| !is_ours(url.name, environment);
        if self.kept.repaired.as_ref().is_some_and(lost) || self.kept.repaired != self.memory.held {
            self.kept.repaired = None;
        }
        let (decided, repaired) = (self.memory.decided, self.kept.repaired);
        let key = (
            url,
            environment.assigned,
            self.memory.were,
            decided,
            self.memory.held,
            repaired,
            lots.listens,
            self.memory.off,
            self.memory.holds_another,
        );
        let outgoing = once!(Key => Url, key, self.ask_policy(url, environment, lots));
        let was_changed = outgoing != url;
        self.foreign |= was_changed && !is_ours(outgoing.name, environment);
        self.meddled |= was_changed && is_ours(url.name, environment);
        self.changed |= was_changed && self.memory.held.is_some_and(|held| held != outgoing);
        outgoing
    }

    fn ask_policy(&self, url: Url, environment: &Environment, lots: &Lots) -> Url {
        let ips =
            |these: [bool; 3]| Addr::ALL.into_iter().filter(move |addr| these[*addr as usize]).map(Addr::ip);
        let local = Local { assigned: ips(environment.assigned).collect(), ..Local::default() };
        let decided = self.memory.decided.and_then(Name::host);
        let (held, repaired) = (self.memory.held.map(Url::text), self.kept.repaired.map(Url::text));
        let facts = HeartbeatFacts {
            decided: decided.as_ref(),
            operator: false,
            port: 9999,
            local: Some(&local),
            were_ours: &ips(self.memory.were).collect(),
            listened: lots.listens.is_none_or(|only| self.memory.decided == Some(Name::Ip(only))),
            may_repair: !self.memory.off,
            held: held.as_deref(),
            holds_another: self.memory.holds_another,
            repaired: repaired.as_deref(),
        };
        match heartbeat(&url.text(), &facts).0 {
            HeartbeatAction::Pass => url,
            HeartbeatAction::Repair(text) => Url::of(&text),
        }
    }

    /// Ironic's answer to a heartbeat with this URL.
    pub fn answered(&mut self, beat: Beat, own: Url, url: Url) {
        let repaired = url != own;
        match beat {
            Beat::Recorded | Beat::Dropped => {
                (self.memory.held, self.memory.holds_another) = (Some(url), false);
                if repaired || self.kept.repaired.is_some_and(|kept| kept != url) {
                    self.kept.repaired = repaired.then_some(url);
                }
            }
            Beat::Pinned if repaired => (self.kept.repaired, self.memory.holds_another) = (None, true),
            Beat::Pinned | Beat::Refused => {}
        }
    }
}

fn is_ours(name: Name, environment: &Environment) -> bool {
    matches!(name, Name::Ip(addr) if environment.has(addr))
}

fn parameters(lots: &Lots) -> AdvertiseParameters {
    let host = lots.placeholder.then(|| advertise_host("None", api_urls(lots.api)).ok()).flatten();
    AdvertiseParameters { host, ..Parameters::default().advertise }
}

fn api_urls(api: Api) -> &'static [ApiUrl] {
    static URLS: LazyLock<[Vec<ApiUrl>; 3]> = LazyLock::new(|| {
        let parse = |text: &str| ApiUrl::parse(text).unwrap();
        let p = "http://192.0.2.1:6385";
        [vec![parse(p)], vec![parse(p), parse("http://192.0.2.2:6385")], vec![parse("http://ironic:6385")]]
    });
    &URLS[api as usize]
}

/// The addresses of the name, after this round of DNS.
fn settled(dns: Dns, known: [bool; 3]) -> [bool; 3] {
    const FAMILIES: [Endpoint; 2] = [Endpoint::P, Endpoint::S];
    once!((Dns, [bool; 3]) => [bool; 3], (dns, known), {
        let mut known = FAMILIES.map(|to| if known[to as usize] { vec![to.ip()] } else { Vec::new() });
        let ask = |to: Endpoint, fails| {
            if dns == fails { Err(Lack::Unknown("SERVFAIL".to_owned())) } else { Ok(vec![to.ip()]) }
        };
        let answers = [ask(Endpoint::P, Dns::NoA), ask(Endpoint::S, Dns::NoAaaa)];
        let all = settle("ironic", answers, &mut known).unwrap_or_default();
        Endpoint::ALL.map(|to| all.contains(&to.ip()))
    })
}

fn destination(to: Endpoint, environment: &Environment) -> Destination {
    let candidates = match environment.source(to) {
        None => Err(RouteFailure::Kernel(Errno::NETUNREACH)),
        Some(source) => Ok(vec![Candidate {
            source: source.ip(),
            chosen_by_kernel: true,
            by_interface: false,
            address: Some(address(source)),
            beside: [address(source)].into(),
            route: Ok(Route {
                source: Some(source.ip()),
                device: Some(index(source.nic())),
                table: Some(254),
            }),
            link: Some(link(source, environment)),
        }]),
    };
    Destination { ip: to.ip(), candidates }
}

fn address(addr: Addr) -> Address {
    Address {
        ip: addr.ip(),
        device: index(addr.nic()),
        link_scope: false,
        tentative: false,
        dad_failed: false,
        deprecated: false,
        temporary: false,
    }
}

fn link(addr: Addr, environment: &Environment) -> Link {
    Link {
        index: index(addr.nic()),
        name: format!("eth{}", addr.nic()).into(),
        alternative_names: Vec::new(),
        up: true,
        carrier: environment.carrier[addr.nic()],
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    }
}

/// lo has the first one.
fn index(nic: usize) -> u32 {
    if nic == 0 { 2 } else { 3 }
}
