//! The host and port that a failure's text names.

use std::net::Ipv6Addr;

use callback_url::DEFAULT_PORT;

/// The port of the iSCSI portal that Ironic looked for in the years of the iSCSI deploy
/// (ironic/drivers/modules/deploy_utils.py).
pub const PORTAL: &str = "3260";
/// No host that is read is longer.
const LONGEST: usize = 64 << 10;
/// No port that is read is longer.
const LONGEST_PORT: usize = 32;
/// What the agent serves (ironic_python_agent/api/app.py).
const PATHS: [&str; 2] = ["/v1/commands", "/v1/status"];

/// An agent, as a text names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By the connection that failed.
    Connection {
        /// `http` or `https`.
        scheme: &'static str,
        /// As it stands in the text.
        host: String,
        /// As it stands in the text.
        port: String,
    },
    /// By the device that the host's iSCSI portal should have brought.
    Portal {
        /// As it stands in the text.
        host: String,
    },
    /// By the URL itself.
    Url(String),
}

impl Named {
    /// The agent URL. That of a portal has the agent's usual port.
    pub fn url(&self) -> String {
        match self {
            Self::Connection { scheme, host, port } => format!("{scheme}://{}:{port}", bracketed(host)),
            Self::Portal { host } => format!("http://{}:{DEFAULT_PORT}", bracketed(host)),
            Self::Url(url) => url.clone(),
        }
    }

    /// The host as it stands in the text; `None` for a whole URL.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Connection { host, .. } | Self::Portal { host } => Some(host),
            Self::Url(_) => None,
        }
    }
}

/// urllib3 takes the brackets away.
fn bracketed(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => host.to_owned(),
    }
}

/// The agent that a text names: other services that a deployment speaks to are none.
pub fn named(text: &str) -> Option<Named> {
    connection(text).or_else(|| portal(text)).or_else(|| url(text))
}

/// Every agent that a text names, by each way of naming at most one.
pub fn every(text: &str) -> impl Iterator<Item = Named> {
    [connection(text).or_else(|| url(text)), portal(text)].into_iter().flatten()
}

/// `HTTPConnectionPool(host='HOST', port=PORT)`, of a connection to an agent.
fn connection(text: &str) -> Option<Named> {
    const POOL: &str = "ConnectionPool(host=";
    // Once for all: a text may name very many.
    let agent = ["agent", "Agent"].iter().filter_map(|word| text.find(word)).min().unwrap_or(text.len());
    text.match_indices(POOL).find_map(|(at, _)| {
        let (before, rest) = text.split_at_checked(at + POOL.len())?;
        let scheme = if before.ends_with("HTTPSConnectionPool(host=") { "https" } else { "http" };
        let (host, rest) = quoted(rest)?;
        let rest = rest.trim_start_matches(',').trim_start().strip_prefix("port=")?;
        let end = rest.bytes().take(LONGEST_PORT).position(|byte| byte == b')')?;
        let (port, behind) = rest.split_at_checked(end)?;
        let named = || Named::Connection { scheme, host: host.to_owned(), port: port.trim().to_owned() };
        is_agents(agent < at, behind).then(named)
    })
}

/// A text in Python's quotes, and what stands behind them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next().filter(|mark| matches!(mark, '\'' | '"'))?;
    let inside = text.get(1..)?;
    let end = inside.find(mark).filter(|end| *end <= LONGEST)?;
    Some((inside.get(..end)?, inside.get(end + 1..)?))
}

/// Whether a connection was to an agent: it asked for one of the agent's paths, or, where the text does not show the path,
/// it speaks of an agent before.
fn is_agents(speaks_of_it: bool, behind: &str) -> bool {
    match behind.trim_start_matches([')', ':', ' ']).strip_prefix("Max retries exceeded with url: ") {
        Some(path) => PATHS.iter().any(|known| path.starts_with(known)),
        None => speaks_of_it,
    }
}

