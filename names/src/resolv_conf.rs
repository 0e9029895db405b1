//! `/etc/resolv.conf` as glibc reads it (resolv.conf(5), `resolv/res_init.c`). A line that means nothing is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// glibc asks no more servers (`MAXNS`).
const SERVERS: usize = 3;
/// glibc takes any number; each one can cost a question.
const SEARCH: usize = 64;
/// The limits of `ndots`, `timeout` in seconds and `attempts` (`RES_MAXNDOTS`, `RES_MAXRETRANS`, `RES_MAXRETRY`).
const LIMITS: [u32; 3] = [15, 30, 5];

/// Whom to ask for which names, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In the order of asking; never empty.
    pub servers: Vec<Server>,
    /// The search list.
    pub search: Vec<String>,
    /// A name with so many dots is asked for as it stands first.
    pub ndots: usize,
    /// What the first server gets for an answer.
    pub timeout: Duration,
    /// Rounds over the servers.
    pub attempts: u32,
    /// `use-vc`: TCP only.
    pub tcp_only: bool,
    /// `edns0`: longer answers over UDP.
    pub edns: bool,
    /// `no-aaaa`: no questions for IPv6 addresses.
    pub no_inet6: bool,
    /// `no-tld-query`: a name without a dot is not asked for as it stands.
    pub no_tld: bool,
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub ip: IpAddr,
    /// Of a link-local address: the device's name or index.
    pub zone: Option<String>,
}

impl Config {
    /// Reads the file's bytes; none where there is no file. The host's name gives the domain where no line does.
    pub fn read(text: &[u8], host: &str) -> Self {
        let mut config = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5), // RES_TIMEOUT
            attempts: 2,                     // RES_DFLRETRY
            tcp_only: false,
            edns: false,
            no_inet6: false,
            no_tld: false,
        };
        for line in text.split(|byte| *byte == b'\n') {
            config.line(&String::from_utf8_lossy(line));
        }
        if config.servers.is_empty() {
            config.servers.push(Server { ip: Ipv4Addr::LOCALHOST.into(), zone: None });
        }
        if config.search.is_empty() {
            config.search.extend(host.split_once('.').map(|(_, domain)| domain.to_owned()));
        }
        config
    }

    /// The keyword begins the line, and a blank or tab ends it.
    fn line(&mut self, line: &str) {
        let Some((keyword, rest)) = line.split_once([' ', '\t']) else { return };
        let mut words = rest.split_ascii_whitespace().peekable();
        match keyword {
            "nameserver" if self.servers.len() < SERVERS => {
                self.servers.extend(words.next().and_then(Server::read));
            }
            // The last of both counts.
            "domain" | "search" if words.peek().is_some() => {
                let count = if keyword == "domain" { 1 } else { SEARCH };
                self.search = words.take(count).map(str::to_owned).collect();
            }
            "options" => words.for_each(|word| self.option(word)),
            _ => {}
        }
    }

    /// glibc compares the beginning of a word only.
    fn option(&mut self, word: &str) {
        let number = |name: &str, limit| Some(number(word.strip_prefix(name)?).min(limit));
        let [ndots, timeout, attempts] = LIMITS;
        if let Some(ndots) = number("ndots:", ndots) {
            self.ndots = ndots as usize;
        } else if let Some(seconds) = number("timeout:", timeout) {
            self.timeout = Duration::from_secs(seconds.max(1).into());
        } else if let Some(attempts) = number("attempts:", attempts) {
            // With none glibc asks nobody.
            self.attempts = attempts.max(1);
        } else {
            self.tcp_only |= word.starts_with("use-vc");
            self.edns |= word.starts_with("edns0");
            self.no_inet6 |= word.starts_with("no-aaaa");
            self.no_tld |= word.starts_with("no-tld-query") || word.starts_with("no_tld_query");
        }
    }

    /// How long the server of this place is waited for (`send_dg` in `resolv/res_send.c`).
    pub fn patience(&self, place: usize) -> Duration {
        if place == 0 {
            return self.timeout;
        }
        let seconds = (self.timeout.as_secs() << place.min(SERVERS)) / self.servers.len().max(1) as u64;
        Duration::from_secs(seconds.max(1))
    }
}

impl Server {
    fn read(word: &str) -> Option<Self> {
        if let Some(ip) = inet_aton(word) {
            return Some(Self { ip: ip.into(), zone: None });
        }
        let (ip, zone) = match word.split_once('%') {
            Some((ip, zone)) => (ip, Some(zone.to_owned())),
            None => (word, None),
        };
        let ip: Ipv6Addr = ip.parse().ok()?;
        Some(Self { ip: ip.into(), zone })
    }
}

/// As atoi(3): the digits at the beginning, else 0.
fn number(text: &str) -> u32 {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.get(..end) {
        None | Some("") => 0,
        Some(digits) => digits.parse().unwrap_or(u32::MAX),
    }
}

