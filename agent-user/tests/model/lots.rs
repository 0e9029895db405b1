//! The draws of lots that a run goes through.

use super::environment::{Addr, Api, Dns, Event, Lots, Mode};

/// Nothing special.
pub const PLAIN: Lots = Lots {
    mode: Mode::Configure,
    api: Api::Single,
    first: &[Addr::A4],
    before: None,
    isolated: None,
    v6_first: false,
    tls: false,
    require_tls: false,
    seed: false,
    proxy: false,
    held_before: false,
    placeholder: false,
    keep_alive: false,
    sight: false,
    restart: true,
    faults: 2,
    listens: None,
    only: None,
    kill_in_flight: false,
    blind_start: false,
    lost_before_lookup: false,
    lost_before_heartbeat: false,
};

/// Two IPv4 NICs.
pub const TWO: &[Addr] = &[Addr::A4, Addr::B4];
/// Both families on one NIC.
pub const BOTH: &[Addr] = &[Addr::A4, Addr::A6];

/// The networks: API URLs, first addresses, which network leads nowhere, IPA's family lot.
fn networks(mode: Mode) -> Vec<Lots> {
    let base = Lots { mode, ..PLAIN };
    let mut all = vec![base, Lots { first: &[], ..base }, Lots { first: TWO, ..base }];
    for isolated in [None, Some(Addr::A4), Some(Addr::B4)] {
        all.push(Lots { api: Api::List, first: TWO, isolated, ..base });
    }
    all.push(Lots { api: Api::List, first: &[Addr::A4], isolated: Some(Addr::A4), ..base });
    for v6_first in [false, true] {
        for isolated in [None, Some(Addr::A4), Some(Addr::A6)] {
            all.push(Lots { api: Api::Dual, first: BOTH, isolated, v6_first, ..base });
        }
    }
    all
}

/// Every draw of a mode, with so many faults in a trace.
pub fn draws(mode: Mode, faults: u8) -> Vec<Lots> {
    let networks = networks(mode);
    let mut all = Vec::new();
    for lots in &networks {
        all.push(*lots);
        all.push(Lots { tls: true, require_tls: true, ..*lots });
        all.push(Lots { sight: true, ..*lots });
    }
    let base = Lots { mode, first: TWO, ..PLAIN };
    for lots in &networks {
        let ill = match lots.api {
            Api::Single => [Event::Away].as_slice(),
            Api::List => &[Event::Away, Event::CarrierLost(0)],
            Api::Dual => &[Event::Away, Event::DnsFails(Dns::NoA), Event::DnsFails(Dns::NoAaaa)],
        };
        all.extend(ill.iter().map(|event| Lots { before: Some(*event), ..*lots }));
    }
    all.push(Lots { require_tls: true, ..base });
    all.push(Lots { seed: true, ..base });
    all.push(Lots { held_before: true, ..base });
    all.push(Lots { placeholder: true, ..base });
    if mode == Mode::Guard {
        all.push(Lots { proxy: true, ..base });
        all.push(Lots { keep_alive: true, ..base });
        all.push(Lots { keep_alive: true, seed: true, ..base });
        all.push(Lots { seed: true, api: Api::Dual, first: BOTH, ..base });
    }
    for lots in &mut all {
        lots.faults = faults;
    }
    all
}

/// The lots that are not plain, for a person.
pub fn words(lots: &Lots) -> String {
    let network = format!("{:?} {:?} {:?}", lots.mode, lots.api, lots.first);
    let special = [
        (lots.before.is_some(), format!("before {:?}", lots.before)),
        (lots.isolated.is_some(), format!("isolated {:?}", lots.isolated)),
        (lots.v6_first, "v6_first".to_owned()),
        (lots.tls, "tls".to_owned()),
        (lots.require_tls, "require_tls".to_owned()),
        (lots.seed, "seed".to_owned()),
        (lots.proxy, "proxy".to_owned()),
        (lots.held_before, "held_before".to_owned()),
        (lots.placeholder, "placeholder".to_owned()),
        (lots.keep_alive, "keep_alive".to_owned()),
        (lots.sight, "sight".to_owned()),
        (!lots.restart, "no restart".to_owned()),
        (lots.listens.is_some(), format!("listens {:?}", lots.listens)),
    ];
    let special = special.into_iter().filter_map(|(is, words)| is.then_some(words));
    std::iter::once(network).chain(special).collect::<Vec<_>>().join(", ")
}
