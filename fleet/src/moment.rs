//! Moments: as Ironic writes them, as HTTP writes them, and as people read them.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Seconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

/// The names of the months in an HTTP date (RFC 9110, 5.6.7).
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Moment {
    /// This machine's clock.
    pub fn of_this_clock() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.unwrap_or_default().as_secs())
    }

    /// Seconds since 1970.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Reads `2026-01-02T03:04:05.678901`, with a blank in the place of the `T`, and with `Z` or a zone like `+00:00`
    /// behind it; without one it is UTC, as Ironic means it.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.trim().split_once(['T', ' '])?;
        let mut date = date.splitn(3, '-').map(number);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
        let (time, zone) = rest.split_at_checked(end)?;
        let mut time = time.split('.').next()?.splitn(3, ':').map(number);
        let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
        let local = seconds(year, month, day, hour, minute, second)?;
        Some(Self(match zone.split_at_checked(1) {
            None | Some(("Z", "")) => local,
            Some(("+", offset)) => local.checked_sub(zone_seconds(offset)?)?,
            Some((_, offset)) => local.checked_add(zone_seconds(offset)?)?,
        }))
    }

    /// Reads the `Date` of an HTTP answer: `Fri, 02 Jan 2026 03:04:05 GMT`.
    pub fn parse_http(text: &str) -> Option<Self> {
        let mut words = text.split_once(", ")?.1.split(' ');
        let day = number(words.next()?)?;
        let name = words.next()?;
        let month = MONTHS.iter().position(|month| *month == name)?;
        let year = number(words.next()?)?;
        let mut time = words.next()?.splitn(3, ':').map(number);
        let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
        let month = u64::try_from(month).ok()?.checked_add(1)?;
        seconds(year, month, day, hour, minute, second).map(Self)
    }

    /// So much earlier.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// So much later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// How long before the other one; nothing where it is later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_secs(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Moment {
    /// RFC 3339 with `Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&exporter::utc(self.0))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Digits only, at most 4 of them.
fn number(text: &str) -> Option<u64> {
    let sound = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| sound)
}

fn zone_seconds(offset: &str) -> Option<u64> {
    let (hours, minutes) = offset.split_once(':').or_else(|| offset.split_at_checked(2))?;
    let minutes = if minutes.is_empty() { 0 } else { number(minutes)? };
    number(hours)?.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)
}

/// Proleptic Gregorian calendar, from 1970 on.
fn seconds(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> Option<u64> {
    let is_sound = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_sound || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // March is the first month, so that the leap day is the last of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + of_year;
    let days = days.checked_sub(719_468)?; // From 0000-03-01 to 1970-01-01.
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ironic_and_http_write() {
        let moment = Moment(1_767_323_045);
        let expected = Some(moment);
        for text in [
            "2026-01-02T03:04:05.678901",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05.678",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02T03:04:05.5Z",
            "2026-01-02T05:04:05+02:00",
            "2026-01-01T21:34:05.1-0530",
        ] {
            assert_eq!(Moment::parse(text), expected, "{text}");
        }
        assert_eq!(Moment::parse_http("Fri, 02 Jan 2026 03:04:05 GMT"), expected);
        assert_eq!(moment.to_string(), "2026-01-02T03:04:05Z");
        for text in ["", "2026-01-02", "2026-13-02T03:04:05", "1969-01-02T03:04:05", "2026-01-02T03:04", "x"]
        {
            assert_eq!(Moment::parse(text), None, "{text}");
            assert_eq!(Moment::parse_http(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_u64..250_000_000_000) {
            let moment = Moment(seconds);
            proptest::prop_assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn never_panics(text in "\\PC*", digits in "[0-9:TZ.+ -]{0,30}") {
            let _ = (Moment::parse(&text), Moment::parse_http(&text));
            let _ = (Moment::parse(&digits), Moment::parse_http(&digits));
        }
    }
}
