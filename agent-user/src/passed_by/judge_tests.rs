//! Every rule, and every sound node that must not be called passed by.

use super::*;
use crate::image::Image;

const SECOND: Duration = Duration::from_secs(1);
const URL: &str = "https://192.0.2.5:9999";

fn ours() -> Option<Host> {
    Host::parse("192.0.2.5")
}

/// A node in order, of which everything is known: 10 min after the start, the last heartbeat 100 s ago.
fn sound() -> Facts {
    Facts {
        mode: Mode::Configure,
        runs: true,
        answers_for: Some(570 * SECOND),
        sight: Some(Sight {
            for_so_long: 600 * SECOND,
            whole: true,
            last: Some(100 * SECOND),
            url: Some(URL.to_owned()),
        }),
        heartbeat_timeout: Some(300 * SECOND),
        dropin: ours(),
        given: ours(),
        known_elsewhere: false,
        place: place(Reads::Yes),
        overridden: None,
        proxy: None,
    }
}

fn place(reads_it: Reads) -> Option<Place> {
    let why = "it reads /etc/ironic-python-agent.conf.d and not /etc/ironic-python-agent.d";
    let why = (reads_it == Reads::No).then(|| why.to_owned());
    Some(Place { reads_it, why, ..Image::default().place(None) })
}

fn sight(change: impl FnOnce(&mut Sight)) -> Option<Sight> {
    let mut sight = sound().sight.unwrap();
    change(&mut sight);
    Some(sight)
}

fn sends(url: &str) -> Option<Sight> {
    sight(|sight| sight.url = Some(url.to_owned()))
}

/// It began after the drop-in, and nothing of it was seen.
fn unseen() -> Option<Sight> {
    sight(|sight| (sight.last, sight.url) = (None, None))
}

fn overridden(host: &str) -> Option<Override> {
    Some(Override { by: "OS_DEFAULT__ADVERTISE_HOST", host: host.to_owned() })
}

#[test]
fn nothing_is_seen_though_it_answers() {
    let silent = |timeout: u32, quiet: u32| {
        let sight = sight(|sight| (sight.last, sight.for_so_long) = (Some(quiet * SECOND), 9000 * SECOND));
        let timeout = Some(timeout * SECOND);
        judge(&Facts { heartbeat_timeout: timeout, sight, answers_for: Some(9000 * SECOND), ..sound() })
    };
    for (timeout, allowed) in [(300, 240), (3600, 2220), (10, 66)] {
        assert_eq!(silent(timeout, allowed), None, "{timeout}");
        assert_eq!(silent(timeout, allowed + 1), Some(Why::NothingSeen), "{timeout}");
    }
    for mode in [Mode::Observe, Mode::Configure, Mode::Guard] {
        let facts = Facts { mode, sight: unseen(), heartbeat_timeout: None, ..sound() };
        assert_eq!(judge(&facts), Some(Why::NothingSeen), "its lookup was not seen: {mode:?}");
    }
}

#[test]
fn it_sends_another_url() {
    for url in
        ["https://192.0.2.6:9999", "http://192.0.2.5 uid 0:9999", "http://None:9999", "http://:9999", ""]
    {
        for mode in [Mode::Configure, Mode::Guard] {
            let facts = Facts { mode, sight: sends(url), ..sound() };
            assert_eq!(judge(&facts), Some(Why::OtherUrl), "{url} {mode:?}");
        }
        assert_eq!(
            judge(&Facts { mode: Mode::Observe, sight: sends(url), ..sound() }),
            None,
            "it gives none"
        );
    }
}

#[test]
fn it_does_not_read_the_drop_in() {
    let facts = Facts { place: place(Reads::No), sight: None, ..sound() };
    assert_eq!(judge(&facts), Some(Why::NotRead));
    assert_eq!(
        judge(&Facts { given: None, ..facts.clone() }),
        Some(Why::NotRead),
        "an IPA from before as well"
    );
    assert_eq!(judge(&Facts { runs: false, ..facts.clone() }), None, "it may be started otherwise");
    assert_eq!(judge(&Facts { dropin: None, ..facts.clone() }), None, "there is nothing to read");
    let other = Facts { sight: sends("https://192.0.2.6:9999"), ..facts.clone() };
    assert_eq!(judge(&other), Some(Why::NotRead), "the cause goes before what comes of it");
    let guard = Facts { mode: Mode::Guard, ..facts };
    assert_eq!(judge(&guard), None, "the guard is for an IPA that takes its address from nobody");
    assert_eq!(judge(&Facts { sight: other.sight, ..guard }), Some(Why::NotRead));
}

#[test]
fn another_host_goes_before_the_drop_in() {
    let facts = Facts { overridden: overridden("192.0.2.99"), sight: None, ..sound() };
    assert_eq!(judge(&facts), Some(Why::Overridden));
    assert_eq!(judge(&Facts { overridden: overridden(""), ..facts.clone() }), Some(Why::Overridden));
    assert_eq!(judge(&Facts { overridden: overridden("192.0.2.5"), ..facts }), None, "it is the same");
}