/// `/dev/disk/by-path/ip-HOST:3260-iscsi-IQN`.
fn portal(text: &str) -> Option<Named> {
    const BEFORE: &str = "ip-";
    let behind = text.find(&format!(":{PORTAL}-iscsi-"))?;
    let before = text.get(..behind)?;
    let start = before.rfind("/ip-").map(|at| at + 1).or_else(|| before.rfind(BEFORE))?;
    let host = before.get(start + BEFORE.len()..)?;
    (host.len() <= LONGEST).then(|| Named::Portal { host: host.trim_matches(['[', ']']).to_owned() })
}

/// `Invalid URL 'http:///v1/commands/?wait=true'`, `Failed to parse: http://…`: whatever stands between the scheme and the
/// agent's path. Without these words the line may tell of a call that went well.
fn url(text: &str) -> Option<Named> {
    let at = ["Invalid URL", "Failed to parse"].iter().filter_map(|words| text.find(words)).min()?;
    let text = text.get(at..)?;
    let end = PATHS.iter().filter_map(|path| text.find(path)).min()?;
    let before = text.get(..end)?;
    let start = ["http://", "https://"].iter().filter_map(|scheme| before.rfind(scheme)).max()?;
    let url = before.get(start..)?;
    (url.len() <= LONGEST).then(|| Named::Url(url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url_of(text: &str) -> Option<String> {
        named(text).map(|named| named.url())
    }

    #[test]
    fn every_way_of_naming_an_agent() {
        for (text, url) in [
            (
                "HTTPSConnectionPool(host='10.0.0.5', port=9999): Max retries exceeded with url: /v1/commands/?wait=true&agent_token=x",
                Some("https://10.0.0.5:9999"),
            ),
            (
                "Failed to connect to the agent running on node x for invoking command y. Error: HTTPSConnectionPool(host='fd00::1', port=9999): Read timed out. (read timeout=60)",
                Some("https://[fd00::1]:9999"),
            ),
            (
                "HTTPConnectionPool(host=\"a'b\", port=9999): Max retries exceeded with url: /v1/status",
                Some("http://a'b:9999"),
            ),
            ("agent HTTPConnectionPool(host='h', port=None)", Some("http://h:None")),
            (
                "the check_dir: /dev/disk/by-path/ip-172.25.134.128%20uid%200:3260-iscsi-iqn.2008-10.org.openstack:f80db967-a8d4-4a05-9443-41b0855f1ec3-lun-1",
                Some("http://172.25.134.128%20uid%200:9999"),
            ),
            ("Invalid URL 'http:///v1/commands/?wait=true': No host supplied", Some("http://")),
            ("Failed to parse: http://fd00::1:9999/v1/commands/?wait=true", Some("http://fd00::1:9999")),
            // Not an agent.
            (
                "HTTPSConnectionPool(host='glance', port=9292): Max retries exceeded with url: /v2/images",
                None,
            ),
            ("HTTPSConnectionPool(host='glance', port=9292): Read timed out.", None),
            (
                "Error invoking agent command: HTTPConnectionPool(host='glance', port=9292): Max retries exceeded with url: /v2",
                None,
            ),
            ("check_dir = \"/dev/disk/by-path/ip-%s:%s-iscsi-%s-lun-1\" % (portal_address,", None),
            ("http://10.0.0.5:9999 \"POST /v1/commands/?wait=false HTTP/1.1\" 200 1024", None),
            ("HTTPConnectionPool(host='never ends", None),
            ("('Connection aborted.', ConnectionResetError(104", None),
            ("", None),
        ] {
            assert_eq!(url_of(text).as_deref(), url, "{text}");
        }
    }

    #[test]
    fn the_second_connection_may_be_the_agents() {
        let text = "HTTPSConnectionPool(host='glance', port=9292): Max retries exceeded with url: /v2 HTTPConnectionPool(host='10.0.0.5', port=9999): Max retries exceeded with url: /v1/commands";
        // The first one shows another service's path.
        assert_eq!(url_of(text).as_deref(), Some("http://10.0.0.5:9999"));
    }
}
