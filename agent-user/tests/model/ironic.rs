//! Ironic, as far as one node sees it (ironic 39, `api/controllers/v1/ramdisk.py`).

use callback_url::same_to_ironic;

use super::environment::{Environment, Lots};
use super::ipa::Url;

/// One node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ironic {
    /// `agent_url`.
    pub url: Option<Url>,
    /// The token was handed out.
    pub token_given: bool,
    /// How many tokens were made; the last one counts.
    pub made: u8,
    /// A heartbeat was accepted and recorded since the last wipe.
    pub accepted: bool,
}

/// The answer to a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// 200 with the token.
    Token(u8),
    /// 200 with `******`.
    Masked,
    /// 409: locked, and no token yet.
    Locked,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// 202, and recorded.
    Recorded,
    /// 202, and nothing recorded: locked with a URL on file.
    Dropped,
    /// 400: another URL than the recorded one.
    Pinned,
    /// 400 or 409 for another reason.
    Refused,
}

impl Ironic {
    /// Before anybody looks up.
    pub fn begin(lots: &Lots) -> Self {
        Self { url: lots.held_before.then_some(Url::FOREIGN), token_given: false, made: 0, accepted: false }
    }

    /// The first lookup takes the token.
    pub fn lookup(&mut self, environment: &Environment) -> Lookup {
        match (self.token_given, environment.locked) {
            (true, _) => Lookup::Masked,
            (false, true) => Lookup::Locked,
            (false, false) => {
                (self.token_given, self.made) = (true, self.made + 1);
                Lookup::Token(self.made)
            }
        }
    }

    /// The recorded URL is compared before the token, as text after `urlparse(x).geturl()`.
    pub fn heartbeat(&mut self, url: Url, token: Option<u8>, environment: &Environment, lots: &Lots) -> Beat {
        if self.url.is_some_and(|held| !same_to_ironic(&held.text(), &url.text())) {
            return Beat::Pinned;
        }
        let token_is_right = lots.seed || (self.token_given && token == Some(self.made));
        if !token_is_right || (lots.require_tls && !url.text().starts_with("https://")) {
            return Beat::Refused;
        }
        if environment.locked {
            return if self.url.is_some() { Beat::Dropped } else { Beat::Refused };
        }
        (self.url, self.accepted) = (Some(url), true);
        Beat::Recorded
    }

    /// Power off, tear down, abort: URL and token go.
    pub fn wipe(&mut self) {
        *self = Self { url: None, token_given: false, accepted: false, ..*self };
    }
}
