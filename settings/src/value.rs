//! How the text of one value is read: pure functions that say what would be right where the text cannot be used.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use callback_url::{ApiUrl, Host, Scheme};
use serde_json::Value;

/// What would be right, as a text behind "wanted".
pub type Wanted = Cow<'static, str>;

/// The longest duration that is taken: beyond it sums with the clock could overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A truth value as oslo.config reads it (`oslo_config/types.py`, Boolean).
pub fn boolean(text: &str) -> Result<bool, Wanted> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("true or false".into()),
    }
}

/// A TCP port.
pub fn port(text: &str) -> Result<u16, Wanted> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("a number from 1 to 65535".into()),
    }
}

/// How often something is tried.
pub fn count(text: &str) -> Result<u32, Wanted> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("a whole number, at least 1".into()),
    }
}

/// Seconds as a number, or a number with one of the units ms, s, m, h. IPA itself takes whole seconds only, so that
/// is all that is right in its layers (`foreign`).
pub fn duration(text: &str, minimum: Duration, foreign: bool) -> Result<Duration, Wanted> {
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
pub fn show_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

/// A duration in JSON: seconds.
pub fn duration_json(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 {
        Value::from(duration.as_secs())
    } else {
        Value::from(duration.as_secs_f64())
    }
}

/// An address or a DNS name.
pub fn host(text: &str) -> Result<Host, Wanted> {
    Host::parse(text).ok_or_else(|| "an IPv4 address, an IPv6 address or a DNS name".into())
}

/// `http` or `https`; IPA compares them exactly, the program's own layers need not.
pub fn protocol(text: &str) -> Result<Scheme, Wanted> {
    match text {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err("http or https".into()),
    }
}

/// Address and port to listen on; without an address every one, as exporters take it.
pub fn listen_address(text: &str) -> Result<SocketAddr, Wanted> {
    let every = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let every = every.map(|port: u16| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)));
    let wanted = "an address with a port, like [::]:10099 or 127.0.0.1:10099, or a port like :10099";
    every.or_else(|| text.parse().ok()).ok_or_else(|| wanted.into())
}

/// One API URL of a comma list.
pub fn api_url(text: &str) -> Result<ApiUrl, Wanted> {
    ApiUrl::parse(text).map_err(|error| {
        let reason = error.to_string();
        format!("a URL like http://192.0.2.1:6385 ({reason})").into()
    })
}

/// A text without the user name and password that a URL may carry.
pub fn without_password(text: &str) -> Cow<'_, str> {
    let Some((before, behind)) = text.rsplit_once('@') else {
        return Cow::Borrowed(text);
    };
    let scheme = before.split_once("//").map_or("", |(scheme, _)| scheme);
    let slashes = if scheme.is_empty() { "" } else { "//" };
    Cow::Owned(format!("{scheme}{slashes}{}@{behind}", text::MASK))
}

/// A token: what may stand in a JSON body and a header; the reason never holds it.
pub fn token(text: &str) -> Result<String, Wanted> {
    if (1..=1024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("a token of 1 to 1024 visible ASCII characters".into())
    }
}

/// A file's name.
pub fn path(text: &str) -> Result<std::path::PathBuf, Wanted> {
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
    fn passwords_in_urls_are_masked() {
        assert_eq!(without_password("http://u:p@h:1"), "http://******@h:1");
        assert_eq!(without_password("u:p@x@h"), "******@h");
        assert_eq!(without_password("http://h"), "http://h");
    }
}
