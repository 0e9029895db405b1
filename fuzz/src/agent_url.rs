//! Callback URLs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use callback_url::{
    Context, Host, Judgement, Local, Reason, Scheme, Verdict, build, host, judge, port, same_to_ironic,
};

/// A suggestion is judged good; what is judged good parses back to host and port; what we build of a usable address is
/// good.
pub fn agent_url(data: &[u8]) {
    let url = String::from_utf8_lossy(data);
    for context in contexts(&url) {
        let judgement = judge(&url, &context);
        consistent(&judgement);
        if let Some(suggestion) = &judgement.suggestion {
            assert_eq!(judge(suggestion, &context).reasons, [], "{suggestion:?} was suggested for {url:?}");
        }
        if judgement.verdict == Verdict::Good {
            parses_back(&url);
        }
    }
    assert!(same_to_ironic(&url, &url));
    built(data);
}

/// Nothing known; TLS required; a machine that has the URL's own address, decided on or not; one that has another.
fn contexts(url: &str) -> Vec<Context> {
    let own = match host(url) {
        Some(Host::Ip(ip)) => vec![ip],
        _ => Vec::new(),
    };
    let other: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    let local = |assigned: &[IpAddr], decided: Option<IpAddr>| Context {
        local: Some(Local {
            assigned: assigned.to_vec(),
            deprecated: assigned.to_vec(),
            decided: decided.map(Host::Ip),
            ..Local::default()
        }),
        ..Context::default()
    };
    vec![
        Context::default(),
        Context { require_tls: true, ..Context::default() },
        local(&own, own.first().copied()),
        local(&own, None),
        local(&[own.clone(), vec![other]].concat(), Some(other)),
        Context { must_be_routable: true, ..local(&own, None) },
        local(&[other], Some(other)),
    ]
}

fn consistent(judgement: &Judgement) {
    assert_eq!(judgement.verdict == Verdict::Good, judgement.reasons.is_empty());
    assert!(judgement.reasons.is_sorted() && judgement.warnings.is_sorted());
    assert!(judgement.verdict == Verdict::Bad || judgement.suggestion.is_none());
}

fn parses_back(url: &str) {
    let (host_there, port_there) = (host(url).expect("a host"), port(url).expect("a port"));
    let scheme = if url.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("https")) {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let again = build(scheme, &host_there, port_there);
    assert_eq!((host(&again), port(&again)), (Some(host_there), Some(port_there)), "{url:?} and {again:?}");
    // And another reader sees the same authority: nothing in it means something else to a client.
    let uri: hyper::Uri = url.parse().expect("a URI");
    assert_eq!(uri.port_u16(), Some(port_there), "{url:?}");
    assert_eq!(uri.host().and_then(Host::parse), host(url), "{url:?}");
}

fn built(data: &[u8]) {
    let Some((bits, rest)) = data.split_first_chunk::<16>() else { return };
    let Some(port_bytes) = rest.first_chunk::<2>() else { return };
    let port = u16::from_be_bytes(*port_bytes).max(1);
    let [a, b, c, d, ..] = *bits;
    for ip in [IpAddr::from(Ipv6Addr::from(*bits)), IpAddr::from(Ipv4Addr::new(a, b, c, d))] {
        for scheme in [Scheme::Http, Scheme::Https] {
            let url = build(scheme, &Host::Ip(ip), port);
            // Only what the address is can be wrong with it, never how it is written.
            let class = [
                Reason::Unspecified,
                Reason::Loopback,
                Reason::LinkLocal,
                Reason::Multicast,
                Reason::Broadcast,
            ];
            let judgement = judge(&url, &Context::default());
            assert!(judgement.reasons.iter().all(|reason| class.contains(reason)), "{url} {judgement:?}");
        }
    }
}
