//! What of IPA's environment counts for where its requests go and what it advertises. It is read from its unit: that of a
//! running process shows to nobody without privilege.

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
        // The small letters go first (urllib.request, `getproxies_environment`).
        let proxy = |name: &str| get(name).or_else(|| get(&name.to_ascii_uppercase()));
        Self {
            advertise_host: get("OS_DEFAULT__ADVERTISE_HOST"),
            api_url: get("OS_DEFAULT__API_URL"),
            http_proxy: proxy("http_proxy"),
            https_proxy: proxy("https_proxy"),
            all_proxy: proxy("all_proxy"),
            no_proxy: proxy("no_proxy"),
            ca_bundle: get("REQUESTS_CA_BUNDLE").or_else(|| get("CURL_CA_BUNDLE")).map(PathBuf::from),
        }
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
}
