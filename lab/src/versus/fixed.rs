//! The schedules that have a name.

use super::schedule::{Api, Dns, Hit, Mood, Schedule, Step, When};

use Step::{
    Carrier, Daemon, HostAddress, Ironic, Lease, LeaseEnds, OtherLease, RouterAdvertisement, SecondNic,
};
use When::{Asked, Beat, Boot, Ipa, Lookup};

/// How many of [`named`] CI runs: the first ones.
pub const IN_CI: usize = 6;

/// All of them.
pub fn named() -> Vec<Schedule> {
    let calm = |name: &'static str| Schedule::calm(name);
    let without_lease = |name: &'static str| Schedule { lease: false, ..calm(name) };
    let slow_disks = |name: &'static str| Schedule { disks: 3, ..calm(name) };
    let inet6 =
        |name: &'static str| Schedule { api: Api::Inet6, lease: false, inet6: true, disks: 3, ..calm(name) };
    let by_name = |name: &'static str| Schedule { api: Api::Name, inet6: true, ..calm(name) };
    vec![
        without_lease("late-lease").then(Boot(4.0), Lease),
        slow_disks("second-nic").then(Lookup(0.5), SecondNic { reaches: true }),
        inet6("router-advertisement").then(Lookup(0.3), RouterAdvertisement),
        by_name("half-of-dns").then(Boot(1.5), Step::Dns(Dns::NoInet)),
        calm("sigterm-in-the-lookup")
            .then(Boot(0.0), Ironic(Mood::Slow(3.0)))
            .then(Asked(1.0), Daemon(Hit::Terminate))
            .then(Lookup(0.0), Ironic(Mood::Up)),
        Schedule { proxy: true, ..calm("proxy") },
        // Those above run in CI.
        calm("calm"),
        slow_disks("second-nic-to-nowhere").then(Lookup(0.5), SecondNic { reaches: false }),
        calm("second-nic-before-ipa").then(Boot(1.0), SecondNic { reaches: true }),
        inet6("host-address").then(Lookup(0.3), HostAddress),
        inet6("router-advertisement-early").then(Boot(1.0), RouterAdvertisement),
        by_name("other-half-of-dns").then(Boot(1.5), Step::Dns(Dns::NoInet6)),
        by_name("dns-comes-late")
            .then(Boot(0.0), Step::Dns(Dns::Silent))
            .then(Boot(6.0), Step::Dns(Dns::Whole)),
        by_name("two-families"),
        calm("carrier-lost-at-boot").then(Boot(0.5), Carrier(false)).then(Boot(5.0), Carrier(true)),
        slow_disks("carrier-lost-after-lookup")
            .then(Lookup(0.5), Carrier(false))
            .then(Lookup(4.0), Carrier(true)),
        without_lease("no-lease-until-ipa-has-started").then(Boot(16.0), Lease),
        calm("address-lost-before-lookup").then(Ipa(0.0), OtherLease),
        slow_disks("address-lost-after-lookup").then(Lookup(0.5), OtherLease),
        calm("address-away-for-a-while").then(Ipa(0.0), LeaseEnds).then(Ipa(3.0), Lease),
        calm("ironic-comes-late").then(Boot(0.0), Ironic(Mood::Away)).then(Boot(7.0), Ironic(Mood::Up)),
        slow_disks("ironic-restarts-before-heartbeat")
            .then(Lookup(0.5), Ironic(Mood::Away))
            .then(Lookup(6.0), Ironic(Mood::Up)),
        calm("ironic-slow").then(Boot(0.0), Ironic(Mood::Slow(4.0))).then(Lookup(0.0), Ironic(Mood::Up)),
        calm("killed-before-ready").then(Boot(0.1), Daemon(Hit::Kill)),
        calm("stopped-before-ready").then(Boot(0.0), Daemon(Hit::Stop)),
        calm("killed-in-the-lookup")
            .then(Boot(0.0), Ironic(Mood::Slow(3.0)))
            .then(Asked(1.0), Daemon(Hit::Kill))
            .then(Lookup(0.0), Ironic(Mood::Up)),
        calm("stopped-in-the-lookup")
            .then(Boot(0.0), Ironic(Mood::Slow(3.0)))
            .then(Asked(1.0), Daemon(Hit::Stop))
            .then(Lookup(0.0), Ironic(Mood::Up)),
        calm("killed-at-ipa-start").then(Ipa(0.0), Daemon(Hit::Kill)),
        calm("stopped-at-ipa-start").then(Ipa(0.0), Daemon(Hit::Stop)),
        slow_disks("stopped-after-lookup").then(Lookup(0.2), Daemon(Hit::Stop)),
        slow_disks("killed-after-lookup").then(Lookup(0.2), Daemon(Hit::Kill)),
        calm("stopped-for-a-while").then(Ipa(0.0), Daemon(Hit::Stop)).then(Ipa(6.0), Daemon(Hit::Continue)),
        calm("sigterm-after-heartbeat").then(Beat(0.2), Daemon(Hit::Terminate)),
        calm("killed-after-heartbeat").then(Beat(0.2), Daemon(Hit::Kill)),
        calm("repaired-then-killed").then(Ipa(0.0), OtherLease).then(Beat(0.2), Daemon(Hit::Kill)),
        calm("repaired-then-stopped").then(Ipa(0.0), OtherLease).then(Beat(0.2), Daemon(Hit::Stop)),
        calm("repaired-then-sigterm").then(Ipa(0.0), OtherLease).then(Beat(0.2), Daemon(Hit::Terminate)),
        calm("second-nic-after-heartbeat")
            .then(Beat(0.2), SecondNic { reaches: true })
            .then(Beat(0.5), Daemon(Hit::Terminate)),
    ]
}