/// One to four numbers, decimal, octal or hexadecimal; the last one fills what is left (inet_aton(3)).
fn inet_aton(word: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let (digits, base) = match (part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")), part) {
            (Some(digits), _) => (digits, 16),
            (None, "0") => (part, 10),
            (None, _) if part.starts_with('0') => (part, 8),
            (None, _) => (part, 10),
        };
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u32::from_str_radix(digits, base).ok().filter(|_| is_plain)
    };
    let parts: Vec<u32> = word.split('.').map(number).collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    let rest = 4_u32.checked_sub(u32::try_from(bytes.len()).ok()?).filter(|rest| *rest > 0)?;
    if bytes.iter().any(|byte| *byte > 255) || u64::from(*last) >= 1 << (8 * rest) {
        return None;
    }
    let high = bytes.iter().zip([24, 16, 8]).fold(0, |all, (byte, shift)| all | byte << shift);
    Some(Ipv4Addr::from(high | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        let shown = |server: Server| match server.zone {
            Some(zone) => format!("{}%{zone}", server.ip),
            None => server.ip.to_string(),
        };
        Config::read(text.as_bytes(), "node").servers.into_iter().map(shown).collect()
    }

    #[test]
    fn servers_are_read_as_glibc_reads_them() {
        for (text, expected) in [
            ("", vec!["127.0.0.1"]),
            ("nameserver 192.0.2.1\n", vec!["192.0.2.1"]),
            ("nameserver\t192.0.2.1 # the first\r\nnameserver fd00::1\r\n", vec!["192.0.2.1", "fd00::1"]),
            ("nameserver 0.0.0.0\nnameserver ::\n", vec!["0.0.0.0", "::"]),
            ("nameserver fe80::1%bond0.100\n", vec!["fe80::1%bond0.100"]),
            (
                "nameserver fe80::1%br-ex\nnameserver fe80::1%p1p1_1\n",
                vec!["fe80::1%br-ex", "fe80::1%p1p1_1"],
            ),
            (
                "nameserver 127.1\nnameserver 0x7f000001\nnameserver 010.0.0.1\n",
                vec!["127.0.0.1", "127.0.0.1", "8.0.0.1"],
            ),
            (
                " nameserver 192.0.2.1\n#nameserver 192.0.2.2\n;nameserver 192.0.2.3\nNameserver 192.0.2.4\n",
                vec!["127.0.0.1"],
            ),
            (
                "nameserver 192.0.2.1#53\nnameserver 192.0.2.256\nnameserver 1.2.3.4.5\nnameserver x\nnameserver \nnameserver\n",
                vec!["127.0.0.1"],
            ),
            (
                "nameserver 1\nnameserver 2\nnameserver 3\nnameserver 4\n",
                vec!["0.0.0.1", "0.0.0.2", "0.0.0.3"],
            ),
        ] {
            assert_eq!(servers(text), expected, "{text:?}");
        }
        let config = Config::read(b"\xff\xfe\0 x\nnameserver 192.0.2.1\nsearch \xff lab\n", "node");
        assert_eq!(config.servers.len(), 1);
        assert_eq!(config.search.last().map(String::as_str), Some("lab"));
    }

    #[test]
    fn the_last_search_list_counts_else_the_host_s_domain() {
        for (text, expected) in [
            ("search a b\ndomain c\n", vec!["c"]),
            ("domain c d\nsearch a b\n", vec!["a", "b"]),
            ("search a b\nsearch\nsearch \ndomain \n", vec!["a", "b"]),
            ("search\ta  b\t\r\n", vec!["a", "b"]),
            ("", vec!["lab.example"]),
        ] {
            assert_eq!(Config::read(text.as_bytes(), "node.lab.example").search, expected, "{text:?}");
        }
        assert!(Config::read(b"", "node").search.is_empty());
    }

    #[test]
    fn options_are_read_and_bounded() {
        let config =
            Config::read(b"options ndots:3 timeout:2\noptions attempts:4 use-vc edns0 no-aaaa\n", "");
        assert_eq!((config.ndots, config.timeout.as_secs(), config.attempts), (3, 2, 4));
        assert!(config.tcp_only && config.edns && config.no_inet6 && !config.no_tld);
        let config = Config::read(b"options ndots:99 timeout:99 attempts:99 rotate trust-ad inet6\n", "");
        assert_eq!((config.ndots, config.timeout.as_secs(), config.attempts), (15, 30, 5));
        let config = Config::read(b"options ndots: timeout:0 attempts:x no-tld-query\n", "");
        assert_eq!((config.ndots, config.timeout.as_secs(), config.attempts), (0, 1, 1));
        assert!(config.no_tld);
    }

    #[test]
    fn later_servers_get_the_time_that_glibc_gives_them() {
        let config = Config::read(b"nameserver 1\nnameserver 2\nnameserver 3\n", "");
        assert_eq!([0, 1, 2].map(|place| config.patience(place).as_secs()), [5, 3, 6]);
        let config = Config::read(b"nameserver 1\nnameserver 2\noptions timeout:1\n", "");
        assert_eq!([0, 1].map(|place| config.patience(place).as_secs()), [1, 1]);
    }
}
