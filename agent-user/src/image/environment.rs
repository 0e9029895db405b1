//! What of IPA's environment counts for where its requests go and what it advertises. It is read from its unit before IPA
//! runs; that of a running process shows only to who may trace it (ptrace(2)).

use std::fmt;
use std::path::PathBuf;

use super::words::Variables;

/// Variables of an ironic-python-agent; empty ones count as not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IpaEnvironment {
    /// `OS_DEFAULT__ADVERTISE_HOST`, which goes before its files (oslo_config/sources/_environment.py).
    pub advertise_host: Option<String>,
    /// `OS_DEFAULT__API_URL`, likewise.
    pub api_url: Option<String>,
    /// `http_proxy`: the proxy of its requests to http URLs. As all proxies it may hold a password.
    pub http_proxy: Option<String>,
    /// `https_proxy`: that of its requests to https URLs.
    pub https_proxy: Option<String>,
    /// `all_proxy`: that of all others.
    pub all_proxy: Option<String>,
    /// `no_proxy`: the hosts that no proxy is asked for.
    pub no_proxy: Option<String>,
    /// The certificates by which it verifies Ironic's, in the place of certifi's: a file or a directory
    /// (requests/sessions.py, `merge_environment_settings`).
    pub ca_bundle: Option<PathBuf>,
}

impl IpaEnvironment {
    pub(super) fn of(variables: &Variables) -> Self {
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        // The small letters go first, and switch the others off where they are empty (urllib.request,
        // `getproxies_environment`).
        let proxy = |name: &str| match variables.get(name) {
            Some(_) => get(name),
            None => get(&name.to_ascii_uppercase()),
        };
        Self {
            advertise_host: get("OS_DEFAULT__ADVERTISE_HOST"),
            api_url: get("OS_DEFAULT__API_URL"),
            http_proxy: proxy("http_proxy"),
            https_proxy: proxy("https_proxy"),
            all_proxy: proxy("all_proxy"),
            // Here an empty one counts for nothing (requests/utils.py, `should_bypass_proxies`).
            no_proxy: get("no_proxy").or_else(|| get("NO_PROXY")),
            ca_bundle: get("REQUESTS_CA_BUNDLE").or_else(|| get("CURL_CA_BUNDLE")).map(PathBuf::from),
        }
    }

    /// From `/proc/PID/environ` (proc_pid_environ(5)).
    pub fn of_process(bytes: &[u8]) -> Self {
        let words = bytes.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let pairs = words.filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self::of(&pairs.collect())
    }

    /// The names of those that are set.
    pub fn set(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("OS_DEFAULT__ADVERTISE_HOST", self.advertise_host.is_some()),
            ("OS_DEFAULT__API_URL", self.api_url.is_some()),
            ("http_proxy", self.http_proxy.is_some()),
            ("https_proxy", self.https_proxy.is_some()),
            ("all_proxy", self.all_proxy.is_some()),
            ("no_proxy", self.no_proxy.is_some()),
            ("REQUESTS_CA_BUNDLE", self.ca_bundle.is_some()),
        ];
        all.into_iter().filter_map(|(name, is_set)| is_set.then_some(name))
    }
}

/// The names only: a proxy may have a password.
impl fmt::Debug for IpaEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.set()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_letters_go_first_and_empty_ones_count_for_nothing() {
        let variables = [
            ("HTTP_PROXY", "http://a"),
            ("http_proxy", "http://user:secret@b"),
            ("HTTPS_PROXY", "http://c"),
            ("NO_PROXY", ""),
            ("CURL_CA_BUNDLE", "/curl.pem"),
            ("OS_DEFAULT__ADVERTISE_HOST", "192.0.2.1"),
            ("OS_DEFAULT__AGENT_TOKEN", "token"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let read = IpaEnvironment::of(&variables.clone().into());
        assert_eq!(read.http_proxy.as_deref(), Some("http://user:secret@b"));
        assert_eq!(read.https_proxy.as_deref(), Some("http://c"));
        assert_eq!((read.no_proxy.clone(), read.all_proxy.clone()), (None, None));
        assert_eq!(read.ca_bundle, Some("/curl.pem".into()));
        let shown = format!("{read:?}");
        assert!(!shown.contains("secret") && !shown.contains("token"), "{shown}");
        assert!(shown.contains("OS_DEFAULT__ADVERTISE_HOST") && shown.contains("http_proxy"), "{shown}");
    }

    #[test]
    fn the_environment_of_a_process_is_apart_by_zero_bytes() {
        let read = IpaEnvironment::of_process(b"A=1\0B\0OS_DEFAULT__ADVERTISE_HOST=x=y\0\xff=z\0");
        assert_eq!(read.advertise_host.as_deref(), Some("x=y"));
        assert_eq!(read.set().count(), 1);
        let read = IpaEnvironment::of_process(b"http_proxy=\0HTTP_PROXY=http://a\0no_proxy=\0NO_PROXY=b");
        assert_eq!((read.http_proxy, read.no_proxy.as_deref()), (None, Some("b")));
    }
}