#[test]
fn a_proxy_takes_the_requests_past_the_guard() {
    let proxy = Some("http_proxy");
    let facts = Facts { mode: Mode::Guard, proxy, sight: unseen(), answers_for: None, ..sound() };
    assert_eq!(judge(&facts), Some(Why::Proxy));
    assert_eq!(judge(&Facts { mode: Mode::Configure, ..facts.clone() }), None, "nobody stands in its path");
    assert_eq!(judge(&Facts { sight: sound().sight, ..facts.clone() }), None, "what came is no proxy's");
    assert_eq!(judge(&Facts { sight: None, ..facts }), None, "the guard does not redirect");
}

#[test]
fn a_sound_node_is_never_passed_by() {
    let old = Facts { given: None, ..sound() };
    for (what, facts) in [
        ("in order", sound()),
        ("through the guard", Facts { mode: Mode::Guard, ..sound() }),
        ("no IPA", Facts { runs: false, answers_for: None, sight: unseen(), ..sound() }),
        ("inside its lookup", Facts { answers_for: None, sight: unseen(), ..sound() }),
        ("it answers for a short time", Facts { answers_for: Some(60 * SECOND), sight: unseen(), ..sound() }),
        (
            "heartbeat_timeout 3600",
            Facts {
                heartbeat_timeout: Some(3600 * SECOND),
                sight: sight(|sight| sight.last = Some(2160 * SECOND)),
                ..sound()
            },
        ),
        (
            "heartbeat_timeout unknown",
            Facts {
                heartbeat_timeout: None,
                sight: sight(|sight| sight.last = Some(9999 * SECOND)),
                ..sound()
            },
        ),
        (
            "the daemon restarted after the lookup",
            Facts {
                heartbeat_timeout: None,
                sight: sight(|sight| (sight.whole, sight.last, sight.url) = (false, None, None)),
                ..sound()
            },
        ),
        (
            "the daemon restarted just now, and the time-out is known",
            Facts {
                sight: sight(|sight| {
                    (sight.whole, sight.last, sight.for_so_long) = (false, None, 200 * SECOND);
                }),
                ..sound()
            },
        ),
        (
            "IPA older than the drop-in sends what it chose",
            Facts { sight: sends("http://192.0.2.7:9999"), ..old.clone() },
        ),
        ("IPA older than the drop-in sends the same", Facts { place: place(Reads::No), ..old }),
        (
            "fast track: one IPA through many deployments",
            Facts {
                answers_for: Some(90_000 * SECOND),
                heartbeat_timeout: None,
                sight: sight(|sight| (sight.whole, sight.for_so_long) = (false, 90_000 * SECOND)),
                ..sound()
            },
        ),
        (
            "the operator's NAT address",
            Facts {
                dropin: Host::parse("203.0.113.9"),
                given: Host::parse("203.0.113.9"),
                sight: sends("https://203.0.113.9:9999"),
                ..sound()
            },
        ),
        (
            "the operator's name",
            Facts {
                dropin: Host::parse("Node.example"),
                given: Host::parse("Node.example"),
                sight: sends("https://node.example:9999"),
                ..sound()
            },
        ),
        (
            "the operator's host, which IPA has from its own file",
            Facts { place: place(Reads::No), known_elsewhere: true, sight: None, ..sound() },
        ),
        ("the address that it started with is lost", Facts { dropin: Host::parse("192.0.2.6"), ..sound() }),
        ("an IPv4-mapped address", Facts { sight: sends("https://[::ffff:192.0.2.5]:9999"), ..sound() }),
        (
            "observe without sight",
            Facts { mode: Mode::Observe, sight: None, dropin: None, given: None, ..sound() },
        ),
        ("configure without sight", Facts { sight: None, ..sound() }),
        ("nobody knows what it reads", Facts { place: None, sight: None, ..sound() }),
        (
            "Ironic is away, and IPA tries",
            Facts { sight: sight(|sight| (sight.last, sight.url) = (Some(8 * SECOND), None)), ..sound() },
        ),
        ("mode agent", Facts { mode: Mode::Agent, sight: unseen(), place: place(Reads::No), ..sound() }),
        (
            "what it sends is ours, whatever is to be expected",
            Facts {
                place: place(Reads::No),
                overridden: overridden("192.0.2.99"),
                proxy: Some("http_proxy"),
                ..sound()
            },
        ),
    ] {
        assert_eq!(judge(&facts), None, "{what}");
    }
}

#[test]
fn each_sentence_names_the_cause_and_what_to_do() {
    let facts = Facts {
        overridden: overridden("\u{1b}[2J"),
        proxy: Some("http_proxy"),
        place: place(Reads::No),
        sight: sends("http://192.0.2.6:9999"),
        ..sound()
    };
    for (why, wanted) in [
        (Why::NothingSeen, &["nothing that it sends", "ipa-sidecar params"][..]),
        (Why::OtherUrl, &["http://192.0.2.6:9999", "192.0.2.5", "advertise_host"]),
        (
            Why::NotRead,
            &["/etc/ironic-python-agent.d", "/etc/ironic-python-agent.conf.d", "--ipa.config-dir"],
        ),
        (Why::Overridden, &["OS_DEFAULT__ADVERTISE_HOST", "\\u{1b}[2J", "--advertise.host"]),
        (Why::Proxy, &["http_proxy", "no_proxy"]),
    ] {
        let shown = facts.describe(why);
        assert!(shown.sentence.starts_with(why.words()), "{shown:?}");
        assert!(wanted.iter().all(|text| shown.sentence.contains(text)), "{shown:?}");
    }
}
