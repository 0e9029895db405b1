//! How the text of one value is read: pure functions that say what would be right where the text is no use.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use api_client::ApiVersion;
use callback_url::{ApiUrl, Context, Host, Reason, Scheme, build, judge};
use serde_json::Value;

use crate::logging;
use crate::params::RestartUnit;

/// What would be right, in words that go behind "wanted".
pub(super) type Wanted = Cow<'static, str>;

/// The longest duration that is taken: beyond it sums with the clock could overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest name of a network device, an alternative one (ALTIFNAMSIZ in linux/if.h, less the final NUL).
const INTERFACE_NAME_MAX: usize = 127;

/// A truth value as oslo.config reads it (`oslo_config/types.py`, Boolean).
pub(super) fn boolean(text: &str) -> Result<bool, Wanted> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, Wanted> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("a number from 1 to 65535".into()),
    }
}

/// How often something is tried.
pub(super) fn count(text: &str) -> Result<u32, Wanted> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a whole number, at least 1".into()),
    }
}

/// Seconds as a number, or a number with one of the units ms, s, m, h. IPA itself takes whole seconds only, so that
/// is all that is right in its layers (`foreign`).
pub(super) fn duration(text: &str, minimum: Duration, foreign: bool) -> Result<Duration, Wanted> {
    let wanted = || -> Wanted {
        let form = if foreign {
            "a whole number of seconds, like 30"
        } else {
            "seconds or a number with a unit, like 30, 90s, 5m or 500ms"
        };
        format!("{form}, at least {}, at most 365 days", show_duration(minimum)).into()
    };
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits_end).ok_or_else(wanted)?;
    if foreign && (!unit.is_empty() || number.contains('.')) {
        return Err(wanted());
    }
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wanted()),
    };
    let seconds: f64 = number.parse().map_err(|_| wanted())?;
    let read = Duration::try_from_secs_f64(seconds * factor).map_err(|_| wanted())?;
    if (minimum..=LONGEST).contains(&read) { Ok(read) } else { Err(wanted()) }
}

/// A duration for people: whole seconds, or milliseconds.
pub(super) fn show_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

/// A duration in JSON: seconds.
pub(super) fn duration_json(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 {
        Value::from(duration.as_secs())
    } else {
        Value::from(duration.as_secs_f64())
    }
}

/// An address or a DNS name.
pub(super) fn host(text: &str) -> Result<Host, Wanted> {
    Host::parse(text).ok_or_else(|| "an IPv4 address, an IPv6 address or a DNS name".into())
}

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

/// `http` or `https`; IPA compares them exactly, our own layers need not.
pub(super) fn protocol(text: &str) -> Result<Scheme, Wanted> {
    match text {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err("http or https".into()),
    }
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

/// Address and port to listen on; without an address every one, as exporters take it.
pub(super) fn listen_address(text: &str) -> Result<SocketAddr, Wanted> {
    let every = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let every = every.map(|port: u16| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)));
    let wanted = "an address with a port, like [::]:10099 or 127.0.0.1:10099, or a port like :10099";
    every.or_else(|| text.parse().ok()).ok_or_else(|| wanted.into())
}

/// The same, on the loopback.
pub(super) fn loopback_address(text: &str) -> Result<SocketAddr, Wanted> {
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    match text.parse::<SocketAddr>() {
        Ok(address) if is_loopback(address.ip()) => Ok(address),
        _ => Err("a loopback address with a port, like 127.0.0.1:6385".into()),
    }
}

/// One API URL of a comma list.
pub(super) fn api_url(text: &str) -> Result<ApiUrl, Wanted> {
    ApiUrl::parse(text).map_err(|error| {
        let reason = error.to_string();
        format!("a URL like http://192.0.2.1:6385 ({reason})").into()
    })
}

/// A text without the user name and password that a URL may carry.
pub(super) fn without_password(text: &str) -> Cow<'_, str> {
    let Some((before, behind)) = text.rsplit_once('@') else {
        return Cow::Borrowed(text);
    };
    let scheme = before.split_once("//").map_or("", |(scheme, _)| scheme);
    let slashes = if scheme.is_empty() { "" } else { "//" };
    Cow::Owned(format!("{scheme}{slashes}{}@{behind}", text::MASK))
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

/// A token: what may stand in a JSON body and a header; the reason never holds it.
pub(super) fn token(text: &str) -> Result<String, Wanted> {
    if (1..=1024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a token of 1 to 1024 visible ASCII characters".into())
    }
}

/// A file's name.
pub(super) fn path(text: &str) -> Result<std::path::PathBuf, Wanted> {
    if text.is_empty() || text.contains('\0') {
        Err("the name of a file or directory".into())
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            (".5", 500),
        ] {
            let read = duration(text, Duration::ZERO, false).unwrap();
            assert_eq!(read, Duration::from_millis(milliseconds), "{text}");
        }
        for text in
            ["", "s", "-1", "5 m", "1e3", "1.2.3", "5d", "8761h", "٣", "inf", "999999999999999999999999999"]
        {
            assert!(duration(text, Duration::ZERO, false).is_err(), "{text}");
        }
        assert!(duration("500ms", SECOND, false).is_err());
        for text in ["5m", "1.5", "30s"] {
            assert!(duration(text, SECOND, true).is_err(), "{text}");
        }
        assert_eq!(duration("600", SECOND, true), Ok(Duration::from_secs(600)));
    }

    #[test]
    fn booleans_as_in_oslo() {
        for text in ["true", "1", "On", "YES"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["False", "0", "off", "no"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["", "y", "t", "2", " true"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

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

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(without_password("http://u:p@h:1"), "http://******@h:1");
        assert_eq!(without_password("u:p@x@h"), "******@h");
        assert_eq!(without_password("http://h"), "http://h");
    }
}
