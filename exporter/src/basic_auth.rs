//! Basic authentication (RFC 7617) against bcrypt hashes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bcrypt::HashParts;
use hyper::header::HeaderValue;
use ring::digest::{Context, SHA256};
use text::Secret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

/// So many logins that were right are remembered.
const REMEMBERED: usize = 32;
/// Salt and hash that stand for those of a user who is not there; which password they are of does not matter.
const NOBODY: &str = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// Checks logins. bcrypt is slow on purpose: it runs once at a time, on a thread of its own, and a login that was right
/// is remembered as a digest, so that a scrape every few seconds costs nothing.
#[derive(Debug)]
pub(crate) struct BasicAuth {
    hashing: Arc<Semaphore>,
    remembered: Mutex<VecDeque<Vec<u8>>>,
}

impl BasicAuth {
    pub fn new() -> Self {
        Self { hashing: Arc::new(Semaphore::new(1)), remembered: Mutex::default() }
    }

    /// Whether an Authorization header names one of the users with the right password. A user who is not there costs
    /// what one costs who is.
    pub async fn allows(&self, users: &BTreeMap<String, Secret>, header: Option<&HeaderValue>) -> bool {
        let Some((user, password)) = header.and_then(credentials) else {
            return false;
        };
        let (known, hash) = match users.get(&user) {
            Some(hash) => (true, hash.clone()),
            None => (false, nobody(users)),
        };
        let login = digest(&user, &hash, &password);
        if known && self.remembers(&login) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.hashing).acquire_owned().await else {
            return false;
        };
        // A client that goes away does not end the hashing, so the turn goes with it.
        let verify = move || {
            let right = bcrypt::verify(password.as_slice(), hash.expose());
            drop(turn);
            right.unwrap_or(false)
        };
        let allowed = spawn_blocking(verify).await.unwrap_or(false) && known;
        if allowed {
            self.remember(login);
        }
        allowed
    }

    fn remembers(&self, login: &[u8]) -> bool {
        self.lock().iter().any(|known| known == login)
    }

    fn remember(&self, login: Vec<u8>) {
        let mut remembered = self.lock();
        if remembered.contains(&login) {
            return;
        }
        if remembered.len() >= REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(login);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User and password of a header.
fn credentials(header: &HeaderValue) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = decoded.split_at_checked(colon)?;
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some((user, Zeroizing::new(password.iter().skip(1).copied().collect())))
}

/// A hash that costs as much as the dearest of the users'.
fn nobody(users: &BTreeMap<String, Secret>) -> Secret {
    let costs = users.values().filter_map(|hash| hash.expose().parse::<HashParts>().ok());
    let cost = costs.map(|parts| parts.get_cost()).max().unwrap_or(bcrypt::DEFAULT_COST);
    Secret::new(format!("$2y${cost:02}${NOBODY}"))
}

/// The hash is in it, so that a changed password is not remembered as right.
fn digest(user: &str, hash: &Secret, password: &[u8]) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    for part in [user.as_bytes(), hash.expose().as_bytes(), password] {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn header(user: &str, password: &str) -> HeaderValue {
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        HeaderValue::from_str(&text).unwrap()
    }

    fn user(name: &str, password: &str, cost: u32) -> (String, Secret) {
        (name.to_owned(), Secret::new(bcrypt::hash(password, cost).unwrap()))
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_let_through() {
        let auth = BasicAuth::new();
        let users = BTreeMap::from([user("anna", "s:cret", 4), user("b\u{e9}a", "", 4)]);
        let allows = |header: &HeaderValue| block_on(auth.allows(&users, Some(header)));
        for (name, password, right) in [
            ("anna", "s:cret", true),
            ("anna", "s:cret", true),
            ("b\u{e9}a", "", true),
            ("anna", "", false),
            ("anna", "S:cret", false),
            ("b\u{e9}a", "s:cret", false),
            ("nobody", "s:cret", false),
            ("", "", false),
        ] {
            assert_eq!(allows(&header(name, password)), right, "{name}:{password}");
        }
        assert_eq!(auth.lock().len(), 2, "once each");
        for text in ["", "Basic", "Basic ", "Basic !", "Bearer YTpi", "Basic YWI=", "Basic /zp4", "basic"] {
            assert!(!allows(&HeaderValue::from_str(text).unwrap()), "{text}");
        }
        assert!(allows(&HeaderValue::from_str("bAsIc YW5uYTpzOmNyZXQ=").unwrap()));
        assert!(!block_on(auth.allows(&users, None)));
        let changed = BTreeMap::from([user("anna", "other", 4)]);
        assert!(!block_on(auth.allows(&changed, Some(&header("anna", "s:cret")))));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_holds_no_password() {
        let auth = BasicAuth::new();
        for number in 0..100 {
            auth.remember(digest(&number.to_string(), &Secret::new("hash".to_owned()), b"hunter2"));
        }
        assert_eq!(auth.lock().len(), REMEMBERED);
        assert!(auth.lock().iter().all(|login| login.len() == 32));
    }

    #[test]
    fn a_remembered_login_is_cheap_and_an_unknown_user_costs_what_a_known_one_does() {
        let auth = BasicAuth::new();
        let users = BTreeMap::from([user("anna", "right", 8), user("bea", "x", 4)]);
        let time = |name: &str, password: &str| {
            let start = Instant::now();
            block_on(auth.allows(&users, Some(&header(name, password))));
            start.elapsed()
        };
        let (first, again) = (time("anna", "right"), time("anna", "right"));
        assert!(again < first / 3, "{first:?}, then {again:?}");
        // The least of a few: the machine does other things too.
        let least = |name: &str| (0..5).map(|_| time(name, "wrong")).min().unwrap();
        let (known, unknown) = (least("anna"), least("nobody"));
        assert!(unknown > known / 2 && unknown < known * 2, "{known:?}, {unknown:?}");
    }
}
