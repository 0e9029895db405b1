//! The values that only this daemon has; the others are read by [`settings::value`].

use std::net::{IpAddr, SocketAddr};

use api_client::ApiVersion;
use callback_url::{ApiUrl, Context, Host, Reason, Scheme, build, judge};
pub(super) use settings::value::*;

use crate::logging;
use crate::params::RestartUnit;

/// The longest name of a network device, an alternative one (ALTIFNAMSIZ in linux/if.h, less the final NUL).
const INTERFACE_NAME_MAX: usize = 127;

/// What the conductor could connect to: no program's word for "no address", and no address that is nobody else's.
/// Loopback only where the API is there too.
pub fn advertise_host(text: &str, api_urls: &[ApiUrl]) -> Result<Host, Wanted> {
    let read = host(text)?;
    let judged = |host: &Host| judge(&build(Scheme::Http, host, 1), &Context::default()).reasons;
    let api_is_loopback =
        !api_urls.is_empty() && api_urls.iter().all(|url| judged(&url.host).contains(&Reason::Loopback));
    match judged(&read).first() {
        Some(Reason::Loopback) if api_is_loopback => Ok(read),
        Some(reason) => {
            Err(format!("an address or DNS name that Ironic can connect to ({})", reason.words()).into())
        }
        None => Ok(read),
    }
}

/// The URL of an `ipa-fleet`, with the path of its reports or without.
pub(super) fn report_url(text: &str) -> Result<ApiUrl, Wanted> {
    let text = text.trim().trim_end_matches('/');
    let base = text.strip_suffix("/v1/report").unwrap_or(text);
    ApiUrl::parse(base).map_err(|error| {
        let reason = error.to_string();
        format!("a URL like http://192.0.2.1:10101 ({reason})").into()
    })
}

/// `1.72`, or `auto` (or `latest`) for what the server offers.
pub(super) fn api_version(text: &str) -> Result<Option<ApiVersion>, Wanted> {
    if text == "auto" || text == "latest" {
        return Ok(None);
    }
    let digits = |part: &str| {
        let all = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        all.then(|| part.parse::<u16>().ok()).flatten()
    };
    let version = text.split_once('.').and_then(|(major, minor)| Some((digits(major)?, digits(minor)?)));
    match version {
        Some((major @ 1, minor)) => Ok(Some(ApiVersion { major, minor })),
        _ => Err("an API version like 1.72, or auto".into()),
    }
}

/// The same, on the loopback.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, Wanted> {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    match text.parse::<SocketAddr>() {
        Ok(address) if is_loopback(address.ip()) => Ok(address),
        _ => Err("a loopback address with a port, like 127.0.0.1:6385".into()),
    }
}

/// The name of a network device as the kernel allows it (`dev_valid_name` in net/core/dev.c).
pub(super) fn interface(text: &str) -> Result<String, Wanted> {
    let sound = (1..=INTERFACE_NAME_MAX).contains(&text.len())
        && text != "."
        && text != ".."
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':');
    if sound { Ok(text.to_owned()) } else { Err("the name of a network device, like eth0".into()) }
}

/// What may stand in a request header as it is, and in a log line.
pub(super) fn request_id(text: &str) -> Result<String, Wanted> {
    if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a request id like req-2b9c1a3e-0f0e-4d6c-9b1e-5c7d2f3a4b5c".into())
    }
}

/// A driver name: it becomes a part of a path.
pub(super) fn driver_name(text: &str) -> Result<String, Wanted> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
    if (1..=255).contains(&text.len()) && text.bytes().all(sound) && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err("a driver name like pxe_ipmitool".into())
    }
}

/// IPA's list of VLAN devices (ironic_python_agent/netutils.py); an empty one is none.
pub(super) fn vlan_interfaces(text: &str) -> Result<String, Wanted> {
    match text.chars().all(|character| character.is_ascii_graphic() || character == ' ') {
        true => Ok(text.to_owned()),
        false => Err("devices like eth0.100, or all".into()),
    }
}

/// What is restarted: auto, off, or the name of a systemd service (systemd.unit(5)).
pub(super) fn restart_unit(text: &str) -> Result<RestartUnit, Wanted> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    let stem = text.strip_suffix(".service").unwrap_or_default();
    match text {
        "auto" => Ok(RestartUnit::Auto),
        "off" => Ok(RestartUnit::Off),
        name if !stem.is_empty() && name.len() <= 255 && stem.bytes().all(sound) => {
            Ok(RestartUnit::Named(name.to_owned()))
        }
        _ => Err("auto, off, or a systemd service like ironic-python-agent.service".into()),
    }
}

/// A filter of log lines.
pub(super) fn log_filter(text: &str) -> Result<String, Wanted> {
    logging::filter(text).map(|_| text.to_owned()).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(api_version("1.72"), Ok(Some(ApiVersion { major: 1, minor: 72 })));
        assert_eq!(api_version("auto"), Ok(None));
        assert_eq!(api_version("latest"), Ok(None));
        for text in ["", "1", "2.0", "1.", "1.x", "1.72.1", "1.+7", "1.99999"] {
            assert!(api_version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_guard_listens_on_the_loopback_only() {
        for text in ["127.0.0.1:6385", "[::1]:6385", "127.9.9.9:0", "[::ffff:127.0.0.1]:1"] {
            assert!(loopback_address(text).is_ok(), "{text}");
        }
        for text in ["0.0.0.0:6385", "[::]:6385", "192.0.2.1:6385", "localhost:6385", ":6385", "127.0.0.1"] {
            assert!(loopback_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_become_part_of_something_else_are_narrow() {
        assert!(interface("eth0.77").is_ok() && interface("br-ex@if3").is_ok());
        for text in ["", ".", "..", "a/b", "a b", "eth0:1", "a\n"] {
            assert!(interface(text).is_err(), "{text}");
        }
        assert!(driver_name("pxe_ipmitool").is_ok());
        for text in ["", "../x", "a/b", "a b", "é"] {
            assert!(driver_name(text).is_err(), "{text}");
        }
        assert_eq!(restart_unit("auto"), Ok(RestartUnit::Auto));
        let named = RestartUnit::Named("ironic-python-agent.service".to_owned());
        assert_eq!(restart_unit("ironic-python-agent.service"), Ok(named));
        for text in ["", ".service", "ironic-python-agent", "a/b.service", "x.socket"] {
            assert!(restart_unit(text).is_err(), "{text}");
        }
        assert!(request_id("req-1").is_ok() && request_id("a\r\nb").is_err() && request_id("").is_err());
        assert!(token("x y").is_err() && token("").is_err() && token("abc-_").is_ok());
    }
}
