//! Schedules that a seed makes: the same seed, the same schedule.

use fastrand::Rng;

use super::schedule::{Api, Dns, Hit, Mood, Schedule, Step, When};

/// The schedule of this seed.
pub fn schedule(seed: u64) -> Schedule {
    let mut rng = Rng::with_seed(seed);
    let api = match rng.u8(..5) {
        0 | 1 => Api::Inet,
        2 => Api::Inet6,
        _ => Api::Name,
    };
    let mut schedule = Schedule {
        api,
        lease: api != Api::Inet6 && rng.u8(..4) > 0,
        inet6: api != Api::Inet,
        proxy: rng.u8(..8) == 0,
        disks: if rng.bool() { 3 } else { 0 },
        ..Schedule::calm(format!("seed-{seed}"))
    };
    if !schedule.lease && api != Api::Inet6 {
        schedule = schedule.then(When::Boot(seconds(&mut rng, 1.0, 6.0)), Step::Lease);
    }
    for _ in 0..rng.u8(1..=2) {
        let when = when(&mut rng);
        schedule.steps.extend(trouble(&mut rng, api, when));
    }
    if rng.u8(..3) > 0 {
        let when = when(&mut rng);
        schedule.steps.extend(hit(&mut rng, when));
    }
    schedule
}

/// Where in a start something happens.
fn when(rng: &mut Rng) -> When {
    match rng.u8(..5) {
        0 => When::Boot(seconds(rng, 0.0, 4.0)),
        1 => When::Ipa(seconds(rng, 0.0, 1.5)),
        2 => When::Asked(seconds(rng, 0.0, 1.0)),
        _ => When::Lookup(seconds(rng, 0.0, 2.0)),
    }
}

/// Something that happens on the net, and how it ends.
fn trouble(rng: &mut Rng, api: Api, when: When) -> Vec<(When, Step)> {
    let end = later(when, seconds(rng, 2.0, 5.0));
    match rng.u8(..12) {
        0 | 1 => vec![(when, Step::SecondNic { reaches: rng.u8(..4) > 0 })],
        2 => vec![(when, Step::Carrier(false)), (end, Step::Carrier(true))],
        3 if api != Api::Inet6 => vec![(when, Step::OtherLease)],
        4 if api != Api::Inet6 => vec![(when, Step::LeaseEnds), (end, Step::Lease)],
        5 | 6 if api != Api::Inet => vec![(when, Step::RouterAdvertisement)],
        7 if api != Api::Inet => vec![(when, Step::HostAddress)],
        8 | 9 if api == Api::Name => {
            let fault = [Dns::NoInet, Dns::NoInet6, Dns::Silent];
            let fault = rng.choice(fault).unwrap_or(Dns::Silent);
            vec![(when, Step::Dns(fault)), (end, Step::Dns(Dns::Whole))]
        }
        10 => vec![(when, Step::Ironic(Mood::Away)), (end, Step::Ironic(Mood::Up))],
        _ => {
            let slow = Mood::Slow(seconds(rng, 1.0, 3.5));
            vec![(when, Step::Ironic(slow)), (later(when, 12.0), Step::Ironic(Mood::Up))]
        }
    }
}

/// Something that happens to the daemon.
fn hit(rng: &mut Rng, when: When) -> Vec<(When, Step)> {
    let end = later(when, seconds(rng, 2.5, 6.0));
    match rng.u8(..4) {
        0 => vec![(when, Step::Daemon(Hit::Kill))],
        1 => vec![(when, Step::Daemon(Hit::Terminate))],
        2 => vec![(when, Step::Daemon(Hit::Stop))],
        _ => vec![(when, Step::Daemon(Hit::Stop)), (end, Step::Daemon(Hit::Continue))],
    }
}

fn later(when: When, by: f32) -> When {
    match when {
        When::Boot(after) => When::Boot(after + by),
        When::Ipa(after) => When::Ipa(after + by),
        When::Asked(after) => When::Asked(after + by),
        When::Lookup(after) => When::Lookup(after + by),
        When::Beat(after) => When::Beat(after + by),
    }
}

/// In tenths, so that they are printed as they are.
fn seconds(rng: &mut Rng, least: f32, most: f32) -> f32 {
    ((least + rng.f32() * (most - least)) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_schedule_and_another_one_another() {
        let text = |seed| schedule(seed).to_string();
        assert_eq!(text(7), text(7));
        let mut all: Vec<_> = (1..=60).map(text).collect();
        all.sort();
        all.dedup();
        assert!(all.len() > 55, "{}", all.len());
    }
}
